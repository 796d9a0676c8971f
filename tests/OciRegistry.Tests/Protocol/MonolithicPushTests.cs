using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-4a with end-6, and end-4b: a blob in one request with a body.</summary>
public sealed class MonolithicPushTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(10_000);

    private string Digest => OciRegistry.Digest.Of(_blob).ToString();

    [Theory]
    [InlineData("")]
    [InlineData("?_=unknown&n=5")]
    public async Task POST_starts_a_session(string query)
    {
        using var started = await _http.StartUploadAsync(_repository, query);

        var location = await started.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
        location.ShouldStartWith($"/v2/{_repository}/blobs/uploads/");
        started.Content.Headers.ContentLength.ShouldBe(0);
    }

    [Fact]
    public async Task POST_works_without_the_slash_at_the_end()
    {
        using var started = await _http.RequestAsync("POST", $"/v2/{_repository}/blobs/uploads", Array.Empty<byte>());

        await started.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
    }

    [Fact]
    public async Task Every_session_has_an_address_of_its_own()
    {
        var locations = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => _http.NewUploadAsync(_repository)));

        locations.ShouldBeUnique();
    }

    [Fact]
    public async Task PUT_with_the_whole_body_is_answered_with_201()
    {
        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), Digest, _blob);

        await put.ShouldHaveCreatedAsync(_http, OciRegistry.Digest.Of(_blob), _blob);
        put.Headers.Location!.ToString().ShouldBe($"/v2/{_repository}/blobs/{Digest}");
        put.Content.Headers.ContentLength.ShouldBe(0);
    }

    [Fact]
    public async Task PUT_with_a_body_of_unknown_length_is_answered_with_201()
    {
        var location = RegistryClient.WithQuery(await _http.NewUploadAsync(_repository), $"digest={Digest}");

        using var put = await _http.RequestAsync("PUT", location, _blob, ("Transfer-Encoding", "chunked"));

        await put.ShouldHaveCreatedAsync(_http, OciRegistry.Digest.Of(_blob), _blob);
    }

    [Theory]
    [InlineData("digest={0}:{1}&{2}")] // unescaped, and before our own parameters
    [InlineData("{2}&digest={0}%3A{1}")]
    [InlineData("digest={0}%3a{1}&{2}")]
    [InlineData("{2}&digest={0}:{1}&unknown=x%20y")]
    public async Task The_query_of_the_Location_may_be_reordered_and_escaped(string format)
    {
        var location = await _http.NewUploadAsync(_repository);
        var (path, query) = (location[..location.IndexOf('?', StringComparison.Ordinal)], location.Split('?')[1]);
        var digest = Digest.Split(':');
        var changed = $"{path}?{string.Format(null, format, digest[0], digest[1], query)}";

        using var put = await _http.RequestAsync("PUT", changed, _blob);

        await put.ShouldHaveCreatedAsync(_http, OciRegistry.Digest.Of(_blob), _blob);
    }

    [Fact]
    public async Task POST_with_digest_and_body_is_the_whole_upload()
    {
        using var post = await _http.RequestAsync("POST", $"/v2/{_repository}/blobs/uploads/?digest={Digest}", _blob);

        await post.ShouldHaveCreatedAsync(_http, OciRegistry.Digest.Of(_blob), _blob);
        post.Headers.GetValues("Location").ShouldHaveSingleItem().ShouldBe($"/v2/{_repository}/blobs/{Digest}");
    }

    [Fact]
    public async Task The_empty_blob_is_pushed_by_PUT_without_a_body()
    {
        var empty = OciRegistry.Digest.Of([]);

        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), empty.ToString());

        await put.ShouldHaveCreatedAsync(_http, empty, []);
    }

    [Fact]
    public async Task The_empty_blob_is_pushed_by_a_single_POST()
    {
        var empty = OciRegistry.Digest.Of([]);

        using var post = await _http.RequestAsync("POST", $"/v2/{_repository}/blobs/uploads/?digest={empty}", Array.Empty<byte>());

        await post.ShouldHaveCreatedAsync(_http, empty, []);
    }

    [Fact]
    public async Task The_empty_blob_is_pushed_by_PUT_with_an_empty_chunked_body()
    {
        var empty = OciRegistry.Digest.Of([]);
        var location = RegistryClient.WithQuery(await _http.NewUploadAsync(_repository), $"digest={empty}");

        using var put = await _http.RequestAsync("PUT", location, Array.Empty<byte>(), ("Transfer-Encoding", "chunked"));

        await put.ShouldHaveCreatedAsync(_http, empty, []);
    }

    [Fact]
    public async Task A_wrong_digest_is_answered_with_400_and_nothing_is_stored()
    {
        var wrong = OciRegistry.Digest.Of(RegistryClient.RandomBytes(10));
        var location = await _http.NewUploadAsync(_repository);

        using var put = await _http.CompleteAsync(location, wrong.ToString(), _blob);
        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
        using var post = await _http.RequestAsync("POST", $"/v2/{_repository}/blobs/uploads/?digest={wrong}", _blob);
        await post.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");

        foreach (var digest in new[] { wrong, OciRegistry.Digest.Of(_blob) })
        {
            using var head = await _http.HeadBlobAsync(_repository, digest);
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        // Bytes that are wrong are not kept for another try (R1.4).
        using var status = await _http.RequestAsync("GET", location);
        await status.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    [Theory]
    [InlineData("")]
    [InlineData("?digest=")]
    [InlineData("?digest=sha256:abc")]
    [InlineData("?digest=md5:d41d8cd98f00b204e9800998ecf8427e")]
    public async Task PUT_without_a_valid_digest_is_answered_with_400_and_the_session_stays(string query)
    {
        var location = await _http.NewUploadAsync(_repository);

        using var put = await _http.RequestAsync("PUT", location.Split('?')[0] + query, _blob);
        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");

        using var again = await _http.CompleteAsync(location, Digest, _blob);
        await again.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_replayed_PUT_is_answered_like_the_first() // R3.3
    {
        var location = await _http.NewUploadAsync(_repository);

        using var first = await _http.CompleteAsync(location, Digest, _blob);
        await first.ShouldHaveStatusAsync(HttpStatusCode.Created);

        foreach (var body in new[] { _blob, null })
        {
            using var again = await _http.CompleteAsync(location, Digest, body);
            await again.ShouldHaveCreatedAsync(_http, OciRegistry.Digest.Of(_blob), _blob);
            again.Headers.Location.ShouldBe(first.Headers.Location);
        }
    }

    [Fact]
    public async Task A_replayed_PUT_of_a_blob_that_was_deleted_since_is_answered_with_404()
    {
        var location = await _http.NewUploadAsync(_repository);
        using var first = await _http.CompleteAsync(location, Digest, _blob);
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/blobs/{Digest}");

        using var again = await _http.CompleteAsync(location, Digest);

        await again.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    [Fact]
    public async Task The_same_blob_may_be_pushed_by_many_at_once() // R3.5
    {
        var pushes = await Task.WhenAll(Enumerable.Range(0, 10).Select(async i =>
        {
            var repository = i % 2 == 0 ? _repository : $"{_repository}/{i}";
            using var put = await _http.CompleteAsync(await _http.NewUploadAsync(repository), Digest, _blob);
            using var head = await _http.HeadBlobAsync(repository, OciRegistry.Digest.Of(_blob));
            return (put.StatusCode, head.StatusCode);
        }));

        pushes.ShouldAllBe(push => push.Item1 == HttpStatusCode.Created && push.Item2 == HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_body_beyond_the_servers_default_limit_is_accepted() // Kestrel's is 30,000,000 bytes
    {
        var large = new byte[31_000_000];
        var digest = OciRegistry.Digest.Of(large);

        using var put = await _http.CompleteAsync(await _http.NewUploadAsync(_repository), digest.ToString(), large);

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        using var head = await _http.HeadBlobAsync(_repository, digest);
        head.Content.Headers.ContentLength.ShouldBe(large.Length);
    }
}
