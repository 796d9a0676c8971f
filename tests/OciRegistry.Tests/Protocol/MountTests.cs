using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>
/// end-11: POST …/uploads/?mount=&lt;digest&gt;&amp;from=&lt;repository&gt;. What cannot be mounted is an upload that
/// starts: clients have no other way to go on.
/// </summary>
public sealed class MountTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _source = RegistryClient.NewRepository();
    private readonly string _target = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(1_000);

    private Digest Digest => Digest.Of(_blob);

    public async ValueTask InitializeAsync() => await _http.PushBlobAsync(_source, _blob);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData("?mount={0}&from={1}")]
    [InlineData("?from={1}&mount={0}")]
    [InlineData("?from={1}&mount={0}&origin=registry.example")] // crane
    [InlineData("?mount={0}")] // regctl: from anywhere
    [InlineData("?mount={0}&from=")]
    public async Task A_blob_of_another_repository_is_mounted(string query)
    {
        foreach (var escaped in new[] { false, true })
        {
            var target = RegistryClient.NewRepository();
            var (digest, from) = escaped
                ? (Uri.EscapeDataString(Digest.ToString()), Uri.EscapeDataString(_source))
                : (Digest.ToString(), _source);

            using var mounted = await _http.StartUploadAsync(target, string.Format(null, query, digest, from));

            await mounted.ShouldHaveCreatedAsync(_http, Digest, _blob);
            mounted.Headers.Location!.ToString().ShouldBe($"/v2/{target}/blobs/{Digest}");
        }
    }

    [Fact]
    public async Task A_mounted_blob_makes_the_repository_and_can_be_used_in_a_manifest()
    {
        var config = await _http.PushBlobAsync(_target, "{}"u8.ToArray());
        using var mounted = await MountAsync(_target, Digest.ToString(), _source);

        using var put = await _http.PutManifestAsync(
            _target, "v1", RegistryClient.ImageManifest("{}"u8.ToArray(), [_blob]));

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        config.ShouldBe(Digest.Of("{}"u8));
    }

    [Fact]
    public async Task A_blob_is_mounted_onto_itself()
    {
        using var mounted = await MountAsync(_source, Digest.ToString(), _source);

        await mounted.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_blob_is_mounted_twice()
    {
        using var first = await MountAsync(_target, Digest.ToString(), _source);
        using var second = await MountAsync(_target, Digest.ToString(), _source);

        await second.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("another")]
    [InlineData("never-was")]
    [InlineData("Bad/Name")]
    [InlineData("../../etc")]
    [InlineData("_catalog")]
    [InlineData("%00")]
    public async Task A_source_without_the_blob_is_answered_with_a_session(string from)
    {
        using var another = await _http.CompleteAsync(
            await _http.NewUploadAsync("another"), Digest.Of("x"u8).ToString(), "x"u8.ToArray());

        using var answer = await _http.StartUploadAsync(_target, $"?mount={Digest}&from={from}");

        var location = await answer.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
        using var absent = await _http.HeadBlobAsync(_target, Digest);
        absent.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        using var put = await _http.CompleteAsync(location, Digest.ToString(), _blob);
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("")]
    [InlineData("&from={0}")]
    public async Task A_blob_that_nobody_has_is_answered_with_a_session(string from)
    {
        var absent = Digest.Of(RegistryClient.RandomBytes(10));

        using var answer = await _http.StartUploadAsync(
            _target, $"?mount={absent}{string.Format(null, from, _source)}");

        await answer.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
    }

    [Theory]
    [InlineData("")]
    [InlineData("sha256:abc")]
    [InlineData("latest")]
    public async Task A_mount_of_no_digest_is_answered_with_400(string digest)
    {
        using var answer = await MountAsync(_target, digest, _source);

        await answer.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task A_delete_in_the_source_does_not_touch_the_target()
    {
        using var mounted = await MountAsync(_target, Digest.ToString(), _source);
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_source}/blobs/{Digest}");
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);

        using var source = await _http.HeadBlobAsync(_source, Digest);
        source.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        using var target = await _http.GetBlobAsync(_target, Digest);
        await target.ShouldBeContentAsync(Digest, _blob);

        // And reading it there brings it back nowhere else (CVE-2026-35172).
        using var again = await _http.HeadBlobAsync(_source, Digest);
        again.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_deleted_blob_cannot_be_mounted()
    {
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_source}/blobs/{Digest}");

        using var named = await MountAsync(_target, Digest.ToString(), _source);
        await named.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
        using var anywhere = await _http.StartUploadAsync(_target, $"?mount={Digest}");
        await anywhere.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
    }

    [Fact]
    public async Task A_manifest_cannot_be_mounted_as_a_blob()
    {
        var manifest = await _http.PushImageAsync(_source, "v1");

        using var answer = await MountAsync(_target, Digest.Of(manifest).ToString(), _source);

        await answer.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
    }

    private Task<HttpResponseMessage> MountAsync(string repository, string digest, string from) =>
        _http.StartUploadAsync(repository, $"?mount={digest}&from={from}");
}
