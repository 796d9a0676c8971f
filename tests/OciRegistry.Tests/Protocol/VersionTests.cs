using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-1: GET /v2/.</summary>
public sealed class VersionTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;

    [Theory]
    [InlineData("/v2/")]
    [InlineData("/v2")]
    public async Task Version_check_is_answered_with_200_and_an_empty_object(string path)
    {
        using var response = await _http.RequestAsync("GET", path);

        (await response.JsonAsync()).ToJsonString().ShouldBe("{}");
        response.Header("Docker-Distribution-API-Version").ShouldBe("registry/2.0");
        response.Header("Content-Type").ShouldBe("application/json");
    }

    [Fact]
    public async Task HEAD_has_the_headers_of_GET_and_no_body()
    {
        using var response = await _http.RequestAsync("HEAD", "/v2/");

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentLength.ShouldBe(2);
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
    }
}
