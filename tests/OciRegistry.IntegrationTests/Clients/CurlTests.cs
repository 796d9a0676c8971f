using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>The protocol by hand, and what only curl does: Expect: 100-continue, uploads from a pipe, resumed downloads.</summary>
public sealed class CurlTests
{
    [Fact]
    public async Task A_blob_sent_in_one_PUT_with_Expect_is_downloaded_as_it_was()
    {
        var curl = Curl();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        var digest = await WriteBlobAsync(folder["blob"], 3 << 20);
        var location = await StartUploadAsync(curl, registry);

        await curl.RunAsync(
            "--upload-file", folder["blob"], "--header", "Expect: 100-continue",
            RegistryClient.WithQuery(location, $"digest={digest}"));
        await curl.RunAsync("--output", folder["copy"], BlobUrl(registry, digest));

        (await File.ReadAllBytesAsync(folder["copy"])).ShouldBe(await File.ReadAllBytesAsync(folder["blob"]));
    }

    [Fact]
    public async Task A_blob_sent_in_chunks_of_unknown_length_is_complete()
    {
        var curl = Curl();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        var digest = await WriteBlobAsync(folder["blob"], 3 << 20);
        var location = await StartUploadAsync(curl, registry);

        var patched = await curl.RunAsync(
            "--request", "PATCH", "--header", "Transfer-Encoding: chunked", "--header", "Content-Type: application/octet-stream",
            "--upload-file", folder["blob"], "--dump-header", "-", location);
        Header(patched, "Range").ShouldBe($"0-{(3 << 20) - 1}");
        var closed = await curl.RunAsync(
            "--request", "PUT", "--data", "", "--dump-header", "-",
            RegistryClient.WithQuery(Absolute(registry, Header(patched, "Location")), $"digest={digest}"));

        Header(closed, "Docker-Content-Digest").ShouldBe(digest.ToString());
        Header(await curl.RunAsync("--head", BlobUrl(registry, digest)), "Content-Length").ShouldBe($"{3 << 20}");
    }

    [Fact]
    public async Task A_broken_download_is_resumed()
    {
        var curl = Curl();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        var content = RegistryClient.RandomBytes(1 << 20);
        var digest = await registry.Http.PushBlobAsync("curl/files", content);
        await File.WriteAllBytesAsync(folder["copy"], content[..300_000]);

        await curl.RunAsync("--continue-at", "-", "--output", folder["copy"], BlobUrl(registry, digest));

        (await File.ReadAllBytesAsync(folder["copy"])).ShouldBe(content);
    }

    [Fact]
    public async Task An_image_is_listed_deleted_and_not_found_again()
    {
        var curl = Curl();
        await using var registry = await ServerProcess.StartAsync();
        await registry.Http.PushImageAsync("curl/files", "v1");
        var url = $"http://{registry.Host}/v2/curl/files";
        (await curl.RunAsync($"http://{registry.Host}/v2/_catalog")).ShouldBe("""{"repositories":["curl/files"]}""");
        (await curl.RunAsync($"{url}/tags/list")).ShouldBe("""{"name":"curl/files","tags":["v1"]}""");

        await curl.RunAsync("--request", "DELETE", $"{url}/manifests/v1");

        (await curl.RunAsync($"{url}/tags/list")).ShouldBe("""{"name":"curl/files","tags":[]}""");
        var failed = await curl.TryRunAsync($"{url}/manifests/v1");
        failed.ExitCode.ShouldBe(22); // an HTTP status of 400 or more
        failed.Output.ShouldContain("MANIFEST_UNKNOWN");
    }

    private static Tool Curl() => Tool.Require("curl").With("--silent", "--show-error", "--fail-with-body", "--noproxy", "*");

    private static async Task<Digest> WriteBlobAsync(string file, int size)
    {
        var content = RegistryClient.RandomBytes(size);
        await File.WriteAllBytesAsync(file, content);
        return Digest.Of(content);
    }

    private static async Task<string> StartUploadAsync(Tool curl, ServerProcess registry)
    {
        var url = $"http://{registry.Host}/v2/curl/files/blobs/uploads/";
        var started = await curl.RunAsync("--request", "POST", "--data", "", "--dump-header", "-", url);
        return Absolute(registry, Header(started, "Location"));
    }

    private static string Absolute(ServerProcess registry, string location) =>
        new Uri(new Uri($"http://{registry.Host}"), location).AbsoluteUri;

    private static string BlobUrl(ServerProcess registry, Digest digest) =>
        $"http://{registry.Host}/v2/curl/files/blobs/{digest}";

    // The last value: an interim 100 comes first.
    private static string Header(string dump, string name) => dump.Split('\n')
        .Select(line => line.Split(':', 2))
        .Last(line => line[0].Equals(name, StringComparison.OrdinalIgnoreCase))[1].Trim();
}
