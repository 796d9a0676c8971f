using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>The notes of pushed and cached content: what a push that is refused, fails or dies leaves of them.</summary>
public sealed partial class PushedOverTests
{
    [Fact]
    public async Task What_a_head_says_is_there_need_not_be_pushed()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        foreach (var (digest, _) in image.Layers.Append(image.Config))
        {
            using var head = await Http.RequestAsync("HEAD", $"/v2/up/a/blobs/{digest}");
            head.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);

        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task What_an_index_lists_that_only_the_upstream_has_need_not_be_pushed()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        using (var head = await Http.RequestAsync("HEAD", $"/v2/up/a/manifests/{image.Digest}"))
        {
            head.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await PutAsync("a", "ours", IndexOf(image), HttpStatusCode.Created);

        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task An_index_pushed_over_cached_children_keeps_their_layers()
    {
        var image = await CachedAsync("a");
        var index = IndexOf(image);

        await PutAsync("a", "ours", index, HttpStatusCode.Created);

        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 404 };
        await AssertNamesAsync("a", "ours", index);
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var (digest, content) in image.Layers.Append(image.Config))
        {
            using var blob = await Http.GetBlobAsync("up/a", digest);
            await blob.ShouldBeContentAsync(digest, content);
        }
    }

    [Theory]
    [InlineData(StoreCall.DocumentDelete, "_manifests/")]
    [InlineData(StoreCall.DocumentWrite, "_links/")]
    public async Task A_pushed_index_keeps_what_the_sweep_was_about_to_delete_of_its_children(StoreCall call, string on)
    {
        var image = await CachedAsync("a");
        var about = _registry.Plan.Hold(call, on);
        var sweep = SweepAsync();
        await about.Reached;
        var index = IndexOf(image);
        await PutAsync("a", "ours", index, HttpStatusCode.Created);

        about.Release();

        await Until.DoneAsync(sweep);
        _upstream.Faults = _ => new UpstreamFault { Status = 404 };
        await AssertNamesAsync("a", "ours", index);
        using var child = await Http.GetManifestAsync("up/a", image.Digest.ToString());
        await child.ShouldBeContentAsync(image.Digest, image.Manifest);
    }

    [Fact]
    public async Task A_layer_that_was_being_fetched_when_its_image_was_pushed_is_not_cached_content()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var layer = image.Layers[0].Digest;
        var (reached, asked) = HoldUpstream($"/blobs/{layer}");
        var pull = Http.GetBlobAsync("up/a", layer);
        await Until.DoneAsync(reached);
        await PushBlobsAsync("a", image);
        await PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);

        asked.SetResult();

        (await Until.DoneAsync(pull)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await UntilFetchedAsync();
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_blob_that_is_pushed_or_mounted_while_the_sweep_is_removing_it_stays(bool isMounted)
    {
        var image = await CachedAsync("a");
        var (layer, content) = image.Layers[0];
        await Http.PushBlobAsync("elsewhere", content);
        var deleting = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.RepositoryBlob(Repository("a"), layer).ToString());
        var sweep = SweepAsync();
        await deleting.Reached;
        if (isMounted)
        {
            using var mounted = await Http.RequestAsync("POST", $"/v2/up/a/blobs/uploads/?mount={layer}&from=elsewhere");
            mounted.StatusCode.ShouldBe(HttpStatusCode.Created);
        }
        else
        {
            await Http.PushBlobAsync("up/a", content);
        }

        deleting.Release();

        await Until.DoneAsync(sweep);
        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using var blob = await Http.GetBlobAsync("up/a", layer);
        await blob.ShouldBeContentAsync(layer, content);
    }

    [Fact]
    public async Task A_pushed_blob_that_the_sweep_removed_before_it_was_noted_has_to_be_pushed_again()
    {
        var image = await CachedAsync("a");
        var (layer, content) = image.Layers[0];
        var noting = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.PushedContent(Repository("a"), layer).ToString());
        var location = await Http.NewUploadAsync("up/a");
        var closing = Http.CompleteAsync(location, layer.ToString(), content);
        await noting.Reached;
        await Until.DoneAsync(SweepAsync());

        noting.Release();

        // Either is right, as long as "stored" means that it is.
        using var closed = await Until.DoneAsync(closing);
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using var pulled = await Http.GetBlobAsync("up/a", layer);
        (closed.StatusCode, pulled.StatusCode).ShouldBeOneOf(
            (HttpStatusCode.Created, HttpStatusCode.OK),
            (HttpStatusCode.NotFound, HttpStatusCode.NotFound),
            (HttpStatusCode.NotFound, HttpStatusCode.BadGateway),
            (HttpStatusCode.NotFound, HttpStatusCode.ServiceUnavailable));
    }

    [Fact]
    public async Task A_push_that_was_refused_keeps_no_cached_content()
    {
        var image = await CachedAsync("a");
        var refused = RegistryClient.ImageManifest(
            image.Config.Content, [image.Layers[0].Content, RegistryClient.RandomBytes(7)]);
        await PutAsync("a", "ours", refused, HttpStatusCode.NotFound, MediaTypes.ImageManifest);

        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        await Until.DoneAsync(SweepAsync());

        _registry.BlobFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_tag_whose_push_failed_follows_the_upstream()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var ours = RegistryClient.EmptyIndex();
        _registry.Plan.Fail(
            StoreCall.DocumentWrite, FaultPlan.Full, on: RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());
        await PutAsync("a", "v1", ours, HttpStatusCode.InsufficientStorage);

        await AssertFollowsAsync("a", "v1");
    }

    [Fact]
    public async Task A_tag_of_which_two_pushes_were_refused_at_once_follows_the_upstream()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var config = RegistryClient.RandomBytes(10);
        var checking = _registry.Plan.Hold(
            StoreCall.DocumentRead, RegistryLayout.RepositoryBlob(Repository("a"), Digest.Of(config)).ToString());
        var first = Http.PutManifestAsync("up/a", "v1", RegistryClient.ImageManifest(config, []), MediaTypes.ImageManifest);
        await checking.Reached;
        await RefuseAsync("a", "v1");

        checking.Release();

        (await Until.DoneAsync(first)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await AssertFollowsAsync("a", "v1");
    }

    [Fact]
    public async Task A_tag_whose_push_died_follows_the_upstream_two_days_later()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var noted = RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString();
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: noted, nth: 2, times: int.MaxValue); // what it would restore
        var ours = RegistryClient.EmptyIndex();
        _registry.Plan.Fail(
            StoreCall.DocumentWrite, on: RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());
        await PutAsync("a", "v1", ours, HttpStatusCode.ServiceUnavailable);
        _registry.Plan.ReleaseAll();

        for (var day = 0; day < 2; day++)
        {
            _time.Advance(TimeSpan.FromDays(1.1));
            using var pulled = await Http.GetManifestAsync("up/a", image.Digest.ToString()); // so that it stays
            await Until.DoneAsync(SweepAsync());
        }

        await AssertFollowsAsync("a", "v1");
    }

    [Fact]
    public async Task A_tag_that_was_pushed_stays_the_pushed_one_for_days()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);

        for (var day = 0; day < 3; day++)
        {
            _time.Advance(TimeSpan.FromDays(1));
            await Until.DoneAsync(SweepAsync());
            await AssertNamesAsync("a", "v1", ours);
        }
    }

    [Fact]
    public async Task A_tag_that_is_pulled_while_it_is_pushed_for_the_first_time_is_the_pushed_one()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        var storing = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());
        var push = PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await storing.Reached;
        var (reached, asked) = HoldUpstream("/manifests/v1");
        var pull = Http.GetManifestAsync("up/a", "v1");
        await Until.DoneAsync(reached);
        storing.Release();
        await Until.DoneAsync(push);

        asked.SetResult();

        (await Until.DoneAsync(pull)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await AssertNamesAsync("a", "v1", ours);
    }

    [Theory]
    [InlineData("_resolved/")]
    [InlineData("_tags/")]
    public async Task A_cached_tag_is_served_when_a_full_disk_cannot_note_what_the_upstream_says(string on)
    {
        var layer = RegistryClient.RandomBytes(1_000);
        var image = _upstream.AddImage("a", "v1", layer);
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        _upstream.AddImage("a", "v2", layer);
        _time.Advance(ContentTtl / 2);
        _registry.Plan.Fail(StoreCall.DocumentWrite, FaultPlan.Full, on: on, times: int.MaxValue);

        await AssertNamesAsync("a", "v1", image.Manifest);
        await AssertNamesAsync("a", "v2", image.Manifest);
    }

    [Fact]
    public async Task Content_that_was_pushed_deleted_and_pulled_is_cached_content()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PushBlobsAsync("a", image);
        await PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);
        foreach (var path in image.Layers.Append(image.Config).Select(blob => $"blobs/{blob.Digest}").Append($"manifests/{image.Digest}"))
        {
            (await Http.DeleteAsync($"/v2/up/a/{path}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }

        await CachedAsync("a", image);
        await Until.DoneAsync(SweepAsync());
        await Until.DoneAsync(SweepAsync());

        _registry.BlobFiles().ShouldBeEmpty();
        (await _registry.Documents.ReadAsync(RegistryLayout.Manifest(Repository("a"), image.Digest), default)).ShouldBeNull();
    }

    [Fact]
    public async Task Tag_of_pushed_content_that_a_fetch_has_noted_since_stays_when_its_own_note_cannot_be_read()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await NoteAsCachedAsync(Digest.Of(ours));
        await DamageAsync(RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")));
        await AssertNamesAsync("a", "v1", ours);
    }

    private async Task NoteAsCachedAsync(Digest digest)
    {
        var note = $$"""{"kind":"Manifest","size":1,"pulled":"{{_time.GetUtcNow():O}}"}""";
        await _registry.Documents.WriteAsync(
            RegistryLayout.PulledContent(Repository("a"), digest),
            System.Text.Encoding.UTF8.GetBytes(note),
            WriteCondition.Absent,
            Durability.Synced,
            default);
    }

    private static byte[] IndexOf(FakeImage image) => IndexOf(image.Digest, image.Manifest, MediaTypes.ImageManifest);

    private static byte[] IndexOf(Digest digest, byte[] manifest, string mediaType = MediaTypes.ImageIndex) => RegistryClient.ImageIndex(
        [new JsonObject { ["mediaType"] = mediaType, ["digest"] = digest.ToString(), ["size"] = manifest.Length }]);

    private async Task AssertFollowsAsync(string repository, string tag)
    {
        var moved = _upstream.AddImage(repository, tag, RegistryClient.RandomBytes(1_000));
        _time.Advance(ContentTtl / 2);
        await AssertNamesAsync(repository, tag, moved.Manifest);
    }
}
