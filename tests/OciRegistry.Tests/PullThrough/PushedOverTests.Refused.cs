using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Pushes that are refused, or fail, after they have changed something.</summary>
public sealed partial class PushedOverTests
{
    [Theory]
    [InlineData("nothing")]
    [InlineData("cached")]
    [InlineData("pushed")]
    public async Task A_push_that_is_refused_when_it_begins_again_leaves_its_other_tag_as_it_was(string before)
    {
        byte[]? was = null;
        if (before == "cached")
        {
            was = _upstream.AddImage("a", "t2", RegistryClient.RandomBytes(1_000)).Manifest;
            await AssertNamesAsync("a", "t2", was);
        }
        else if (before == "pushed")
        {
            was = RegistryClient.EmptyIndex();
            (await PutAsync(was, tag: "t2")).StatusCode.ShouldBe(HttpStatusCode.Created);
        }

        await RefuseSecondRoundAsync(() => Task.CompletedTask);

        if (was is not null)
        {
            await AssertNamesAsync("a", "t2", was);
            return;
        }

        using var pulled = await Http.GetManifestAsync("up/a", "t2");
        pulled.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await _registry.Documents.ReadAsync(RegistryLayout.Tag(Repository("a"), TagNamed("t2")), default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_push_that_is_refused_when_it_begins_again_leaves_the_tag_of_another_that_was_acknowledged()
    {
        var other = RegistryClient.EmptyIndex();

        await RefuseSecondRoundAsync(async () =>
            (await PutAsync(other, tag: "t2")).StatusCode.ShouldBe(HttpStatusCode.Created));

        await AssertNamesAsync("a", "t2", other);
    }

    [Fact]
    public async Task The_reverse_entry_of_what_the_upstream_said_goes_with_a_push_and_stays_when_that_fails()
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var ours = RegistryClient.EmptyIndex();
        var reverse = RegistryLayout.Tagged(Repository("a"), theirs.Digest, TagNamed("v1"));
        _registry.Plan.Fail(
            StoreCall.DocumentWrite, on: RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());

        (await PutAsync(ours)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await _registry.Documents.ReadAsync(reverse, default)).ShouldNotBeNull();
        (await PutAsync(ours)).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await _registry.Documents.ReadAsync(reverse, default)).ShouldBeNull();
    }

    [Theory]
    [InlineData(false)] // its content is gone
    [InlineData(true)] // the storage fails
    public async Task A_pushed_blob_that_is_not_kept_leaves_no_note_that_it_was_pushed(bool fails)
    {
        var image = await CachedAsync("a");
        var (layer, content) = image.Layers[0];
        var (noting, closing) = await PushUntilNotingAsync(layer, content);
        if (fails)
        {
            (await Http.DeleteAsync($"/v2/up/a/blobs/{layer}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
            _registry.Plan.Fail(
                StoreCall.DocumentWrite, on: RegistryLayout.RepositoryBlob(Repository("a"), layer).ToString());
        }
        else
        {
            await Until.DoneAsync(SweepAsync());
            _registry.BlobFiles().ShouldBeEmpty();
        }

        noting.Release();

        using var closed = await Until.DoneAsync(closing);
        closed.StatusCode.ShouldBe(fails ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.NotFound);
        (await _registry.Documents.ReadAsync(RegistryLayout.PushedContent(Repository("a"), layer), default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_pushed_blob_that_is_not_kept_leaves_the_note_of_another_push()
    {
        var image = await CachedAsync("a");
        var (layer, content) = image.Layers[0];
        var (noting, closing) = await PushUntilNotingAsync(layer, content);
        await Until.DoneAsync(SweepAsync());
        var note = RegistryLayout.PushedContent(Repository("a"), layer);
        var taking = _registry.Plan.Hold(StoreCall.DocumentDelete, note.ToString());
        noting.Release();
        await taking.Reached;
        await Http.PushBlobAsync("up/a", content);
        taking.Release();

        (await Until.DoneAsync(closing)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await _registry.Documents.ReadAsync(note, default)).ShouldNotBeNull();
        (await Http.HeadBlobAsync("up/a", layer)).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_push_that_is_refused_after_its_manifest_was_noted_leaves_no_note_of_the_manifest()
    {
        var (config, layer) = (RegistryClient.RandomBytes(9), RegistryClient.RandomBytes(100));
        await Http.PushBlobAsync("up/a", config);
        await Http.PushBlobAsync("up/a", layer);
        var ours = RegistryClient.ImageManifest(config, [layer]);
        var tagging = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var push = Http.PutManifestAsync("up/a", "v1", ours);
        await tagging.Reached; // the manifest is noted
        (await Http.DeleteAsync($"/v2/up/a/blobs/{Digest.Of(layer)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        tagging.Release();

        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await _registry.Documents.ReadAsync(RegistryLayout.PushedContent(Repository("a"), Digest.Of(ours)), default))
            .ShouldBeNull();
    }

    /// <summary>
    /// A push of t1 and t2 that has stored both and begins again, because t1 is deleted; then it is refused, because its layer
    /// is deleted.
    /// </summary>
    private async Task RefuseSecondRoundAsync(Func<Task> meanwhile)
    {
        var (config, layer) = (RegistryClient.RandomBytes(9), RegistryClient.RandomBytes(100));
        await Http.PushBlobAsync("up/a", config);
        await Http.PushBlobAsync("up/a", layer);
        var ours = RegistryClient.ImageManifest(config, [layer]);
        var ending = HoldNote(ours, nth: 2);
        var push = Http.PutManifestAsync("up/a", $"{Digest.Of(ours)}?tag=t1&tag=t2", ours);
        await ending.Reached; // its tags are stored
        await AssertNamesAsync("a", "t2", ours);
        (await Http.DeleteAsync("/v2/up/a/manifests/t1")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await Http.DeleteAsync($"/v2/up/a/blobs/{Digest.Of(layer)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await meanwhile();
        ending.Release();
        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    /// <summary>A push of a blob that is held before it notes that: the blob is linked.</summary>
    private async Task<(Fault Noting, Task<HttpResponseMessage> Closing)> PushUntilNotingAsync(Digest digest, byte[] content)
    {
        var noting = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.PushedContent(Repository("a"), digest).ToString());
        var location = await Http.NewUploadAsync("up/a");
        var closing = Http.CompleteAsync(location, digest.ToString(), content);
        await noting.Reached;
        return (noting, closing);
    }
}
