using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Volumes;

/// <summary>A copy of the folder that was taken during pushes: in the order that the README gives, and in the wrong one.</summary>
public sealed class BackupTests(ITestOutputHelper output)
{
    private const string Repository = "team/app";

    [Fact]
    public async Task A_backup_in_the_order_of_the_README_that_was_taken_during_pushes_pulls_whole()
    {
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var script = folder["backup.sh"];
        await File.WriteAllTextAsync(script, await Readme.FileAsync("backup.sh"));
        await using var server = await ServerProcess.StartOnAsync(root);
        var pushed = 0;
        await PushAsync(server.Http, "first");

        for (var round = 0; round < Counts.Of(ci: 3, full: 50); round++)
        {
            using var stop = new CancellationTokenSource();
            var before = pushed;
            var pushing = Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    await PushAsync(server.Http, $"v{pushed++}");
                }
            });
            await Until.TrueAsync(() => pushed > before + 2, "images are being pushed");
            var copy = folder[$"copy{round}"];
            var backup = await Tool.Require("sh").TryRunAsync(script, root, copy);
            await stop.CancelAsync();
            await pushing;
            backup.ExitCode.ShouldBe(0, backup.ToString());

            var (tags, broken) = await PullAllAsync(copy);
            output.WriteLine($"{tags} tags in the copy, {pushed - before} images were pushed meanwhile");
            tags.ShouldBeGreaterThan(0);
            broken.ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_backup_in_the_wrong_order_has_tags_that_do_not_pull_as_the_README_warns()
    {
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        await using var server = await ServerProcess.StartOnAsync(root);
        await PushAsync(server.Http, "before");
        var copy = folder.Create("copy");

        await Tool.Require("cp").RunAsync("-a", Path.Combine(root, "blobs"), copy);
        await PushAsync(server.Http, "meanwhile");
        await Tool.Require("cp").RunAsync("-a", Path.Combine(root, "documents"), copy);

        var (tags, broken) = await PullAllAsync(copy);
        tags.ShouldBe(2);
        broken.ShouldBe(1);
    }

    [Fact]
    public async Task A_restored_registry_can_be_pushed_to_and_deleted_from()
    {
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var script = folder["backup.sh"];
        await File.WriteAllTextAsync(script, await Readme.FileAsync("backup.sh"));
        byte[] image;
        await using (var server = await ServerProcess.StartOnAsync(root))
        {
            image = await server.Http.PushImageAsync(Repository, "v1");
            await server.Http.PushImageAsync(Repository, "signature", subject: Digest.Of(image));
            await Tool.Require("sh").RunAsync(script, root, folder["copy"]);
        }

        await using var restored = await ServerProcess.StartOnAsync(folder["copy"]);
        var referrers = await restored.Http.GetStringAsync(new Uri($"/v2/{Repository}/referrers/{Digest.Of(image)}", UriKind.Relative));
        referrers.ShouldContain("sha256:");
        (await restored.Http.GetStringAsync(new Uri("/v2/_catalog", UriKind.Relative))).ShouldContain(Repository);
        await restored.Http.DeleteImageAsync(Repository, "v1");
        (await restored.Http.TagsAsync(Repository)).ShouldBe(["signature"]);
        await restored.Http.PushImageAsync(Repository, "v2");
    }

    private static Task<byte[]> PushAsync(HttpClient http, string tag) => http.PushImageAsync(Repository, tag);

    /// <summary>How many tags a registry on the copy lists, and how many of them do not pull whole.</summary>
    private static async Task<(int Tags, int Broken)> PullAllAsync(string copy)
    {
        await using var server = await ServerProcess.StartOnAsync(copy);
        var tags = await server.Http.TagsAsync(Repository);
        var broken = 0;
        foreach (var tag in tags)
        {
            broken += await PullsAsync(server.Http, tag) ? 0 : 1;
        }

        return (tags.Length, broken);
    }

    private static async Task<bool> PullsAsync(HttpClient http, string tag)
    {
        using var response = await http.GetManifestAsync(Repository, tag);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            return false;
        }

        var manifest = await http.ManifestAsync(Repository, tag);
        foreach (var digest in manifest.LayerDigests.Append((string)manifest.Json["config"]!["digest"]!))
        {
            using var blob = await http.GetBlobAsync(Repository, Digest.Parse(digest));
            if (blob.StatusCode != HttpStatusCode.OK
                || Digest.Of(await blob.Content.ReadAsByteArrayAsync()).ToString() != digest)
            {
                return false;
            }
        }

        return true;
    }
}
