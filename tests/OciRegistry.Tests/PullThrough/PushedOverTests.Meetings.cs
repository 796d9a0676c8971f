using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Three requests that meet: a push, a delete or another push, and a pull.</summary>
public sealed partial class PushedOverTests
{
    [Fact]
    public async Task A_push_keeps_its_tag_though_a_delete_took_the_note_and_a_pull_pointed_the_tag_back()
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var ours = RegistryClient.EmptyIndex();
        var tagging = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Tag(Repository("a"), TagNamed("v1")).ToString());
        var push = PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await tagging.Reached; // (3) is done
        var ending = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.PushedContent(Repository("a"), Digest.Of(ours)).ToString());
        var unsure = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var delete = Http.DeleteAsync("/v2/up/a/manifests/v1");
        await unsure.Reached; // the former tag is deleted
        tagging.Release();
        await ending.Reached; // (4) is done
        unsure.Release();
        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertNamesAsync("a", "v1", theirs.Manifest); // the pull points the tag back
        ending.Release();
        await Until.DoneAsync(push);

        await AssertNamesAsync("a", "v1", ours);
    }

    [Fact]
    public async Task A_push_whose_tag_was_given_back_by_another_that_failed_is_not_acknowledged_without_its_tag()
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var (one, two) = (RegistryClient.EmptyIndex(), RegistryClient.EmptyIndex());
        var storing1 = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Manifest(Repository("a"), Digest.Of(one)).ToString());
        var first = Http.PutManifestAsync("up/a", "v1", one, MediaTypes.ImageIndex, h => h.TryAddWithoutValidation("If-None-Match", "*"));
        await storing1.Reached;
        var storing2 = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Manifest(Repository("a"), Digest.Of(two)).ToString());
        var second = Http.PutManifestAsync("up/a", "v1", two, MediaTypes.ImageIndex, h => h.TryAddWithoutValidation("If-None-Match", "*"));
        await storing2.Reached;
        var ending = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.PushedContent(Repository("a"), Digest.Of(one)).ToString());
        storing1.Release();
        await ending.Reached; // the first has stored its tag
        storing2.Release();
        (await Until.DoneAsync(second)).StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        ending.Release();

        // The pull has made the tag meanwhile, so that the condition does not hold any more.
        (await Until.DoneAsync(first)).StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
        await AssertNamesAsync("a", "v1", theirs.Manifest);
    }

    [Fact]
    public async Task A_tag_that_was_deleted_while_its_push_ended_is_the_pushed_one_or_follows_the_upstream()
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        var pushed = RegistryLayout.PushedContent(Repository("a"), Digest.Of(ours)).ToString();
        var ending = _registry.Plan.Hold(StoreCall.DocumentWrite, pushed, nth: 2);
        var push = PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await ending.Reached; // (4) is done
        (await Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertNamesAsync("a", "v1", theirs.Manifest);
        ending.Release();
        await Until.DoneAsync(push);
        var next = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        for (var i = 0; i < 100; i++)
        {
            _time.Advance(ContentTtl / 2);

            // As docker and containerd do: the tag by HEAD, its manifest by digest.
            using var head = await Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1");
            (await Http.GetManifestAsync("up/a", head.Header("Docker-Content-Digest")!)).Dispose();
            await Until.DoneAsync(SweepAsync());
        }

        using var now = await Http.GetManifestAsync("up/a", "v1"); // 50 hours later
        now.Header("Docker-Content-Digest").ShouldBeOneOf(next.Digest.ToString(), Digest.Of(ours).ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_blob_whose_delete_has_failed_and_is_repeated_is_cached_content_when_it_is_pulled_again(bool afterEffect)
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = _upstream.AddBlob("a", content);
        await Http.PushBlobAsync("up/a", content);
        _registry.Plan.Fail(
            StoreCall.DocumentDelete,
            on: afterEffect ? RegistryLayout.Link(digest, Repository("a")).ToString() : RegistryLayout.PushedContent(Repository("a"), digest).ToString(),
            afterEffect: afterEffect);
        (await Http.DeleteAsync($"/v2/up/a/blobs/{digest}")).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await Http.DeleteAsync($"/v2/up/a/blobs/{digest}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        using (var pulled = await Http.GetBlobAsync("up/a", digest))
        {
            pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await UntilFetchedAsync();
        for (var i = 0; i < 3; i++)
        {
            _time.Advance(ContentTtl * 2);
            await Until.DoneAsync(SweepAsync());
        }

        (await _registry.Documents.ReadAsync(RegistryLayout.RepositoryBlob(Repository("a"), digest), default)).ShouldBeNull();
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(false, false)] // the pull takes the note away
    [InlineData(true, false)]
    public async Task A_tag_whose_delete_has_failed_follows_the_upstream_and_is_cached(bool byDigest, bool isRepeated)
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var name = byDigest ? Digest.Of(ours).ToString() : "v1";
        (await Http.DeleteAsync($"/v2/up/a/manifests/{name}")).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        if (isRepeated)
        {
            (await Http.DeleteAsync($"/v2/up/a/manifests/{name}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        await AssertIsCachedAsync("a", "v1", image);
    }

    [Fact]
    public async Task Layers_below_a_nested_child_of_a_pushed_index_stay_though_the_child_is_fetched_after_the_push()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var inner = IndexOf(image);
        var listed = _upstream.AddManifest("a", inner, MediaTypes.ImageIndex);
        (await Http.GetManifestAsync("up/a", listed.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        await PutAsync("a", "ours", IndexOf(listed, inner), HttpStatusCode.Created);
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var (digest, _) in image.Layers.Append(image.Config))
        {
            (await Http.GetBlobAsync("up/a", digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await UntilFetchedAsync();
        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 404 };
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var (digest, _) in image.Layers.Append(image.Config))
        {
            (await Http.GetBlobAsync("up/a", digest)).StatusCode.ShouldBe(HttpStatusCode.OK, $"{digest}");
        }
    }

    [Fact]
    public async Task Cached_layers_below_a_nested_index_that_is_fetched_after_the_push_stay()
    {
        var image = await CachedAsync("a");
        var inner = IndexOf(image);
        var between = _upstream.AddManifest("a", inner, MediaTypes.ImageIndex);
        var outer = IndexOf(between, inner);
        var listed = _upstream.AddManifest("a", outer, MediaTypes.ImageIndex);
        (await Http.GetManifestAsync("up/a", listed.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        await PutAsync("a", "ours", IndexOf(listed, outer), HttpStatusCode.Created);

        (await Http.GetManifestAsync("up/a", between.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);

        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 404 };
        (await Http.GetBlobAsync("up/a", image.Layers[0].Digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_layer_that_is_deleted_and_fetched_again_while_its_manifest_is_pushed_stays(bool isDeleteLate)
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PushBlobsAsync("a", image);
        var (layer, _) = image.Layers[0];
        var storing = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("ours")).ToString());
        var push = PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);
        await storing.Reached; // (2): its parts are noted as pushed
        var taking = _registry.Plan.Hold(StoreCall.DocumentDelete, RegistryLayout.PushedContent(Repository("a"), layer).ToString());
        var delete = Http.DeleteAsync($"/v2/up/a/blobs/{layer}");
        await taking.Reached; // the link is deleted
        if (!isDeleteLate)
        {
            taking.Release();
            await Until.DoneAsync(delete);
        }

        (await Http.GetBlobAsync("up/a", layer)).StatusCode.ShouldBe(HttpStatusCode.OK); // is fetched
        await UntilFetchedAsync();
        storing.Release();
        await Until.DoneAsync(push);
        if (isDeleteLate)
        {
            taking.Release();
        }

        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);

        await AssertIsWholeAsync("a", "ours", image);
    }
}
