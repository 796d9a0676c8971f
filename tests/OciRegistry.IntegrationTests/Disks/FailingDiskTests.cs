using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Disks;

/// <summary>
/// R5.2: every call to the disk that a push makes fails once, and the client repeats what was refused. strace makes the calls
/// fail and has the log from which <see cref="DiskTrace"/> judges their order. It counts the calls of each thread by name, so
/// the server has a single thread for all of its work.
/// </summary>
public sealed class FailingDiskTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_push_and_a_delete_sync_file_then_name_before_they_are_answered()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder.Path);
        await PushAndDeleteAsync(server.Http); // makes the folders that the first push has to make
        var trace = await TraceAsync(server, folder, [], () => PushAndDeleteAsync(server.Http));
        trace.Violations().ShouldBeEmpty();
        var names = trace.DiskCalls.Select(call => call.Name).ToList();
        names.Count(name => name == "fsync").ShouldBeGreaterThan(10);
        names.Count(name => name == "rename").ShouldBeGreaterThan(5);
        names.ShouldContain("unlink");
    }

    /// <summary>A process cannot know whether another one has synced the entry of a folder that it finds.</summary>
    [Fact]
    public async Task A_push_syncs_the_entries_of_folders_that_another_process_has_made()
    {
        await using var folder = new TempFolder();
        await using var first = await StartAsync(folder.Path);
        await using var second = await StartAsync(folder.Path);
        var repository = RegistryClient.NewRepository();
        var made = await PushAsync(first.Http, repository);
        var found = await TraceAsync(second, folder, [], () => PushAsync(second.Http, repository));
        found.UnsyncedFolders().ShouldBeEmpty();

        // The same names again, but other folders.
        await DeleteAsync(first.Http, repository, made);
        Directory.Exists(folder[$"documents/repositories/{repository}"]).ShouldBeFalse();
        await PushAsync(first.Http, repository);
        found = await TraceAsync(second, folder, [], () => PushAsync(second.Http, repository));
        found.UnsyncedFolders().ShouldAllBe(path => !path.Contains(repository, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("EIO")]
    [InlineData("ENOSPC")]
    public async Task A_push_is_not_acknowledged_without_its_bytes_when_a_call_to_the_disk_fails(string error)
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder.Path);
        await PushAndDeleteAsync(server.Http);
        var trace = await TraceAsync(server, folder, [], () => PushAndDeleteAsync(server.Http));
        var steps = trace.DiskCalls.Where(call => error == "EIO" || call.MayNeedSpace).ToList();
        var (failed, stride) = (0, Counts.Of(ci: 5, full: 1));
        for (var i = 0; i < steps.Count; i += stride)
        {
            var failure = $"inject={steps[i].Name}:error={error}:when={steps[i].Nth}";
            var pushed = await TraceAsync(server, folder, ["-e", failure], () => PushAndDeleteAsync(server.Http));
            failed += pushed.HasInjected ? 1 : 0;
            pushed.Violations().ShouldBeEmpty($"{error} from {steps[i]}\n{string.Join('\n', pushed.DiskCalls)}");
        }

        output.WriteLine($"{failed} failures in {steps.Count} calls");
        failed.ShouldBeGreaterThanOrEqualTo(steps.Count / stride / 2);
    }

    [Fact]
    public async Task A_chunk_whose_early_write_back_fails_is_published_only_as_a_copy()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder.Path);
        var content = RegistryClient.RandomBytes(9 * 1024 * 1024);
        var repository = RegistryClient.NewRepository();
        var trace = await TraceAsync(server, folder, ["-e", "inject=sync_file_range:error=EIO:when=1"], async () =>
        {
            using var patched = await server.Http.PatchAsync(await server.Http.NewUploadAsync(repository), content);
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            using var closed = await server.Http.CompleteAsync(
                patched.Headers.Location!.ToString(), Digest.Of(content).ToString());
            await closed.ShouldHaveCreatedAsync(server.Http, Digest.Of(content), content);
        });
        trace.HasInjected.ShouldBeTrue();
        trace.Violations().ShouldBeEmpty();
    }

    private static Task<ServerProcess> StartAsync(string root) => ServerProcess.StartOnAsync(
        root,
        Tool.Require("env").With("DOTNET_PROCESSOR_COUNT=1", "DOTNET_ThreadPool_ForceMaxWorkerThreads=1"),
        "OciRegistry:Uploads:CommitWait=00:00:01");

    private static async Task<DiskTrace> TraceAsync(ServerProcess server, TempFolder folder, string[] inject, Func<Task> act)
    {
        await using var logs = new TempFolder();
        var strace = Tool.Require("strace").With(
            ["-f", "-y", "-s", "300", "-p", $"{server.Id}", "-o", logs["trace"], "-e", $"trace={DiskTrace.Calls}", .. inject]);
        await using (var tracing = strace.Start())
        {
            await tracing.WaitUntilReadyAsync(() => Task.FromResult(tracing.Log.Contains("attached", StringComparison.Ordinal)));
            await act();
        }

        return DiskTrace.Read(logs["trace"], folder.Path);
    }

    /// <summary>Pushes an image in chunks, and deletes it; repeats each request that is refused with a 5xx, as clients do.</summary>
    private static async Task PushAndDeleteAsync(HttpClient http)
    {
        var repository = RegistryClient.NewRepository();
        var (config, layer) = (RegistryClient.RandomBytes(100), RegistryClient.RandomBytes(200_000));
        await PushBlobAsync(http, repository, config);
        await PushBlobAsync(http, repository, layer);
        var manifest = RegistryClient.ImageManifest(config, [layer]);
        await RepeatAsync(() => http.PutManifestAsync(repository, "latest", manifest), HttpStatusCode.Created);
        foreach (var (content, path) in new[] { (config, "blobs"), (layer, "blobs"), (manifest, "manifests") })
        {
            var digest = Digest.Of(content);
            using (var pulled = await RepeatAsync(
                () => http.GetAsync(new Uri($"/v2/{repository}/{path}/{digest}", UriKind.Relative)), HttpStatusCode.OK))
            {
                await pulled.ShouldBeContentAsync(digest, content);
            }

            await RepeatAsync(
                () => http.DeleteAsync($"/v2/{repository}/{path}/{digest}"), HttpStatusCode.Accepted, HttpStatusCode.NotFound);
        }
    }

    private static readonly byte[] Config = "{}"u8.ToArray();
    private static readonly byte[] Layer = [1, 2, 3];

    /// <summary>Always the same image under the same tag.</summary>
    private static async Task<byte[]> PushAsync(HttpClient http, string repository)
    {
        await PushBlobAsync(http, repository, Config);
        await PushBlobAsync(http, repository, Layer);
        var manifest = RegistryClient.ImageManifest(Config, [Layer]);
        using var put = await http.PutManifestAsync(repository, "latest", manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return manifest;
    }

    private static async Task DeleteAsync(HttpClient http, string repository, byte[] manifest)
    {
        foreach (var (content, path) in new[] { (manifest, "manifests"), (Config, "blobs"), (Layer, "blobs") })
        {
            using var deleted = await http.DeleteAsync($"/v2/{repository}/{path}/{Digest.Of(content)}");
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }
    }

    /// <summary>A session that is gone is begun again; so is a chunk that was refused.</summary>
    private static async Task PushBlobAsync(HttpClient http, string repository, byte[] content)
    {
        // Each thread of the server meets the failure once.
        for (var attempt = 1; attempt < 20; attempt++)
        {
            using var started = await RepeatAsync(() => http.StartUploadAsync(repository), HttpStatusCode.Accepted);
            using var patched = await http.PatchAsync(started.Headers.Location!.ToString(), content);
            if (patched.StatusCode != HttpStatusCode.Accepted)
            {
                ((int)patched.StatusCode).ShouldBeGreaterThanOrEqualTo(500);
                continue;
            }

            using var closed = await RepeatAsync(
                () => http.CompleteAsync(patched.Headers.Location!.ToString(), Digest.Of(content).ToString()),
                HttpStatusCode.Created,
                HttpStatusCode.NotFound);
            if (closed.StatusCode == HttpStatusCode.Created)
            {
                return;
            }
        }

        Assert.Fail("No attempt to push was acknowledged.");
    }

    private static async Task<HttpResponseMessage> RepeatAsync(
        Func<Task<HttpResponseMessage>> request, params HttpStatusCode[] expected)
    {
        for (var attempt = 1; ; attempt++)
        {
            var answer = await request();
            if (expected.Contains(answer.StatusCode))
            {
                return answer;
            }

            attempt.ShouldBeLessThan(20, await answer.Content.ReadAsStringAsync());
            ((int)answer.StatusCode).ShouldBeOneOf(503, 507);
            answer.Dispose();
        }
    }
}
