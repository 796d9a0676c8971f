using System.Net;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>spec.md#error-codes: the envelope, and what every answer carries.</summary>
public sealed class ErrorTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private const string TagOf129 =
        "ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt";

    private const string ADigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// <summary>"The code field MUST be one of the following".</summary>
    private static readonly string[] SpecCodes =
    [
        "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
        "UNSUPPORTED", "TOOMANYREQUESTS",
    ];

    private readonly HttpClient _http = fixture.Registry.Http;

    [Theory]
    [InlineData("/v2/a")]
    [InlineData("/v2/a/b")]
    [InlineData("/v2/a/b/c/d")]
    [InlineData("/v2/a/tags")]
    [InlineData("/v2/a/tags/")]
    [InlineData("/v2/a/blobs/uploads/x/y")]
    [InlineData("/v2/_oci/ext/discover")]
    [InlineData("/v2/a/Tags/List")]
    [InlineData("/v2/a/_layers/x")]
    public async Task An_address_that_is_none_of_ours_is_answered_with_404(string path)
    {
        foreach (var method in new[] { "GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS" })
        {
            using var response = await _http.RequestAsync(method, path);
            await response.ShouldBeErrorAsync(HttpStatusCode.NotFound, "UNSUPPORTED");
        }
    }

    [Theory]
    [InlineData("/v1/search?q=a")]
    [InlineData("/v2x/a/tags/list")]
    public async Task What_is_not_below_v2_is_not_ours_to_answer(string path)
    {
        using var response = await _http.RequestAsync("GET", path);

        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        response.Header("X-Request-Id").ShouldBeNull();
    }

    [Theory]
    [InlineData("/v2/", "GET, HEAD")]
    [InlineData("/v2/_catalog", "GET, HEAD")]
    [InlineData("/v2/a/tags/list", "GET, HEAD")]
    [InlineData("/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE")]
    [InlineData("/v2/a/blobs/" + ADigest, "GET, HEAD, DELETE")]
    [InlineData("/v2/a/referrers/" + ADigest, "GET, HEAD")]
    [InlineData("/v2/a/blobs/uploads/", "POST")]
    [InlineData("/v2/a/blobs/uploads/0", "PATCH, PUT, GET, HEAD, DELETE")]
    [InlineData("/v2/BAD/manifests/v1", "GET, HEAD, PUT, DELETE")]
    public async Task A_method_that_an_address_does_not_have_is_answered_with_405_and_what_it_has(string path, string allow)
    {
        string[] methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
        foreach (var method in methods.Except(allow.Split(", ")))
        {
            using var response = await _http.RequestAsync(method, path);

            response.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed, method);
            response.Content.Headers.Allow.ShouldBe(allow.Split(", "), ignoreOrder: true, method);
            if (method != "HEAD")
            {
                await response.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
            }
        }
    }

    [Theory]
    [InlineData("GET", "/v2/BAD/tags/list", HttpStatusCode.BadRequest, "NAME_INVALID")]
    [InlineData("GET", "/v2/a/tags/list?n=x", HttpStatusCode.NotFound, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/_catalog?n=x", HttpStatusCode.BadRequest, "UNSUPPORTED")]
    [InlineData("GET", "/v2/a/manifests/.x", HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/a/manifests/-x", HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/a/manifests/x%20y", HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/a/manifests/" + TagOf129, HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("DELETE", "/v2/a/manifests/.INVALID_MANIFEST_NAME", HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("DELETE", "/v2/a/manifests/" + TagOf129, HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("DELETE", "/v2/a/manifests/sha256:x", HttpStatusCode.BadRequest, "DIGEST_INVALID")]
    [InlineData("PUT", "/v2/a/manifests/.x", HttpStatusCode.BadRequest, "MANIFEST_INVALID")]
    [InlineData("PUT", "/v2/a/manifests/" + TagOf129, HttpStatusCode.BadRequest, "MANIFEST_INVALID")]
    [InlineData("GET", "/v2/a/manifests/sha256:x", HttpStatusCode.BadRequest, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/a/blobs/sha256:x", HttpStatusCode.BadRequest, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/a/blobs/x", HttpStatusCode.BadRequest, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/a/blobs/" + ADigest, HttpStatusCode.NotFound, "BLOB_UNKNOWN")]
    [InlineData("GET", "/v2/a/manifests/" + ADigest, HttpStatusCode.NotFound, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/a/blobs/uploads/x", HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN")]
    [InlineData("PUT", "/v2/a/blobs/uploads/x", HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN")]
    [InlineData("PUT", "/v2/a/manifests/v1", HttpStatusCode.BadRequest, "MANIFEST_INVALID")]
    public async Task Each_kind_of_mistake_has_its_code(string method, string path, HttpStatusCode status, string code)
    {
        using var response = await _http.RequestAsync(method, path);

        await response.ShouldBeErrorAsync(status, code);
        SpecCodes.ShouldContain(code);
    }

    [Fact]
    public async Task An_error_to_HEAD_has_the_headers_and_no_body()
    {
        using var response = await _http.RequestAsync("HEAD", $"/v2/a/blobs/{ADigest}");

        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        response.Content.Headers.ContentLength!.Value.ShouldBeGreaterThan(0);
        response.Header("X-Request-Id").ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public async Task Every_answer_has_an_id_of_its_own_which_is_never_the_clients()
    {
        var ids = new List<string>();
        foreach (var path in new[] { "/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/x", "/v2/" })
        {
            using var response = await _http.RequestAsync("GET", path, ("X-Request-Id", "evil"));
            ids.Add(response.Headers.GetValues("X-Request-Id").ShouldHaveSingleItem());
        }

        ids.ShouldBeUnique();
        ids.ShouldNotContain("evil");
    }

    [Theory]
    [InlineData("storage", HttpStatusCode.ServiceUnavailable, "5")]
    [InlineData("full", HttpStatusCode.InsufficientStorage, "30")]
    [InlineData("defect", HttpStatusCode.ServiceUnavailable, "5")]
    public async Task What_fails_here_is_never_500_and_may_be_tried_again(
        string fault, HttpStatusCode status, string retryAfter) // R0.6
    {
        await using var registry = await RegistryApp.StartAsync(services: services =>
            services.AddSingleton<IDocumentStore>(new FailingDocuments(fault switch
            {
                "storage" => new StorageException("secret path"),
                "full" => new StorageException("secret path") { IsFull = true },
                _ => new InvalidOperationException("secret path"),
            })));

        foreach (var (method, path) in new[]
        {
            ("GET", "/v2/_catalog"), ("GET", "/v2/a/manifests/v1"), ("GET", $"/v2/a/blobs/{ADigest}"),
            ("POST", "/v2/a/blobs/uploads/"), ("DELETE", "/v2/a/manifests/v1"),
        })
        {
            using var response = await registry.Http.RequestAsync(method, path);
            await response.ShouldBeErrorAsync(status, "UNAVAILABLE");
            response.Header("Retry-After").ShouldBe(retryAfter);
            (await response.Content.ReadAsStringAsync()).ShouldNotContain("secret");
        }

        registry.Log.Lines.ShouldContain(line => line.Contains("secret path", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_the_client_sent_is_told_back_as_JSON_that_no_browser_takes_for_a_page()
    {
        using var response = await _http.RequestAsync("GET", "/v2/BAD<script>/tags/list");

        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync())!["errors"]![0]!;
        ((string?)error["detail"]!["name"]).ShouldBe("BAD<script>");
        response.Header("Content-Type").ShouldBe("application/json");
        response.Header("X-Content-Type-Options").ShouldBe("nosniff");
    }

    private sealed class FailingDocuments(Exception fault) : IDocumentStore
    {
        public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) => throw fault;

        public ValueTask<string?> WriteAsync(
            DocumentKey key,
            ReadOnlyMemory<byte> content,
            WriteCondition condition,
            Durability durability,
            CancellationToken cancellationToken) => throw fault;

        public ValueTask<bool> DeleteAsync(
            DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
            throw fault;

        public ValueTask<IReadOnlyList<string>> ListAsync(
            string folder, string? after, int limit, CancellationToken cancellationToken) => throw fault;

        public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) => throw fault;

        public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) => throw fault;
    }
}
