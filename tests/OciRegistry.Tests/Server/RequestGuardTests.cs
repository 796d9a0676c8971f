using System.Net;
using System.Net.Sockets;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>Requests that the server refuses before routing: by the host that they name, and by their target.</summary>
public sealed class RequestGuardTests
{
    private const string Here = "--urls=http://127.0.0.1:0";

    [Fact]
    public async Task An_open_registry_on_loopback_answers_loopback_hosts_and_no_other()
    {
        await using var server = ServerProcess.Start(Here);
        var url = await server.UntilListeningAsync();

        foreach (var host in (string?[])["localhost", "LocalHost:5000", "localhost.", "localhost.:1", "registry.localhost:5000", "127.0.0.1", "127.9.8.7:80", "[::1]:5000", "", null])
        {
            (await AskAsync(url, host)).Status.ShouldBe(200, host);
        }

        foreach (var host in (string[])["evil.example", "EVIL.example:80", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example", "192.0.2.1", "[2001:db8::1]:5000"])
        {
            var refused = await AskAsync(url, host);
            refused.Status.ShouldBe(421, host);
            refused.Codes.ShouldBe(["DENIED"]);
            refused.Body.ShouldContain("OciRegistry:Hosts");
        }

        // A rebound page can send these, and nothing else by another Host.
        (await AskAsync(url, "evil.example", "X-Forwarded-Host: localhost\r\n")).Status.ShouldBe(421);
        (await AskAsync(url, "evil.example", path: "/metrics")).Status.ShouldBe(421);
    }

    [Fact]
    public async Task A_host_of_the_settings_is_answered_as_well()
    {
        await using var server = ServerProcess.Start(
            $"{Here} --OciRegistry:Hosts=Registry.Test --OciRegistry:PullThrough:Upstreams:0:Prefix=hub"
            + " --OciRegistry:PullThrough:Upstreams:0:Url=https://registry.example.com --OciRegistry:PullThrough:Upstreams:0:MirrorHosts=mirror.test:5001");
        var url = await server.UntilListeningAsync();

        (await AskAsync(url, "registry.test:5000")).Status.ShouldBe(200);
        (await AskAsync(url, "registry.test.")).Status.ShouldBe(200);
        (await AskAsync(url, "mirror.test:5001")).Status.ShouldBe(200);
        (await AskAsync(url, "other.test")).Status.ShouldBe(421);
    }

    [Theory]
    [InlineData($"{Here} --OciRegistry:Auth:Robots=true", 401)]
    [InlineData("--urls=http://0.0.0.0:0 --OciRegistry:Auth:AllowAnonymous=true", 200)]
    public async Task A_registry_with_logins_or_for_others_answers_any_host(string arguments, int status)
    {
        await using var server = ServerProcess.Start(arguments);
        var url = new UriBuilder(await server.UntilListeningAsync()) { Host = "127.0.0.1" }.Uri;

        (await AskAsync(url, "registry.example.com")).Status.ShouldBe(status);
    }

    [Fact]
    public async Task The_authority_of_HTTP_2_counts_like_a_host()
    {
        await using var server = ServerProcess.Start($"{Here} --Kestrel:EndpointDefaults:Protocols=Http2");
        var url = await server.UntilListeningAsync();
        using var http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancel) =>
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(url.Host, url.Port, cancel); // whatever the name is, as if it was made to lead here
                return new NetworkStream(socket, ownsSocket: true);
            },
        });

        (await StatusAsync("evil.example")).ShouldBe(421);
        (await StatusAsync("localhost")).ShouldBe(200);

        async Task<int> StatusAsync(string host)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"http://{host}/v2/")
            {
                Version = HttpVersion.Version20,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            using var answer = await http.SendAsync(request);
            return (int)answer.StatusCode;
        }
    }

    [Fact]
    public async Task A_path_that_a_proxy_may_read_otherwise_is_refused()
    {
        await using var server = ServerProcess.Start($"{Here} --OciRegistry:Operations:Admin=true");
        var url = await server.UntilListeningAsync();

        foreach (var path in (string[])
        [
            "/v2/../metrics", "/v2/%2e%2e/metrics", "/v2/%2E./metrics", "/v2/.%2e/metrics", "/v2/./_catalog", "/v2/%2e/_catalog", "/v2/a/..",
            "/v2/..%2fmetrics", "/v2/..%5cmetrics", "/v2/..\\metrics", "/../v2/", "/v2/..?a=b", $"http://{url.Authority}/v2/../metrics",
        ])
        {
            var refused = await AskAsync(url, url.Authority, path: path);
            refused.Status.ShouldBe(400, path);
            refused.Codes.ShouldBe(["UNSUPPORTED"], path);
        }

        foreach (var path in (string[])["/ADMIN/uploads", "/admin/Uploads", "/%61dmin/uploads", "/V2/", "/V2/_catalog", "/%762/", "/Metrics", "/LIVEZ"])
        {
            var refused = await AskAsync(url, url.Authority, path: path);
            refused.Status.ShouldBe(404, path);
            refused.Codes.ShouldBe(["UNSUPPORTED"], path);
        }

        // A dot that is no segment, an encoded name and a query are none of its business.
        foreach (var (path, status) in ((string, int)[])
        [
            ("/v2/", 200), ("/v2", 200), ("/admin/uploads", 200), ("/livez?A=/../B", 200), ("/v2/a..b/tags/list", 400),
            ("/v2/a.b/manifests/v1..2", 404), ($"/v2/a/blobs/sha256%3A{new string('0', 64)}", 404), ($"http://{url.Authority}/livez", 200),
        ])
        {
            (await AskAsync(url, url.Authority, path: path)).Status.ShouldBe(status, path);
        }
    }

    [Fact]
    public async Task A_method_in_another_case_is_refused()
    {
        await using var server = ServerProcess.Start(Here);
        var url = await server.UntilListeningAsync();

        foreach (var method in (string[])["HeAD", "head", "Get", "pOST"])
        {
            var refused = await RawHttp.AskAsync(url, $"{method} /admin/uploads HTTP/1.1");
            refused.Status.ShouldBe(400, method);
            refused.Codes.ShouldBe(["UNSUPPORTED"], method);
        }
    }

    [Fact]
    public async Task A_content_length_is_digits_and_nothing_else()
    {
        await using var server = ServerProcess.Start(Here);
        var url = await server.UntilListeningAsync();

        foreach (var length in (string[])["+3", "-3", "0x3", "3 3", "3,3", "3.0", "", "3\u00a0", "99999999999999999999", $"+{new string('0', 100)}3"])
        {
            (await SendAsync(length)).Status.ShouldBe(400, length);
        }

        (await SendAsync("3")).Status.ShouldBe(202);
        (await SendAsync("003")).Status.ShouldBe(202);

        async Task<RawAnswer> SendAsync(string length) =>
            await RawHttp.AskAsync(url, $"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: {length}", "abc");
    }

    private static async Task<RawAnswer> AskAsync(Uri url, string? host, string headers = "", string path = "/v2/")
    {
        await using var raw = await RawHttp.ConnectAsync(url);
        await raw.SendAsync(host is null
            ? $"GET {path} HTTP/1.0\r\n{headers}\r\n"
            : $"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        return await raw.ReadAsync();
    }
}
