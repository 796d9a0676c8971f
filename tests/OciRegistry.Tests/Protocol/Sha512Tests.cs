using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>Content is addressed by the digest it was pushed with; nothing is turned into sha256.</summary>
public sealed class Sha512Tests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(3_000);

    private Digest Digest => Digest.Of(_blob, DigestAlgorithm.Sha512);

    [Theory]
    [InlineData("")] // the conformance suite announces nothing
    [InlineData("?digest-algorithm=sha512")] // end-4c
    [InlineData("?digest-algorithm=sha256")]
    public async Task A_blob_is_pushed_in_chunks(string query)
    {
        using var started = await _http.StartUploadAsync(_repository, query);
        var location = await started.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
        using var chunk = await _http.PatchAsync(location, _blob[..1_000], "0-999");
        location = await chunk.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-999");
        using var streamed = await _http.PatchAsync(location, _blob[1_000..2_000], chunked: true);
        location = await streamed.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-1999");

        using var put = await _http.CompleteAsync(location, Digest.ToString(), _blob[2_000..]);

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_session_that_announced_sha512_may_close_with_sha256()
    {
        using var started = await _http.StartUploadAsync(_repository, "?digest-algorithm=sha512");
        using var chunk = await _http.PatchAsync(started.Headers.Location!.ToString(), _blob);
        var sha256 = OciRegistry.Digest.Of(_blob);

        using var put = await _http.CompleteAsync(chunk.Headers.Location!.ToString(), sha256.ToString());

        await put.ShouldHaveCreatedAsync(_http, sha256, _blob);
    }

    [Fact]
    public async Task A_request_without_bytes_before_the_algorithm_is_named_decides_nothing()
    {
        using var empty = await _http.PatchAsync(await _http.NewUploadAsync(_repository), []);
        var location = await empty.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");

        using var put = await _http.CompleteAsync(location, Digest.ToString(), _blob);

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("md5")]
    [InlineData("SHA512")]
    [InlineData("sha512,sha256")]
    [InlineData("blake3")]
    public async Task An_algorithm_that_is_not_supported_is_answered_with_400(string algorithm)
    {
        using var started = await _http.StartUploadAsync(_repository, $"?digest-algorithm={algorithm}");

        await started.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task A_blob_is_pushed_in_one_request()
    {
        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), Digest.ToString(), _blob);
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);

        using var post = await _http.RequestAsync(
            "POST", $"/v2/{RegistryClient.NewRepository()}/blobs/uploads/?digest={Digest}", _blob);
        await post.ShouldHaveCreatedAsync(_http, Digest, _blob);

        // It is not there under another name.
        using var head = await _http.HeadBlobAsync(_repository, OciRegistry.Digest.Of(_blob));
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task The_empty_blob_is_pushed()
    {
        var empty = OciRegistry.Digest.Of([], DigestAlgorithm.Sha512);

        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), empty.ToString());

        await put.ShouldHaveCreatedAsync(_http, empty, []);
    }

    [Fact]
    public async Task Wrong_bytes_are_refused()
    {
        using var put = await _http.CompleteAsync(
            await _http.NewUploadAsync(_repository), Digest.ToString(), _blob[..2_999]);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task A_blob_is_mounted_and_deleted()
    {
        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), Digest.ToString(), _blob);
        using var mounted = await _http.StartUploadAsync(
            RegistryClient.NewRepository(), $"?mount={Digest}&from={_repository}");
        await mounted.ShouldHaveCreatedAsync(_http, Digest, _blob);

        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/blobs/{Digest}");

        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var head = await _http.HeadBlobAsync(_repository, Digest);
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_manifest_and_its_tags_answer_with_the_digest_it_was_pushed_by()
    {
        var manifest = RegistryClient.EmptyIndex();
        var digest = OciRegistry.Digest.Of(manifest, DigestAlgorithm.Sha512);

        using var put = await _http.PutManifestAsync(
            _repository, $"{digest}?tag=a&tag=b", manifest, MediaTypes.ImageIndex);

        await put.ShouldHaveCreatedAsync(_http, digest, manifest);
        put.Header("OCI-Tag").ShouldBe("a,b");
        foreach (var reference in new[] { "a", "b", digest.ToString() })
        {
            using var pulled = await _http.GetManifestAsync(_repository, reference);
            await pulled.ShouldBeContentAsync(digest, manifest);
            using var head = await _http.RequestAsync("HEAD", $"/v2/{_repository}/manifests/{reference}");
            head.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        }

        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/{digest}");
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var gone = await _http.GetManifestAsync(_repository, "a");
        await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task A_manifest_may_refer_to_content_and_a_subject_by_sha512()
    {
        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), Digest.ToString(), _blob);
        var subject = OciRegistry.Digest.Of("any"u8, DigestAlgorithm.Sha512);
        var text = System.Text.Encoding.UTF8.GetString(RegistryClient.ImageManifest(_blob, [_blob], subject));
        var manifest = System.Text.Encoding.UTF8.GetBytes(
            text.Replace(OciRegistry.Digest.Of(_blob).ToString(), Digest.ToString(), StringComparison.Ordinal));

        using var pushed = await _http.PutManifestAsync(_repository, "v1", manifest);

        await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        pushed.Header("OCI-Subject").ShouldBe(subject.ToString());
        using var referrers = await _http.RequestAsync("GET", $"/v2/{_repository}/referrers/{subject}");
        ((string?)(await referrers.JsonAsync())["manifests"]![0]!["digest"])
            .ShouldBe(OciRegistry.Digest.Of(manifest).ToString());
    }
}
