using System.Net;
using OciRegistry.Server.Settings;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>A path prefix: every address has it, and requests are accepted with it and without it.</summary>
public sealed class PathBaseTests
{
    private const string Open = "--urls=http://127.0.0.1:0 --OciRegistry:PathBase=/registry";

    [Theory]
    [InlineData("/registry")]
    [InlineData("")] // a proxy has removed it
    public async Task Every_address_in_a_response_begins_with_it(string sent)
    {
        await using var server = ServerProcess.Start(Open);
        using var http = RegistryClient.To(await server.UntilListeningAsync());
        var blob = RegistryClient.RandomBytes(100);

        using var started = await http.RequestAsync("POST", $"{sent}/v2/a/blobs/uploads/");
        var location = started.Headers.Location!.ToString();
        location.ShouldStartWith("/registry/v2/a/blobs/uploads/");
        using var put = await http.CompleteAsync(location, Digest.Of(blob).ToString(), blob);
        put.Headers.Location!.ToString().ShouldBe($"/registry/v2/a/blobs/{Digest.Of(blob)}");
        using var pulled = await http.GetAsync(put.Headers.Location);
        await pulled.ShouldBeContentAsync(Digest.Of(blob), blob);
        foreach (var tag in new[] { "v1", "v2" })
        {
            using var manifest = await http.RequestAsync(
                "PUT", $"{sent}/v2/a/manifests/{tag}", RegistryClient.EmptyIndex(), ("Content-Type", MediaTypes.ImageIndex));
            manifest.Headers.Location!.ToString().ShouldStartWith("/registry/v2/a/manifests/sha256:");
        }

        using var tags = await http.RequestAsync("GET", $"{sent}/v2/a/tags/list?n=1");
        tags.Header("Link").ShouldBe("</registry/v2/a/tags/list?n=1&last=v1>; rel=\"next\"");
        using var slash = await http.RequestAsync("GET", $"{sent}/v2/a/tags/list/");
        slash.Headers.Location!.ToString().ShouldBe("/registry/v2/a/tags/list");
    }

    [Fact]
    public async Task Clients_are_sent_to_it_for_tokens()
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Auth:Robots=true");
        var url = await server.UntilListeningAsync();
        using var http = RegistryClient.To(url);

        using var answer = await http.RequestAsync("GET", "/registry/v2/");

        answer.Header("WWW-Authenticate")!.ShouldContain($"realm=\"{url}registry/token\"");
        using var token = await http.RequestAsync("GET", "/registry/token");
        await token.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("/livez")]
    [InlineData("/readyz")]
    [InlineData("/metrics")]
    [InlineData("/")]
    public async Task Health_and_metrics_are_answered_with_it_and_without_it(string path)
    {
        await using var server = ServerProcess.Start(Open);
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        foreach (var prefix in new[] { "", "/registry" })
        {
            using var answer = await http.RequestAsync("GET", prefix + path);
            await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }
    }

    [Theory]
    [InlineData("/registry/ADMIN/uploads")]
    [InlineData("/registry/admin/UPLOADS")]
    [InlineData("/registry/%61dmin/uploads")]
    [InlineData("/REGISTRY/admin/uploads")]
    [InlineData("/registry/registry/admin/uploads")]
    [InlineData("/registryadmin/uploads")]
    [InlineData("/registry/v2/../admin/uploads")]
    public async Task A_path_that_a_proxy_reads_otherwise_is_rejected_behind_it(string target)
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Operations:Admin=true");
        var url = await server.UntilListeningAsync();

        (await RawHttp.AskAsync(url, "GET /registry/admin/uploads HTTP/1.1")).Status.ShouldBe(200);
        (await RawHttp.AskAsync(url, $"GET {target} HTTP/1.1")).ShouldBeRefused();
    }

    [Theory]
    [InlineData("/a/b/%63/ADMIN/uploads")]
    [InlineData("/a/b/%63/admin/uploads")]
    [InlineData("/%61/b/c/metrics")]
    public async Task A_prefix_that_is_sent_encoded_is_none(string target)
    {
        await using var server = ServerProcess.Start(
            "--urls=http://127.0.0.1:0 --OciRegistry:PathBase=/a/b/c --OciRegistry:Operations:Admin=true");
        var url = await server.UntilListeningAsync();

        (await RawHttp.AskAsync(url, "GET /a/b/c/admin/uploads HTTP/1.1")).Status.ShouldBe(200);
        (await RawHttp.AskAsync(url, $"GET {target} HTTP/1.1")).ShouldBeRefused();
    }

    [Theory]
    [InlineData("registry")]
    [InlineData("/registry/")]
    [InlineData("/")]
    [InlineData("//a")]
    [InlineData("/a/../b")]
    [InlineData("/a%20b")]
    [InlineData("/a?b")]
    [InlineData("/v2")]
    [InlineData("/admin/a")]
    public void A_path_that_cannot_be_a_prefix_is_an_error(string path) =>
        new ProxyOptions { PathBase = path }.Problems().ShouldHaveSingleItem().ShouldStartWith($"PathBase is '{path}'");

    [Theory]
    [InlineData("/registry")]
    [InlineData("/tools/registry.v1")]
    [InlineData("/v2-registry")]
    public void A_path_is_accepted(string path) => new ProxyOptions { PathBase = path }.Problems().ShouldBeEmpty();
}
