using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>What a page in a user's browser may have the browser do: nothing that changes anything, unless it is the registry's own.</summary>
public sealed class CrossSiteTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;

    [Theory]
    [InlineData("Origin: http://evil.example")]
    [InlineData("Origin: https://evil.example:5000")]
    [InlineData("Origin: null")]
    [InlineData("Origin: ")]
    [InlineData("Origin: {0}")] // no scheme
    [InlineData("Origin: http://{0}.evil.example")]
    [InlineData("Origin: http://evil.example\nOrigin: http://{0}")]
    [InlineData("Sec-Fetch-Site: cross-site")]
    [InlineData("Sec-Fetch-Site: Cross-Site")]
    [InlineData("Sec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\nOrigin: http://evil.example")]
    [InlineData("Origin: http://{0}\nSec-Fetch-Site: cross-site")]
    public async Task A_page_of_another_site_changes_nothing(string headers)
    {
        var repository = RegistryClient.NewRepository();
        using var refused = await StartUploadAsync(_http, repository, headers);

        await refused.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var text = new HttpRequestMessage(HttpMethod.Post, $"/v2/{repository}/blobs/uploads/?digest={Digest.Of("a"u8)}")
        {
            Content = new StringContent("a"), // text/plain, which needs no preflight
            Headers = { { "Origin", "http://evil.example" } },
        };
        using var pushed = await _http.SendAsync(text);
        await pushed.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
    }

    [Theory]
    [InlineData("")]
    [InlineData("Origin: http://{0}")]
    [InlineData("Origin: https://{0}")] // a proxy has ended TLS
    [InlineData("Origin: http://{0}\nSec-Fetch-Site: same-origin")]
    [InlineData("Host: 127.0.0.1:5000\nOrigin: https://registry.test\nSec-Fetch-Site: same-origin")] // a proxy has changed the host
    [InlineData("Sec-Fetch-Site: none")]
    [InlineData("Host: registry.test\nOrigin: http://REGISTRY.test")]
    [InlineData("Host: registry.test:443\nOrigin: https://registry.test")]
    public async Task The_registrys_own_page_and_clients_that_are_no_browser_may(string headers)
    {
        using var started = await StartUploadAsync(_http, RegistryClient.NewRepository(), headers);

        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task Any_page_may_read_what_its_browser_lets_it()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/") { Headers = { { "Origin", "null" }, { "Sec-Fetch-Site", "cross-site" } } };
        using var answer = await _http.SendAsync(request);

        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        answer.Headers.Contains("Access-Control-Allow-Origin").ShouldBeFalse();
    }

    [Fact]
    public async Task A_page_of_a_host_of_the_settings_may()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Hosts.Add("ui.example"));

        using var started = await StartUploadAsync(registry.Http, "a", "Origin: https://UI.example:8443\nSec-Fetch-Site: cross-site");
        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        using var refused = await StartUploadAsync(registry.Http, "a", "Origin: https://evil.example");
        await refused.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");

        // It names no hosts that requests may be sent to: an application has its own means for that.
        using var elsewhere = await StartUploadAsync(registry.Http, "a", "Host: other.example");
        await elsewhere.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    private static async Task<HttpResponseMessage> StartUploadAsync(HttpClient http, string repository, string headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/v2/{repository}/blobs/uploads/");
        foreach (var header in string.Format(null, headers, http.BaseAddress!.Authority).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = (header.Split(": ", 2)[0], header.Split(": ", 2)[1]);
            request.Headers.TryAddWithoutValidation(name, value).ShouldBeTrue();
        }

        return await http.SendAsync(request);
    }
}
