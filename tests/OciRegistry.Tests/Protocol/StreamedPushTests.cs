using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>
/// PATCH without Content-Range: what docker, podman, Jib and the .NET SDK send. Not in the spec's text, but in its suite.
/// </summary>
public sealed class StreamedPushTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(200_000);
    private string _location = "";

    private Digest Digest => Digest.Of(_blob);

    public async ValueTask InitializeAsync() => _location = await _http.NewUploadAsync(_repository);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_blob_is_streamed_in_one_PATCH(bool chunked)
    {
        using var patch = await _http.PatchAsync(_location, _blob, chunked: chunked);
        var closing = await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var put = await _http.CompleteAsync(closing, Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Several_PATCHes_append_in_the_order_of_their_Locations(bool chunked) // .NET SDK
    {
        var location = _location;
        for (var from = 0; from < _blob.Length; from += 50_000)
        {
            using var patch = await _http.PatchAsync(location, _blob[from..(from + 50_000)], chunked: chunked);
            location = await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, $"0-{from + 49_999}");
        }

        using var put = await _http.CompleteAsync(location, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_repeated_PATCH_takes_effect_once() // Jib repeats what timed out, at the same address
    {
        using var patch = await _http.PatchAsync(_location, _blob, chunked: true);
        var closing = await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var again = await _http.PatchAsync(_location, _blob, chunked: true);
        await again.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var put = await _http.CompleteAsync(closing, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task The_closing_PUT_may_go_to_any_Location_of_the_session() // an empty one makes no claim
    {
        using var patch = await _http.PatchAsync(_location, _blob);

        using var put = await _http.CompleteAsync(_location, Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task PATCH_needs_no_Location_but_the_session()
    {
        var bare = _location.Split('?')[0];
        using var first = await _http.PatchAsync(bare, _blob[..100]);
        using var second = await _http.PatchAsync(bare, _blob[100..]);
        await second.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var put = await _http.CompleteAsync(bare, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_empty_PATCH_changes_nothing(bool chunked)
    {
        using var empty = await _http.PatchAsync(_location, [], chunked: chunked);
        var location = await empty.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
        using var patch = await _http.PatchAsync(location, _blob);
        location = await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");
        using var none = await _http.PatchAsync(location, [], chunked: chunked);
        location = await none.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var put = await _http.CompleteAsync(location, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("application/octet-stream")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/json")]
    public async Task The_type_of_a_body_does_not_matter(string contentType)
    {
        using var patch = await _http.RequestAsync("PATCH", _location, _blob, ("Content-Type", contentType));
        await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199999");

        using var put = await _http.CompleteAsync(_location, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }
}
