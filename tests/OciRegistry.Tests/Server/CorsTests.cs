using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>CORS: what a browser lets a page of another site do, and what the registry lets it change.</summary>
public sealed class CorsTests
{
    private const string Ui = "https://ui.example";
    private const string Open = "--urls=http://127.0.0.1:0 --OciRegistry:Operations:Admin=true";

    [Theory]
    [InlineData("POST", "/v2/a/blobs/uploads/")]
    [InlineData("PUT", "/v2/a/manifests/v1")]
    [InlineData("PATCH", "/v2/a/blobs/uploads/x")]
    [InlineData("DELETE", "/v2/a/manifests/v1")]
    [InlineData("GET", "/token")]
    public async Task A_preflight_of_a_listed_origin_is_allowed(string method, string path)
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Cors:Origins={Ui}");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var answer = await PreflightAsync(http, path, method, Ui);

        await answer.ShouldHaveStatusAsync(HttpStatusCode.NoContent);
        answer.Header("Access-Control-Allow-Origin").ShouldBe(Ui);
        answer.Header("Access-Control-Allow-Credentials").ShouldBe("true");
        answer.Header("Access-Control-Allow-Methods")!.ShouldContain(method);
        answer.Header("Access-Control-Allow-Headers")!.ShouldContain("Authorization");
    }

    [Fact]
    public async Task A_page_of_a_listed_origin_pushes_and_reads_what_it_needs()
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Cors:Origins:0=https://other.example --OciRegistry:Cors:Origins:1={Ui}");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var started = await http.RequestAsync("POST", "/v2/a/blobs/uploads/", ("Origin", Ui), ("Sec-Fetch-Site", "cross-site"));

        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        started.Header("Access-Control-Allow-Origin").ShouldBe(Ui);
        var exposed = started.Header("Access-Control-Expose-Headers")!.Split(',');
        foreach (var header in started.Headers.Select(header => header.Key).Where(IsOfTheRegistry))
        {
            exposed.ShouldContain(header, StringComparer.OrdinalIgnoreCase);
        }

        static bool IsOfTheRegistry(string name) =>
            name is not ("Date" or "Vary" or "Server") && !name.StartsWith("Access-Control-", StringComparison.Ordinal);
    }

    [Fact]
    public async Task Errors_and_challenges_can_be_read_as_well()
    {
        await using var server = ServerProcess.Start($"--urls=http://127.0.0.1:0 --OciRegistry:Auth:Robots=true --OciRegistry:Cors:Origins={Ui}");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var answer = await http.RequestAsync("GET", "/v2/", ("Origin", Ui));

        await answer.ShouldHaveStatusAsync(HttpStatusCode.Unauthorized);
        answer.Header("Access-Control-Allow-Origin").ShouldBe(Ui);
        answer.Header("Access-Control-Expose-Headers")!.ShouldContain("WWW-Authenticate");
    }

    [Theory]
    [InlineData("https://evil.example")]
    [InlineData("http://ui.example")]
    [InlineData("https://ui.example:8443")]
    [InlineData("https://ui.example.evil.example")]
    [InlineData("null")]
    public async Task A_page_of_another_origin_reads_and_changes_nothing(string origin)
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Cors:Origins={Ui}");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var preflight = await PreflightAsync(http, "/v2/a/blobs/uploads/", "POST", origin);
        preflight.Header("Access-Control-Allow-Origin").ShouldBeNull();
        using var read = await http.RequestAsync("GET", "/v2/", ("Origin", origin));
        read.Header("Access-Control-Allow-Origin").ShouldBeNull();
        using var started = await http.RequestAsync("POST", "/v2/a/blobs/uploads/", ("Origin", origin));
        await started.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
    }

    [Fact]
    public async Task The_admin_API_is_closed_to_pages_of_listed_origins()
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Cors:Origins={Ui}");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var preflight = await PreflightAsync(http, "/admin/uploads/x", "DELETE", Ui);
        preflight.Header("Access-Control-Allow-Origin").ShouldBeNull();
        using var read = await http.RequestAsync("GET", "/admin/uploads", ("Origin", Ui));
        read.Header("Access-Control-Allow-Origin").ShouldBeNull();
        using var ended = await http.RequestAsync("DELETE", "/admin/uploads/x", ("Origin", Ui));
        await ended.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var robot = await http.RequestAsync("POST", "/admin/prefetch", ("Origin", Ui));
        await robot.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
    }

    [Fact]
    public async Task Every_page_may_read_without_credentials_and_change_nothing_with_an_asterisk()
    {
        await using var server = ServerProcess.Start($"{Open} --OciRegistry:Cors:Origins=*");
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var read = await http.RequestAsync("GET", "/v2/", ("Origin", Ui));
        read.Header("Access-Control-Allow-Origin").ShouldBe("*");
        read.Header("Access-Control-Allow-Credentials").ShouldBeNull();
        foreach (var origin in new[] { Ui, "*" })
        {
            using var started = await http.RequestAsync("POST", "/v2/a/blobs/uploads/", ("Origin", origin));
            await started.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        }
    }

    [Fact]
    public async Task Without_origins_preflights_are_rejected()
    {
        await using var server = ServerProcess.Start(Open);
        using var http = RegistryClient.To(await server.UntilListeningAsync());

        using var answer = await PreflightAsync(http, "/v2/a/manifests/v1", "PUT", Ui);

        await answer.ShouldHaveStatusAsync(HttpStatusCode.MethodNotAllowed);
        answer.Header("Access-Control-Allow-Origin").ShouldBeNull();
    }

    [Theory]
    [InlineData("ui.example")]
    [InlineData("https://ui.example/")]
    [InlineData("https://ui.example/path")]
    [InlineData("https://ui.example:443")]
    [InlineData("https://UI.example")]
    [InlineData("https://user@ui.example")]
    [InlineData("https://übersicht.example")]
    [InlineData("ftp://ui.example")]
    [InlineData("null")]
    [InlineData("https://*.example")]
    [InlineData("*", Ui)]
    public void An_origin_that_no_browser_sends_is_an_error(params string[] origins)
    {
        var options = new OciRegistryOptions { Cors = { Origins = origins } };

        options.Problems().ShouldHaveSingleItem().ShouldStartWith("Cors:Origins has ");
    }

    [Theory]
    [InlineData("https://ui.example")]
    [InlineData("http://localhost:3000")]
    [InlineData("http://[::1]:8080")]
    [InlineData("*")]
    public void An_origin_as_browsers_send_it_is_accepted(string origin) =>
        new OciRegistryOptions { Cors = { Origins = [origin] } }.Problems().ShouldBeEmpty();

    private static Task<HttpResponseMessage> PreflightAsync(HttpClient http, string path, string method, string origin) => http.RequestAsync(
        "OPTIONS", path, ("Origin", origin), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", "authorization"));
}
