using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>Headers that clients, caches and load balancers go by, whatever else an answer says.</summary>
public sealed class HeaderTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IDisposable
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly HttpClient _plain = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = fixture.Registry.Http.BaseAddress };
    private readonly string _repository = RegistryClient.NewRepository();

    public void Dispose() => _plain.Dispose();

    [Theory]
    [InlineData("GET", "/v2/", 200)]
    [InlineData("HEAD", "/v2", 200)]
    [InlineData("GET", "/v2/_catalog", 200)]
    [InlineData("GET", "/v2/a/manifests/none", 404)]
    [InlineData("POST", "/v2/a/blobs/uploads/", 202)]
    [InlineData("PUT", "/v2/BAD/manifests/x", 400)]
    [InlineData("PUT", "/v2/", 405)]
    [InlineData("GET", "/v2/nothing", 404)]
    [InlineData("GET", "/v2/a/tags/list/", 301)]
    public async Task Every_answer_below_v2_says_which_API_it_is(string method, string path, int status)
    {
        using var response = await _plain.RequestAsync(method, path);

        ((int)response.StatusCode).ShouldBe(status);
        response.Header("Docker-Distribution-Api-Version").ShouldBe("registry/2.0");
    }

    [Theory]
    [InlineData("GET", "/v2/a/tags/list/", "/v2/a/tags/list")]
    [InlineData("HEAD", "/v2/a/b/tags/list/?n=2&last=x%2Fy", "/v2/a/b/tags/list?n=2&last=x%2Fy")]
    [InlineData("GET", "/v2/_catalog/?n=1", "/v2/_catalog?n=1")]
    [InlineData("GET", "/v2/a/manifests/v1/", "/v2/a/manifests/v1")]
    [InlineData("HEAD", "/v2/a/blobs/sha256:x/", "/v2/a/blobs/sha256:x")]
    [InlineData("GET", "/v2/a/referrers/%3Cx%3E/", "/v2/a/referrers/%3Cx%3E")]
    public async Task A_slash_too_many_is_redirected(string method, string path, string location)
    {
        using var response = await _plain.RequestAsync(method, path);

        response.StatusCode.ShouldBe(HttpStatusCode.MovedPermanently);
        response.Header("Location").ShouldBe(location);
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("PUT", "/v2/a/manifests/v1/")]
    [InlineData("DELETE", "/v2/a/manifests/v1/")]
    [InlineData("GET", "/v2//evil.example/")]
    [InlineData("GET", "/v2/a/tags/list//")]
    public async Task Nothing_else_is_redirected(string method, string path)
    {
        using var response = await _plain.RequestAsync(method, path);

        await response.ShouldBeErrorAsync(HttpStatusCode.NotFound, "UNSUPPORTED");
    }

    [Fact]
    public async Task Content_by_digest_may_be_kept_for_ever_and_content_by_tag_may_not()
    {
        const string immutable = "max-age=31536000, immutable";
        var manifest = await _http.PushImageAsync(_repository, "v1", RegistryClient.RandomBytes(10));
        var digest = Digest.Of(manifest).ToString();
        var blob = (string)JsonNode.Parse(manifest)!["layers"]![0]!["digest"]!;
        foreach (var method in new[] { "GET", "HEAD" })
        {
            foreach (var path in new[] { $"manifests/{digest}", $"blobs/{blob}" })
            {
                using var content = await _http.RequestAsync(method, $"/v2/{_repository}/{path}");
                content.Header("Cache-Control").ShouldBe(immutable);
                using var unchanged = await _http.RequestAsync(
                    method, $"/v2/{_repository}/{path}", ("If-None-Match", content.Header("ETag")!));
                unchanged.StatusCode.ShouldBe(HttpStatusCode.NotModified);
                unchanged.Header("Cache-Control").ShouldBe(immutable);
                using var refused = await _http.RequestAsync(method, $"/v2/{_repository}/{path}", ("If-Match", "\"x\""));
                refused.StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
                refused.Header("Cache-Control").ShouldBeNull();
            }

            using var byTag = await _http.RequestAsync(method, $"/v2/{_repository}/manifests/v1");
            byTag.Header("Cache-Control").ShouldBeNull();
        }

        using var part = await _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{blob}", ("Range", "bytes=1-2"));
        part.Header("Cache-Control").ShouldBe(immutable);
        using var beyond = await _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{blob}", ("Range", "bytes=99-"));
        beyond.StatusCode.ShouldBe(HttpStatusCode.RequestedRangeNotSatisfiable);
        beyond.Header("Cache-Control").ShouldBeNull();
        using var unknown = await _http.GetManifestAsync(_repository, Digest.Of("none"u8).ToString());
        unknown.Header("Cache-Control").ShouldBeNull();
    }

    [Fact]
    public async Task A_plus_in_a_media_type_stays_one()
    {
        var subject = Digest.Of(await _http.PushImageAsync(_repository, "v1"));
        await _http.PushImageAsync(_repository, "sbom", subject: subject);

        var referrers = await _http.GetStringAsync(new Uri($"/v2/{_repository}/referrers/{subject}", UriKind.Relative));

        referrers.ShouldContain($"\"{MediaTypes.ImageManifest}\"");
    }
}
