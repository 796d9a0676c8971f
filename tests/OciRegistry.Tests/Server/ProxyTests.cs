using System.Net;

namespace OciRegistry.Tests.Server;

/// <summary>What X-Forwarded-* do, from whom they are believed and from whom not.</summary>
public sealed class ProxyTests
{
    private const string Guarded = "--urls=http://127.0.0.1:0 --OciRegistry:Auth:Robots=true";

    [Fact]
    public async Task A_configured_proxy_says_where_clients_log_in()
    {
        await using var server = ServerProcess.Start($"{Guarded} --OciRegistry:Proxies:0=127.0.0.0/8");
        using var client = Behind(await server.UntilListeningAsync());

        using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));

        answer.Headers.WwwAuthenticate.ToString().ShouldContain("realm=\"https://registry.example.com/token\"");
    }

    [Theory]
    [InlineData("")]
    [InlineData("--OciRegistry:Proxies:0=192.0.2.7")]
    public async Task Anybody_else_does_not(string proxies)
    {
        await using var server = ServerProcess.Start($"{Guarded} {proxies}");
        var url = await server.UntilListeningAsync();
        using var client = Behind(url);

        using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));

        answer.Headers.WwwAuthenticate.ToString().ShouldContain($"realm=\"{url}token\"");
    }

    [Theory]
    [InlineData("HTTPS", "https", false)]
    [InlineData("ftp", "http", true)]
    [InlineData("javascript", "http", true)]
    public async Task A_forwarded_scheme_is_http_or_https_or_is_ignored_with_a_warning(string sent, string scheme, bool warns)
    {
        await using var server = ServerProcess.Start($"{Guarded} --OciRegistry:Proxies:0=127.0.0.1");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        client.DefaultRequestHeaders.Add("X-Forwarded-For", "203.0.113.7");
        client.DefaultRequestHeaders.Add("X-Forwarded-Proto", sent);
        for (var i = 0; i < 2; i++)
        {
            using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));
            answer.Headers.WwwAuthenticate.ToString().ShouldContain($"realm=\"{scheme}://");
        }

        server.Terminate();
        (await server.UntilExitAsync()).Code.ShouldBe(0);
        server.Output.Split($"X-Forwarded-Proto is '{sent}'").Length.ShouldBe(warns ? 2 : 1);
    }

    [Fact]
    public async Task Nobody_comes_from_here_through_a_proxy()
    {
        await using var server = ServerProcess.Start("--urls=http://127.0.0.1:0 --OciRegistry:Proxies:0=127.0.0.1 --OciRegistry:Operations:Admin=true");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        client.DefaultRequestHeaders.Add("X-Forwarded-For", "127.0.0.1");

        using var answer = await client.GetAsync(new Uri("/admin/uploads", UriKind.Relative));

        answer.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Failed_logins_count_for_the_client_behind_the_proxy()
    {
        await using var server = ServerProcess.Start(
            $"{Guarded} --OciRegistry:Proxies:0=127.0.0.1 --OciRegistry:Auth:MaxFailedLogins=1 --OciRegistry:Auth:FailedLoginDelay=00:00:00");
        var url = await server.UntilListeningAsync();

        (await LoginAsync("203.0.113.1")).ShouldBe(HttpStatusCode.Unauthorized);
        (await LoginAsync("203.0.113.1")).ShouldBe(HttpStatusCode.TooManyRequests);
        (await LoginAsync("203.0.113.2")).ShouldBe(HttpStatusCode.Unauthorized);

        async Task<HttpStatusCode> LoginAsync(string address)
        {
            using var client = new HttpClient { BaseAddress = url };
            client.DefaultRequestHeaders.Add("X-Forwarded-For", address);
            client.DefaultRequestHeaders.Authorization = new("Basic", Convert.ToBase64String("robot+a:b"u8));
            using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));
            return answer.StatusCode;
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("--OciRegistry:Proxies:0=192.0.2.7")]
    public async Task A_proxy_that_is_not_configured_is_warned_of_once(string proxies)
    {
        await using var server = ServerProcess.Start($"{Guarded} {proxies}");
        using var client = Behind(await server.UntilListeningAsync());
        for (var i = 0; i < 3; i++)
        {
            using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));
        }

        server.Terminate();
        await server.UntilExitAsync();

        server.Output.Split('\n').Where(line => line.Contains("X-Forwarded-For", StringComparison.Ordinal)).ShouldHaveSingleItem()
            .ShouldContain("127.0.0.1 sends X-Forwarded-For and is not a configured proxy");
        server.Output.ShouldContain("add it to OciRegistry:Proxies");
    }

    [Fact]
    public async Task A_configured_proxy_is_not_warned_of_nor_what_its_clients_send()
    {
        await using var server = ServerProcess.Start($"{Guarded} --OciRegistry:Proxies:0=127.0.0.1");
        using var client = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        foreach (var forwarded in new[] { "203.0.113.7", "10.9.9.9, 203.0.113.7" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/");
            request.Headers.Add("X-Forwarded-For", forwarded);
            using var answer = await client.SendAsync(request);
        }

        server.Terminate();
        await server.UntilExitAsync();

        server.Output.ShouldNotContain("X-Forwarded-For");
    }

    private static HttpClient Behind(Uri url)
    {
        var client = new HttpClient { BaseAddress = url };
        client.DefaultRequestHeaders.Add("X-Forwarded-Proto", "https");
        client.DefaultRequestHeaders.Add("X-Forwarded-Host", "registry.example.com");
        client.DefaultRequestHeaders.Add("X-Forwarded-For", "203.0.113.7");
        return client;
    }
}
