using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-2 and end-3: GET and HEAD of blobs and manifests.</summary>
public sealed class PullTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task A_pushed_image_is_pulled_byte_for_byte()
    {
        var layer = RegistryClient.RandomBytes(100_000);
        var manifest = await _http.PushImageAsync(_repository, "v1", layer);

        foreach (var reference in new[] { "v1", Digest.Of(manifest).ToString() })
        {
            using var pulled = await _http.GetManifestAsync(_repository, reference);
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
            pulled.Header("Content-Type").ShouldBe(MediaTypes.ImageManifest);
        }

        using var blob = await _http.GetBlobAsync(_repository, Digest.Of(layer));
        await blob.ShouldBeContentAsync(Digest.Of(layer), layer);
        blob.Header("Content-Type").ShouldBe("application/octet-stream");
        blob.Header("Accept-Ranges").ShouldBe("bytes");
    }

    [Theory]
    [InlineData("GET", "", HttpStatusCode.OK)]
    [InlineData("HEAD", "", HttpStatusCode.OK)]
    [InlineData("GET", "Range: bytes=0-0", HttpStatusCode.PartialContent)]
    [InlineData("GET", "Range: bytes=0-0,2-2", HttpStatusCode.PartialContent)]
    [InlineData("GET", "If-None-Match: *", HttpStatusCode.NotModified)]
    public async Task A_browser_neither_guesses_the_type_of_content_nor_runs_it(string method, string header, HttpStatusCode status)
    {
        var layer = RegistryClient.RandomBytes(100);
        await _http.PushImageAsync(_repository, "v1", layer);

        foreach (var path in new[] { "manifests/v1", $"blobs/{Digest.Of(layer)}" })
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), $"/v2/{_repository}/{path}");
            if (header.Length > 0 && (path != "manifests/v1" || status == HttpStatusCode.NotModified))
            {
                request.Headers.TryAddWithoutValidation(header.Split(": ")[0], header.Split(": ")[1]);
            }

            using var answer = await _http.SendAsync(request);

            answer.StatusCode.ShouldBe(path == "manifests/v1" && status == HttpStatusCode.PartialContent ? HttpStatusCode.OK : status);
            answer.Header("X-Content-Type-Options").ShouldBe("nosniff");
            answer.Header("Content-Security-Policy").ShouldBe("sandbox");
        }
    }

    [Fact]
    public async Task HEAD_of_a_blob_has_the_headers_of_GET_and_no_body()
    {
        var digest = await _http.PushBlobAsync(_repository, RegistryClient.RandomBytes(1_000));

        using var head = await _http.HeadBlobAsync(_repository, digest);

        head.StatusCode.ShouldBe(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(1_000);
        head.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        head.Header("ETag").ShouldBe($"\"{digest}\"");
        (await head.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task HEAD_of_a_manifest_has_the_headers_of_GET_and_no_body()
    {
        var manifest = await _http.PushImageAsync(_repository, "v1");

        using var head = await _http.RequestAsync("HEAD", $"/v2/{_repository}/manifests/v1");

        head.StatusCode.ShouldBe(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(manifest.Length);
        head.Header("Docker-Content-Digest").ShouldBe(Digest.Of(manifest).ToString());
        head.Header("Content-Type").ShouldBe(MediaTypes.ImageManifest);
        head.Header("ETag").ShouldBe($"\"{Digest.Of(manifest)}\"");
    }

    [Theory]
    [InlineData("blobs", "BLOB_UNKNOWN")]
    [InlineData("manifests", "MANIFEST_UNKNOWN")]
    public async Task What_is_not_in_the_repository_is_answered_with_404(string kind, string code)
    {
        await _http.PushBlobAsync(_repository, RegistryClient.RandomBytes(10));
        var absent = Digest.Of(RegistryClient.RandomBytes(10));

        foreach (var repository in new[] { _repository, RegistryClient.NewRepository() })
        {
            using var get = await _http.RequestAsync("GET", $"/v2/{repository}/{kind}/{absent}");
            await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, code);
            using var head = await _http.RequestAsync("HEAD", $"/v2/{repository}/{kind}/{absent}");
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
    }

    [Fact]
    public async Task Content_of_another_repository_is_not_in_this_one()
    {
        var other = RegistryClient.NewRepository();
        var layer = RegistryClient.RandomBytes(10);
        var manifest = await _http.PushImageAsync(other, "v1", layer);

        using var blob = await _http.GetBlobAsync(_repository, Digest.Of(layer));
        await blob.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        using var byTag = await _http.GetManifestAsync(_repository, "v1");
        await byTag.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        using var byDigest = await _http.GetManifestAsync(_repository, Digest.Of(manifest).ToString());
        await byDigest.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task A_blob_is_no_manifest_and_a_manifest_no_blob()
    {
        var layer = RegistryClient.RandomBytes(10);
        var manifest = await _http.PushImageAsync(_repository, "v1", layer);

        using var blob = await _http.GetBlobAsync(_repository, Digest.Of(manifest));
        await blob.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        using var asManifest = await _http.GetManifestAsync(_repository, Digest.Of(layer).ToString());
        await asManifest.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Theory]
    [InlineData("tags/list")]
    [InlineData("blobs/uploads")]
    [InlineData("manifests/referrers")]
    [InlineData("a/manifests/b")]
    public async Task A_repository_may_be_called_like_a_part_of_the_API(string name)
    {
        var repository = $"{_repository}/{name}";
        var layer = RegistryClient.RandomBytes(10);
        var manifest = await _http.PushImageAsync(repository, "v1", layer);

        using var byTag = await _http.GetManifestAsync(repository, "v1");
        await byTag.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        using var blob = await _http.GetBlobAsync(repository, Digest.Of(layer));
        await blob.ShouldBeContentAsync(Digest.Of(layer), layer);
        using var tags = await _http.RequestAsync("GET", $"/v2/{repository}/tags/list");
        (await tags.JsonAsync()).Texts("tags").ShouldBe(["v1"]);
        using var referrers = await _http.RequestAsync("GET", $"/v2/{repository}/referrers/{Digest.Of(manifest)}");
        (await referrers.JsonAsync())["manifests"]!.AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_digest_may_be_escaped()
    {
        var layer = RegistryClient.RandomBytes(10);
        var digest = await _http.PushBlobAsync(_repository, layer);

        foreach (var colon in new[] { "%3A", "%3a" })
        {
            var escaped = digest.ToString().Replace(":", colon, StringComparison.Ordinal);
            using var blob = await _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{escaped}");
            await blob.ShouldBeContentAsync(digest, layer);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("*/*")]
    [InlineData(MediaTypes.DockerManifest)] // there is no conversion: what was pushed is what there is
    [InlineData(MediaTypes.ImageIndex + ", " + MediaTypes.ImageManifest + ", */*;q=0.1")]
    [InlineData("text/html")]
    [InlineData("no media type")]
    public async Task Accept_does_not_change_a_manifest(string accept)
    {
        var manifest = await _http.PushImageAsync(_repository, "v1");

        using var pulled = await _http.RequestAsync("GET", $"/v2/{_repository}/manifests/v1", ("Accept", accept));

        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    [Fact]
    public async Task Nothing_is_compressed_whatever_the_client_would_take()
    {
        var layer = new byte[10_000];
        var digest = await _http.PushBlobAsync(_repository, layer);
        var manifest = await _http.PushImageAsync(_repository, "v1");
        (string, string)[] headers = [("Accept-Encoding", "gzip, br, zstd")];

        using var blob = await _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{digest}", headers);
        await blob.ShouldBeContentAsync(digest, layer);
        using var pulled = await _http.RequestAsync("GET", $"/v2/{_repository}/manifests/v1", headers);
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        pulled.Header("Content-Encoding").ShouldBeNull();
    }

    [Fact]
    public async Task An_ns_parameter_is_ignored() // a registry that is no proxy may; containerd sends it to mirrors
    {
        var manifest = await _http.PushImageAsync(_repository, "v1");

        using var pulled = await _http.RequestAsync("GET", $"/v2/{_repository}/manifests/v1?ns=docker.io");

        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }
}
