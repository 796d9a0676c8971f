using System.Net;
using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-2: "A registry SHOULD support … Range requests" (RFC 9110 §14).</summary>
public sealed class PullRangeTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    private const int Length = 200_000; // more than one read of the storage

    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(Length);
    private Digest _digest;

    public async ValueTask InitializeAsync() => _digest = await _http.PushBlobAsync(_repository, _blob);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData("bytes=0-0", 0, 0)]
    [InlineData("bytes=0-99", 0, 99)]
    [InlineData("bytes=100-", 100, Length - 1)]
    [InlineData("bytes=0-", 0, Length - 1)]
    [InlineData("bytes=-1", Length - 1, Length - 1)]
    [InlineData("bytes=-150000", 50_000, Length - 1)]
    [InlineData("bytes=-999999999", 0, Length - 1)]
    [InlineData("bytes=65535-131072", 65_535, 131_072)]
    [InlineData("bytes=199999-999999999", Length - 1, Length - 1)]
    public async Task A_range_is_answered_with_206_and_its_bytes(string header, int first, int last)
    {
        using var response = await GetAsync(("Range", header));

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        response.Header("Content-Range").ShouldBe($"bytes {first}-{last}/{Length}");
        response.Content.Headers.ContentLength.ShouldBe(last - first + 1);
        response.Header("Docker-Content-Digest").ShouldBe(_digest.ToString());
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeBytes(_blob[first..(last + 1)]);
    }

    [Theory]
    [InlineData("bytes=200000-")]
    [InlineData("bytes=200000-200001")]
    [InlineData("bytes=500-0")]
    [InlineData("bytes=-0")]
    [InlineData("bytes=99999999999-")]
    [InlineData("bytes=99999999999999999999999-")]
    [InlineData("bytes=200000-,500-0")]
    public async Task A_range_without_a_byte_of_the_blob_is_answered_with_416_and_the_length(string header)
    {
        using var response = await GetAsync(("Range", header));

        await response.ShouldBeErrorAsync(HttpStatusCode.RequestedRangeNotSatisfiable, "SIZE_INVALID");
        response.Header("Content-Range").ShouldBe($"bytes */{Length}");
    }

    [Theory]
    [InlineData("bytes=x")]
    [InlineData("bytes=0")]
    [InlineData("lines=0-1")]
    [InlineData("0-1")]
    [InlineData("bytes=0-,0-")]
    public async Task A_header_that_is_no_range_is_ignored(string header)
    {
        using var response = await GetAsync(("Range", header));

        await response.ShouldBeContentAsync(_digest, _blob);
        response.Header("Content-Range").ShouldBeNull();
    }

    [Fact]
    public async Task Several_ranges_are_answered_as_multipart_byteranges()
    {
        using var response = await GetAsync(("Range", "bytes=0-4,100000-170000,-1"));

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        response.Header("Content-Range").ShouldBeNull();
        var type = response.Content.Headers.ContentType!;
        type.MediaType.ShouldBe("multipart/byteranges");
        var boundary = type.Parameters.Single(parameter => parameter.Name == "boundary").Value;
        byte[] expected =
        [
            .. Head(0, 4), .. _blob[0..5],
            .. Head(100_000, 170_000), .. _blob[100_000..170_001],
            .. Head(Length - 1, Length - 1), .. _blob[^1..],
            .. Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n"),
        ];
        response.Content.Headers.ContentLength.ShouldBe(expected.Length);
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeBytes(expected);

        byte[] Head(int first, int last) => Encoding.ASCII.GetBytes(
            $"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n"
            + $"Content-Range: bytes {first}-{last}/{Length}\r\n\r\n");
    }

    [Fact]
    public async Task Of_several_ranges_only_the_satisfiable_are_answered()
    {
        using var response = await GetAsync(("Range", "bytes=10-19,200000-"));

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        response.Header("Content-Range").ShouldBe($"bytes 10-19/{Length}");
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeBytes(_blob[10..20]);
    }

    [Fact]
    public async Task If_Range_with_this_content_lets_the_range_through()
    {
        using var response = await GetAsync(("Range", "bytes=0-9"), ("If-Range", $"\"{_digest}\""));

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
    }

    [Theory]
    [InlineData("\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"")]
    [InlineData("W/\"x\"")]
    [InlineData("Wed, 21 Oct 2015 07:28:00 GMT")]
    [InlineData("nonsense")]
    public async Task If_Range_with_anything_else_gets_the_whole(string header)
    {
        using var response = await GetAsync(("Range", "bytes=0-9"), ("If-Range", header));

        await response.ShouldBeContentAsync(_digest, _blob);
    }

    [Fact]
    public async Task A_weak_tag_of_this_content_in_If_Range_gets_the_whole() // RFC 9110 §13.1.5: strong comparison
    {
        using var response = await GetAsync(("Range", "bytes=0-9"), ("If-Range", $"W/\"{_digest}\""));

        await response.ShouldBeContentAsync(_digest, _blob);
    }

    [Fact]
    public async Task HEAD_ignores_the_range() // RFC 9110 §14.2: only GET has ranges
    {
        using var response = await _http.RequestAsync(
            "HEAD", $"/v2/{_repository}/blobs/{_digest}", ("Range", "bytes=0-9"));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentLength.ShouldBe(Length);
    }

    [Fact]
    public async Task A_manifest_is_always_whole() // containerd asks for bytes=0- of manifests too
    {
        var manifest = await _http.PushImageAsync(_repository, "v1");

        using var response = await _http.RequestAsync("GET", $"/v2/{_repository}/manifests/v1", ("Range", "bytes=0-"));

        await response.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    [Fact]
    public async Task A_range_of_the_empty_blob_gets_the_whole()
    {
        var empty = await _http.PushBlobAsync(_repository, []);

        foreach (var range in new[] { "bytes=0-", "bytes=0-0", "bytes=-1" })
        {
            using var response = await _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{empty}", ("Range", range));
            await response.ShouldBeContentAsync(empty, []);
        }
    }

    private Task<HttpResponseMessage> GetAsync(params (string, string)[] headers) =>
        _http.RequestAsync("GET", $"/v2/{_repository}/blobs/{_digest}", headers);
}
