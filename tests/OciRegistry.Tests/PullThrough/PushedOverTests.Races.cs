using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Pushes beside deletes, fetches, sweeps, other pushes and a storage that fails.</summary>
public sealed partial class PushedOverTests
{
    [Fact]
    public async Task A_push_beside_a_delete_of_its_layer_keeps_the_layer_though_a_fetch_notes_it_later()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var (layer, content) = image.Layers[0];
        await Http.PushBlobAsync("up/a", content);
        var taking = _registry.Plan.Hold(StoreCall.DocumentDelete, RegistryLayout.PushedContent(Repository("a"), layer).ToString());
        var delete = Http.DeleteAsync($"/v2/up/a/blobs/{layer}");
        await taking.Reached;
        var (reached, asked) = HoldUpstream($"/blobs/{layer}");
        var pull = Http.GetBlobAsync("up/a", layer);
        await Until.DoneAsync(reached);
        await PushBlobsAsync("a", image);
        await PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);
        taking.Release();
        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        asked.SetResult();
        (await Until.DoneAsync(pull)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await UntilFetchedAsync();

        await AssertIsWholeAsync("a", "ours", image);
    }

    [Theory]
    [InlineData(4, 4)]
    [InlineData(6, 4)]
    [InlineData(6, 6)]
    [InlineData(8, 6)]
    public async Task An_index_over_children_that_share_theirs_costs_no_more_than_there_are(int wide, int deep)
    {
        JsonObject[] below = [];
        for (var level = 0; level < deep; level++)
        {
            var here = new List<JsonObject>();
            for (var i = 0; i < wide; i++)
            {
                var content = RegistryClient.ImageIndex(
                    [.. below.Select(one => (JsonObject)one.DeepClone())], artifactType: $"application/x.l{level}.n{i}");
                var digest = _upstream.AddManifest("a", content, MediaTypes.ImageIndex);
                (await Http.GetManifestAsync("up/a", digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
                here.Add(new JsonObject { ["mediaType"] = MediaTypes.ImageIndex, ["digest"] = digest.ToString(), ["size"] = content.Length });
            }

            below = [.. here];
        }

        var before = _registry.Plan.Journal.Count;
        await PutAsync("a", "ours", RegistryClient.ImageIndex(below), HttpStatusCode.Created);
        var calls = _registry.Plan.Journal.Count - before;
        calls.ShouldBeLessThan((wide * deep * 30) + (wide * wide * deep * 8));
    }

    [Fact]
    public async Task A_tag_that_the_former_release_is_pushing_is_not_given_back_by_the_sweep()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var ours = RegistryClient.EmptyIndex();
        await WriteAsync(RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")), """{"checked":"0001-01-01T00:00:00+00:00","isPushed":true}""");
        await Until.DoneAsync(SweepAsync());
        // the rest of the former release's push
        await PutAsync("a", Digest.Of(ours).ToString(), ours, HttpStatusCode.Created);
        await WriteAsync(RegistryLayout.Tagged(Repository("a"), Digest.Of(ours), TagNamed("v1")), "");
        await WriteAsync(RegistryLayout.Tag(Repository("a"), TagNamed("v1")), Digest.Of(ours).ToString());

        await AssertNamesAsync("a", "v1", ours);
    }

    [Fact]
    public async Task A_tag_of_a_pushed_manifest_that_was_deleted_is_cached_again()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        (await Http.DeleteAsync($"/v2/up/a/manifests/{Digest.Of(ours)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertIsCachedAsync("a", "v1", image);
    }

    [Fact]
    public async Task A_tag_whose_note_was_written_though_the_storage_failed_follows_the_upstream()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        _registry.Plan.Fail(
            StoreCall.DocumentWrite, on: RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString(), afterEffect: true);
        await PutAsync("a", "v1", RegistryClient.EmptyIndex(), HttpStatusCode.ServiceUnavailable);
        await AssertFollowsAsync("a", "v1");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_index_over_a_child_that_is_not_noted_as_cached_keeps_its_cached_layers(bool asBlob)
    {
        var image = await CachedAsync("a");
        if (asBlob)
        {
            await Http.PushBlobAsync("up/a", image.Manifest); // the same digest
        }
        else
        {
            // The former release has pushed an index over it: that took the child's note, and not its layers'.
            (await _registry.Documents.DeleteAsync(
                RegistryLayout.PulledContent(Repository("a"), image.Digest), WriteCondition.None, Durability.Synced, default)).ShouldBeTrue();
        }

        await PutAsync("a", "ours", IndexOf(image), HttpStatusCode.Created);
        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 404 };
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        using var blob = await Http.GetBlobAsync("up/a", image.Layers[0].Digest);
        blob.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_layer_listed_by_an_index_that_a_head_has_found_need_not_be_pushed()
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = _upstream.AddBlob("a", content);
        (await Http.HeadBlobAsync("up/a", digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await PutAsync(
            "a", "cache",
            RegistryClient.ImageIndex([RegistryClient.Describe(content, "application/vnd.oci.image.layer.v1.tar+gzip")]),
            HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_closing_request_can_be_repeated_when_its_note_could_not_be_written()
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = Digest.Of(content);
        var location = await Http.NewUploadAsync("up/a");
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: RegistryLayout.PushedContent(Repository("a"), digest).ToString());
        using var first = await Http.CompleteAsync(location, digest.ToString(), content);
        first.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        using var second = await Http.CompleteAsync(location, digest.ToString(), content);
        second.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_manifest_of_unknown_layers_is_a_few_requests_to_the_upstream()
    {
        var layers = Enumerable.Range(0, 1_000).Select(_ => RegistryClient.RandomBytes(8)).ToArray();
        _upstream.ForgetCalls();
        await PutAsync("a", "ours", RegistryClient.ImageManifest(RegistryClient.RandomBytes(9), layers), HttpStatusCode.NotFound, MediaTypes.ImageManifest);
        _upstream.Count("GET", "").ShouldBeLessThan(20);
    }

    [Fact]
    public async Task A_pushed_tag_without_its_manifest_goes_with_a_pull()
    {
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "gone", ours, HttpStatusCode.Created);
        (await _registry.Documents.DeleteAsync(
            RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)), WriteCondition.None, Durability.Synced, default)).ShouldBeTrue();
        using var pulled = await Http.GetManifestAsync("up/a", "gone");
        pulled.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        _time.Advance(TimeSpan.FromDays(3));
        await Until.DoneAsync(SweepAsync());
        _time.Advance(TimeSpan.FromDays(3));
        await Until.DoneAsync(SweepAsync());
        (await _registry.Documents.ReadAsync(RegistryLayout.Tag(Repository("a"), TagNamed("gone")), default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_manifest_that_a_delete_and_a_fetch_meet_while_it_is_pushed_stays()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PushBlobsAsync("a", image);
        var storing = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("ours")).ToString());
        var push = PutAsync("a", "ours", image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);
        await storing.Reached; // it is noted as pushed
        (await Http.DeleteAsync($"/v2/up/a/manifests/{image.Digest}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK); // is fetched
        storing.Release();
        await Until.DoneAsync(push);
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task A_cached_blob_that_is_deleted_while_a_manifest_is_pushed_stays_deleted()
    {
        var image = await CachedAsync("a");
        var (layer, _) = image.Layers[0];
        _upstream.RemoveBlob("a", layer);
        var pushed = RegistryLayout.PushedContent(Repository("a"), layer).ToString();
        var noting = _registry.Plan.Hold(StoreCall.DocumentWrite, pushed);
        var put = Http.PutManifestAsync("up/a", "ours", image.Manifest, MediaTypes.ImageManifest);
        await noting.Reached;
        var relinking = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Link(layer, Repository("a")).ToString());
        noting.Release();
        await relinking.Reached;
        var deleting = Http.DeleteAsync($"/v2/up/a/blobs/{layer}");
        (await Until.DoneAsync(deleting)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await _registry.Documents.ReadAsync(RegistryLayout.RepositoryBlob(Repository("a"), layer), default)).ShouldBeNull();
        relinking.Release();
        using var answer = await Until.DoneAsync(put);
        using var blob = await Http.HeadBlobAsync("up/a", layer);
        blob.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_tag_that_is_pushed_while_it_is_deleted_is_the_pushed_one()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var ours = RegistryClient.EmptyIndex();
        var tagging = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Tag(Repository("a"), TagNamed("v1")).ToString());
        var push = PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await tagging.Reached;
        var noting = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var delete = Http.DeleteAsync("/v2/up/a/manifests/v1");
        await noting.Reached;
        tagging.Release();
        await Until.DoneAsync(push);
        await AssertNamesAsync("a", "v1", ours);
        noting.Release();
        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertNamesAsync("a", "v1", ours);
    }

    [Fact]
    public async Task A_refused_push_beside_the_sweep_leaves_no_content_without_a_note()
    {
        var image = await CachedAsync("a");
        var (layer, content) = image.Layers[0];
        await Http.PushBlobAsync("elsewhere", content);
        await WriteAsync(RegistryLayout.RepositoryBlob(Repository("a"), layer), $"{content.Length}"); // as another replica
        var looking = _registry.Plan.Hold(StoreCall.DocumentRead, RegistryLayout.Link(layer, Repository("a")).ToString());
        var refused = RegistryClient.ImageManifest(RegistryClient.RandomBytes(9), [content]);
        var put = PutAsync("a", "ours", refused, HttpStatusCode.NotFound, MediaTypes.ImageManifest);
        await looking.Reached;
        await Until.DoneAsync(SweepAsync());
        looking.Release();
        await Until.DoneAsync(put);
        for (var i = 0; i < 4; i++)
        {
            _time.Advance(ContentTtl * 2);
            await Until.DoneAsync(SweepAsync());
        }
        (await _registry.Documents.ReadAsync(RegistryLayout.RepositoryBlob(Repository("a"), layer), default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_tag_of_which_two_pushes_failed_at_once_follows_the_upstream()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var (one, two) = (RegistryClient.EmptyIndex(), RegistryClient.EmptyIndex());
        var first = RegistryLayout.Manifest(Repository("a"), Digest.Of(one)).ToString();
        var second = RegistryLayout.Manifest(Repository("a"), Digest.Of(two)).ToString();
        var holding = _registry.Plan.Hold(StoreCall.DocumentWrite, first);
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: second);
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: first, times: int.MaxValue);
        var push = Http.PutManifestAsync("up/a", "v1", one, MediaTypes.ImageIndex);
        await holding.Reached;
        var held = _registry.Plan.Hold(StoreCall.DocumentRead, second);
        var other = Http.PutManifestAsync("up/a", "v1", two, MediaTypes.ImageIndex);
        await Until.DoneAsync(Task.WhenAny(other, held.Reached));
        held.Release();
        (await Until.DoneAsync(other)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        holding.Release();
        await AssertFollowsAsync("a", "v1");
    }

    [Fact]
    public async Task A_push_whose_parts_cannot_be_fetched_now_is_not_told_that_they_are_unknown()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        _upstream.Faults = call => call.Method == "GET" ? new UpstreamFault { Status = 503 } : null;
        foreach (var (digest, _) in image.Layers.Append(image.Config))
        {
            (await Http.HeadBlobAsync("up/a", digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        using var put = await Http.PutManifestAsync("up/a", "ours", image.Manifest);
        await put.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        put.Header("Retry-After").ShouldNotBeNull();
    }

    [Fact]
    public async Task A_pushed_tag_without_its_manifest_is_cached_again()
    {
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "gone", ours, HttpStatusCode.Created);
        (await _registry.Documents.DeleteAsync(
            RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)), WriteCondition.None, Durability.Synced, default)).ShouldBeTrue();
        var image = _upstream.AddImage("a", "gone", RegistryClient.RandomBytes(10));
        for (var i = 0; i < 3; i++)
        {
            _time.Advance(TimeSpan.FromDays(3));
            await AssertNamesAsync("a", "gone", image.Manifest);
            await Until.DoneAsync(SweepAsync());
        }

        _upstream.ForgetCalls();
        for (var i = 0; i < 5; i++)
        {
            await AssertNamesAsync("a", "gone", image.Manifest);
        }

        _upstream.Count("GET", "/manifests/gone").ShouldBeLessThan(2);
    }

    [Fact]
    public async Task A_storage_that_is_down_is_not_asked_for_each_tag_of_a_push()
    {
        var ours = RegistryClient.EmptyIndex();
        var tags = string.Join('&', Enumerable.Range(0, 100).Select(i => $"tag=t{i}"));
        var holding = _registry.Plan.Hold(StoreCall.DocumentWrite, RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());
        var put = Http.PutManifestAsync("up/a", $"{Digest.Of(ours)}?{tags}", ours, MediaTypes.ImageIndex);
        await holding.Reached;
        var before = _registry.Plan.Journal.Count;
        _registry.Plan.FailEverything();
        holding.Release();
        using var answer = await Until.DoneAsync(put);
        (_registry.Plan.Journal.Count - before).ShouldBeLessThan(20);
    }

    private async Task WriteAsync(DocumentKey key, string content) =>
        (await _registry.Documents.WriteAsync(key, Encoding.UTF8.GetBytes(content), WriteCondition.None, Durability.Synced, default))
            .ShouldNotBeNull();
}
