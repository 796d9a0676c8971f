using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-9 and end-10: DELETE of tags, manifests and blobs.</summary>
public sealed class DeleteTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _manifest = RegistryClient.EmptyIndex();

    private Digest Digest => Digest.Of(_manifest);

    [Fact]
    public async Task A_deleted_tag_is_gone_and_its_manifest_and_other_tags_stay()
    {
        await PutAsync("v1");
        await PutAsync("v2");

        using var deleted = await DeleteAsync("manifests/v1");

        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        deleted.Content.Headers.ContentLength.ShouldBe(0);
        await ShouldBeUnknownAsync("manifests/v1", "MANIFEST_UNKNOWN");
        await ShouldBeThereAsync("v2");
        await ShouldBeThereAsync(Digest.ToString());
        (await TagsAsync()).ShouldBe(["v2"]);
    }

    [Fact]
    public async Task A_deleted_manifest_takes_every_tag_that_names_it_along()
    {
        await PutAsync("v1");
        await PutAsync("v2");
        var other = RegistryClient.EmptyIndex();
        using var put = await _http.PutManifestAsync(_repository, "other", other, MediaTypes.ImageIndex);

        using var deleted = await DeleteAsync($"manifests/{Digest}");

        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        foreach (var reference in new[] { "v1", "v2", Digest.ToString() })
        {
            await ShouldBeUnknownAsync($"manifests/{reference}", "MANIFEST_UNKNOWN");
        }

        (await TagsAsync()).ShouldBe(["other"]);
    }

    [Fact]
    public async Task A_tag_that_has_moved_on_stays_when_the_manifest_it_named_is_deleted()
    {
        await PutAsync("v1");
        var other = RegistryClient.EmptyIndex();
        using var moved = await _http.PutManifestAsync(_repository, "v1", other, MediaTypes.ImageIndex);

        using var deleted = await DeleteAsync($"manifests/{Digest}");

        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var tag = await _http.GetManifestAsync(_repository, "v1");
        await tag.ShouldBeContentAsync(Digest.Of(other), other);
    }

    [Fact]
    public async Task Pushing_a_deleted_manifest_again_does_not_revive_its_tags()
    {
        await PutAsync("v1");
        await PutAsync("v2");
        using var deleted = await DeleteAsync($"manifests/{Digest}");

        await PutAsync("v2");

        await ShouldBeThereAsync("v2");
        await ShouldBeUnknownAsync("manifests/v1", "MANIFEST_UNKNOWN");
        (await TagsAsync()).ShouldBe(["v2"]);
    }

    [Fact]
    public async Task A_deleted_referrer_is_pushed_again()
    {
        var subject = Digest.Of("subject"u8);
        var referrer = RegistryClient.ImageIndex([], subject);
        foreach (var _ in Enumerable.Range(0, 2))
        {
            using var put = await _http.PutManifestAsync(_repository, "v1", referrer, MediaTypes.ImageIndex);
            (await ReferrersAsync(subject)).ShouldBe(1);
            using var deleted = await DeleteAsync($"manifests/{Digest.Of(referrer)}");
            (await ReferrersAsync(subject)).ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_deleted_tag_does_not_take_the_referrers_entry_along()
    {
        var subject = Digest.Of("subject"u8);
        using var put = await _http.PutManifestAsync(
            _repository, "v1", RegistryClient.ImageIndex([], subject), MediaTypes.ImageIndex);

        using var deleted = await DeleteAsync("manifests/v1");

        (await ReferrersAsync(subject)).ShouldBe(1);
    }

    [Fact]
    public async Task A_blob_is_deleted_in_one_repository()
    {
        var other = RegistryClient.NewRepository();
        var blob = RegistryClient.RandomBytes(100);
        var digest = await _http.PushBlobAsync(_repository, blob);
        await _http.PushBlobAsync(other, blob);

        using var deleted = await DeleteAsync($"blobs/{digest}");

        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await ShouldBeUnknownAsync($"blobs/{digest}", "BLOB_UNKNOWN");
        using var there = await _http.GetBlobAsync(other, digest);
        await there.ShouldBeContentAsync(digest, blob);
    }

    [Fact]
    public async Task Deleted_content_is_pushed_again() // clients push and delete "{}" all the time
    {
        foreach (var _ in Enumerable.Range(0, 3))
        {
            var digest = await _http.PushBlobAsync(_repository, "{}"u8.ToArray());
            await PutAsync("v1");
            using var blob = await _http.GetBlobAsync(_repository, digest);
            await blob.ShouldBeContentAsync(digest, "{}"u8.ToArray());
            await ShouldBeThereAsync("v1");

            using var deletedManifest = await DeleteAsync($"manifests/{Digest}");
            using var deletedBlob = await DeleteAsync($"blobs/{digest}");
            deletedBlob.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            await ShouldBeUnknownAsync($"blobs/{digest}", "BLOB_UNKNOWN");
            await ShouldBeUnknownAsync("manifests/v1", "MANIFEST_UNKNOWN");
        }
    }

    [Theory]
    [InlineData("manifests/v1", "MANIFEST_UNKNOWN")]
    [InlineData("manifests/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "MANIFEST_UNKNOWN")]
    [InlineData("blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "BLOB_UNKNOWN")]
    public async Task What_is_not_there_is_answered_with_404(string path, string code)
    {
        using var unknownRepository = await DeleteAsync(path);
        await unknownRepository.ShouldBeErrorAsync(HttpStatusCode.NotFound, code);

        await _http.PushBlobAsync(_repository, [1]);
        using var unknownContent = await DeleteAsync(path);
        await unknownContent.ShouldBeErrorAsync(HttpStatusCode.NotFound, code);

        // And asking for it has not made anything of it.
        using var tags = await _http.RequestAsync("GET", $"/v2/{RegistryClient.NewRepository()}/tags/list");
        tags.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_second_delete_is_answered_with_404()
    {
        await PutAsync("v1");
        var blob = await _http.PushBlobAsync(_repository, [1]);
        foreach (var (path, code) in new[]
        {
            ("manifests/v1", "MANIFEST_UNKNOWN"),
            ($"manifests/{Digest}", "MANIFEST_UNKNOWN"),
            ($"blobs/{blob}", "BLOB_UNKNOWN"),
        })
        {
            using var first = await DeleteAsync(path);
            first.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            using var second = await DeleteAsync(path);
            await second.ShouldBeErrorAsync(HttpStatusCode.NotFound, code);
        }
    }

    [Fact]
    public async Task Of_many_deletes_at_once_one_finds_the_tag()
    {
        await PutAsync("v1");

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ =>
        {
            using var deleted = await DeleteAsync("manifests/v1");
            return deleted.StatusCode;
        }));

        answers.Count(status => status == HttpStatusCode.Accepted).ShouldBe(1);
        answers.Count(status => status == HttpStatusCode.NotFound).ShouldBe(9);
    }

    private async Task PutAsync(string tag)
    {
        using var put = await _http.PutManifestAsync(_repository, tag, _manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private Task<HttpResponseMessage> DeleteAsync(string path) =>
        _http.RequestAsync("DELETE", $"/v2/{_repository}/{path}");

    private async Task ShouldBeThereAsync(string reference)
    {
        using var get = await _http.GetManifestAsync(_repository, reference);
        await get.ShouldBeContentAsync(Digest, _manifest);
    }

    private async Task ShouldBeUnknownAsync(string path, string code)
    {
        using var get = await _http.RequestAsync("GET", $"/v2/{_repository}/{path}");
        await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, code);
        using var head = await _http.RequestAsync("HEAD", $"/v2/{_repository}/{path}");
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    private async Task<string[]> TagsAsync()
    {
        using var list = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
        return (await list.JsonAsync()).Texts("tags");
    }

    private async Task<int> ReferrersAsync(Digest subject)
    {
        using var list = await _http.RequestAsync("GET", $"/v2/{_repository}/referrers/{subject}");
        return (await list.JsonAsync())["manifests"]!.AsArray().Count;
    }
}
