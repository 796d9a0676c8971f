using System.Net;
using System.Runtime.Versioning;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests;

/// <summary>
/// Group 24: what a real file system does to the server that runs on it. Pulls go on as long as it can be read, pushes
/// are refused with the reason, nothing half-made shows, and when it is mended pushes go on without a restart.
/// </summary>
public sealed class StorageFaultTests
{
    [Fact]
    public async Task A_disk_that_fills_up_in_mid_push_keeps_what_is_there_and_the_push_goes_on_with_more_room()
    {
        await using var disk = await MountedFolder.MountAsync("size=8m");
        await using var server = await ServerProcess.StartOnAsync(disk.Path);
        var (repository, kept) = await PushAsync(server);

        var content = RegistryClient.RandomBytes(12 * 1024 * 1024);
        var location = await server.Http.NewUploadAsync(repository);
        using (var refused = await server.Http.PatchAsync(location, content))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.InsufficientStorage, "UNAVAILABLE");
            refused.Header("Retry-After").ShouldNotBeNull();
        }

        await ShouldServeAsync(server, repository, kept);
        await disk.RemountAsync("size=64m");
        await ShouldBeReadyAsync(server, HttpStatusCode.OK);
        using var status = await server.Http.GetAsync(new Uri(location, UriKind.Relative));
        await status.ShouldHaveStatusAsync(HttpStatusCode.NoContent);
        var offset = RegistryClient.OffsetOf(status);
        using (var rest = await server.Http.PatchAsync(
            status.Headers.Location!.ToString(), content[offset..], $"{offset}-{content.Length - 1}"))
        {
            await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using var closed = await server.Http.CompleteAsync(location, Digest.Of(content).ToString());
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        await ShouldServeAsync(server, repository, content);
    }

    [Theory]
    [InlineData("POST")]
    [InlineData("PATCH")]
    [InlineData("PUT")]
    [InlineData("second chunk")]
    public async Task A_push_that_does_not_fit_leaves_room_for_one_that_does(string push)
    {
        await using var disk = await MountedFolder.MountAsync("size=8m");
        await using var server = await ServerProcess.StartOnAsync(disk.Path);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(12 * 1024 * 1024);
        var digest = Digest.Of(content).ToString();
        var location = await server.Http.NewUploadAsync(repository);
        var first = push == "second chunk" ? 1024 * 1024 : 0;
        if (first > 0)
        {
            using var patched = await server.Http.PatchAsync(location, content[..first]);
            location = patched.Headers.Location!.ToString();
        }

        using (var refused = await (push switch
        {
            "POST" => server.Http.StartUploadAsync(repository, $"?digest={digest}", content),
            "PUT" => server.Http.CompleteAsync(location, digest, content),
            _ => server.Http.PatchAsync(location, content[first..]),
        }))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.InsufficientStorage, "UNAVAILABLE");
        }

        (await server.Http.OffsetAsync(location)).ShouldBe(first);
        var fits = RegistryClient.RandomBytes(5 * 1024 * 1024);
        await server.Http.PushBlobAsync(repository, fits);
        await ShouldServeAsync(server, repository, fits);
    }

    [Fact]
    public async Task A_disk_without_room_for_another_file_refuses_pushes_as_a_full_one_does()
    {
        await using var disk = await MountedFolder.MountAsync("nr_inodes=600");
        await using var server = await ServerProcess.StartOnAsync(disk.Path);
        var (repository, kept) = await PushAsync(server);

        var pushed = new List<byte[]>();
        byte[] refusedContent;
        while (true)
        {
            var content = RegistryClient.RandomBytes(10);
            using var answer = await server.Http.StartUploadAsync(repository, $"?digest={Digest.Of(content)}", content);
            if (answer.StatusCode != HttpStatusCode.Created)
            {
                await answer.ShouldBeErrorAsync(HttpStatusCode.InsufficientStorage, "UNAVAILABLE");
                refusedContent = content;
                break;
            }

            pushed.Add(content);
        }

        pushed.Count.ShouldBeGreaterThan(1);
        TakeWhatTheRefusedPushHasGivenBack(disk.Path);
        await ShouldServeAsync(server, repository, kept);
        await ShouldServeAsync(server, repository, pushed[^1]);
        await ShouldBeDegradedAsync(server); // what is stored is served
        using (var unknown = await server.Http.GetBlobAsync(repository, Digest.Of(refusedContent)))
        {
            unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        await disk.RemountAsync("nr_inodes=2000");
        await ShouldBeReadyAsync(server, HttpStatusCode.OK);
        await server.Http.PushBlobAsync(repository, refusedContent);
        await ShouldServeAsync(server, repository, refusedContent);
    }

    [Fact]
    public async Task A_file_system_that_turns_read_only_is_pulled_from_and_not_ready()
    {
        await using var disk = await MountedFolder.MountAsync();
        await using var server = await ServerProcess.StartOnAsync(disk.Path);
        var (repository, kept) = await PushAsync(server);
        var location = await server.Http.NewUploadAsync(repository);
        var image = await server.Http.PushImageAsync(repository, "v1");

        await disk.CoverReadOnlyAsync();
        await ShouldServeAsync(server, repository, kept);
        using (var manifest = await server.Http.GetManifestAsync(repository, "v1"))
        {
            await manifest.ShouldBeContentAsync(Digest.Of(image), image);
        }

        using (var tags = await server.Http.GetAsync(new Uri($"/v2/{repository}/tags/list", UriKind.Relative)))
        {
            (await tags.JsonAsync()).Texts("tags").ShouldBe(["v1"]);
        }

        await ShouldRefuseAsync(server.Http.StartUploadAsync(repository));
        await ShouldRefuseAsync(server.Http.PatchAsync(location, [1]));
        await ShouldRefuseAsync(server.Http.CompleteAsync(location, Digest.Of([1]).ToString(), [1]));
        await ShouldRefuseAsync(server.Http.PutManifestAsync(repository, "v2", image));
        await ShouldRefuseAsync(server.Http.DeleteAsync($"/v2/{repository}/manifests/v1"));
        await ShouldBeReadyAsync(server, HttpStatusCode.ServiceUnavailable);

        await disk.UncoverAsync();
        await ShouldBeReadyAsync(server, HttpStatusCode.OK);
        using var closed = await server.Http.CompleteAsync(location, Digest.Of([1]).ToString(), [1]);
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        await ShouldServeAsync(server, repository, [1]);
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public async Task What_may_no_longer_be_read_is_unavailable_and_not_unknown()
    {
        await using var disk = await MountedFolder.MountAsync();
        // Root without root's right to read whatever it likes.
        var unprivileged = Tool.Require("setpriv").With("--bounding-set=-dac_override,-dac_read_search");
        await using var server = await ServerProcess.StartOnAsync(
            disk.Path, unprivileged, "OciRegistry:Uploads:CommitWait=00:00:01");
        var (repository, kept) = await PushAsync(server);
        await server.Http.PushImageAsync(repository, "v1");

        foreach (var part in new[] { RegistryLayout.BlobFolder, "documents", RegistryLayout.StagedFolder })
        {
            var folder = Path.Combine(disk.Path, part);
            var mode = File.GetUnixFileMode(folder);
            File.SetUnixFileMode(folder, UnixFileMode.None);
            using (var pulled = await server.Http.GetBlobAsync(repository, Digest.Of(kept)))
            {
                pulled.StatusCode.ShouldBe(
                    part == RegistryLayout.StagedFolder ? HttpStatusCode.OK : HttpStatusCode.ServiceUnavailable, part);
            }

            using (var tag = await server.Http.GetManifestAsync(repository, "v1"))
            {
                tag.StatusCode.ShouldBe(
                    part == "documents" ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.OK, part);
            }

            var content = RegistryClient.RandomBytes(1_000);
            await ShouldRefuseAsync(
                server.Http.StartUploadAsync(repository, $"?digest={Digest.Of(content)}", content));
            File.SetUnixFileMode(folder, mode);
            await server.Http.PushBlobAsync(repository, content);
            await ShouldServeAsync(server, repository, kept);
        }
    }

    [Fact]
    public async Task A_spool_that_was_full_has_room_again_once_the_blob_that_did_not_fit_is_given_up()
    {
        await using var disk = await MountedFolder.MountAsync("size=8m");
        await using var registry = await PulledRegistry.StartAsync(options: all => all.PullThrough.SpoolFolder = disk.Path);
        var large = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(16 * 1024 * 1024));
        var content = RegistryClient.RandomBytes(4 * 1024 * 1024);
        var small = registry.Upstream.AddBlob("a", content);
        await Should.ThrowAsync<HttpRequestException>(registry.Http.GetBlobAsync("up/a", large));
        await registry.UntilIdleAsync();

        using var pulled = await registry.Http.GetBlobAsync("up/a", small);

        await pulled.ShouldBeContentAsync(small, content);
        registry.Blobs.BrokenCount.ShouldBe(0);
    }

    [Fact]
    public async Task A_registry_whose_disk_is_full_starts_and_serves_what_it_has()
    {
        await using var disk = await MountedFolder.MountAsync("size=8m");
        string repository;
        byte[] content;
        await using (var server = await ServerProcess.StartOnAsync(disk.Path))
        {
            (repository, content) = await PushAsync(server);
        }

        Fill(disk.Path);
        await using (var server = await ServerProcess.StartOnAsync(disk.Path))
        {
            await ShouldServeAsync(server, repository, content);
            await ShouldBeDegradedAsync(server);
            using var refused = await server.Http.StartUploadAsync(repository, $"?digest={Digest.Of("x"u8)}", "x"u8.ToArray());
            await refused.ShouldBeErrorAsync(HttpStatusCode.InsufficientStorage, "UNAVAILABLE");
            File.Delete(Path.Combine(disk.Path, "filler"));
            await ShouldBeReadyAsync(server, HttpStatusCode.OK);
            await server.Http.PushBlobAsync(repository, "x"u8.ToArray());
        }
    }

    private static void Fill(string disk)
    {
        using var filler = new FileStream(Path.Combine(disk, "filler"), FileMode.Create, FileAccess.Write, FileShare.None, 0);
        try
        {
            while (true)
            {
                filler.Write(new byte[4096]);
            }
        }
        catch (IOException)
        {
            // There is no room for another byte now.
        }
    }

    private static void TakeWhatTheRefusedPushHasGivenBack(string disk)
    {
        try
        {
            for (var i = 0; i < 1_000; i++)
            {
                File.Create(Path.Combine(disk, $"taken-{i}")).Dispose();
            }
        }
        catch (IOException)
        {
            // There is no room for another file now.
        }
    }

    private static async Task<(string Repository, byte[] Content)> PushAsync(ServerProcess server)
    {
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100_000);
        await server.Http.PushBlobAsync(repository, content);
        return (repository, content);
    }

    private static async Task ShouldServeAsync(ServerProcess server, string repository, byte[] content)
    {
        using var pulled = await server.Http.GetBlobAsync(repository, Digest.Of(content));
        await pulled.ShouldBeContentAsync(Digest.Of(content), content);
    }

    private static async Task ShouldRefuseAsync(Task<HttpResponseMessage> request)
    {
        using var refused = await request;
        await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        refused.Header("Retry-After").ShouldNotBeNull();
    }

    private static Task ShouldBeDegradedAsync(ServerProcess server) => Until.TrueAsync(
        async () =>
        {
            using var ready = await server.Http.GetAsync(new Uri("/readyz", UriKind.Relative));
            return ready.StatusCode == HttpStatusCode.OK && (string?)(await ready.JsonAsync())["status"] == "degraded";
        },
        "readyz says degraded");

    private static Task ShouldBeReadyAsync(ServerProcess server, HttpStatusCode status) =>
        Until.TrueAsync(
            async () => (await server.Http.GetAsync(new Uri("/readyz", UriKind.Relative))).StatusCode == status,
            $"readyz answers {status}");
}
