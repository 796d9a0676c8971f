using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Content that a client pushes into an upstream's repository: neither the cache nor the upstream takes it away.</summary>
public sealed partial class PushedOverTests(ITestOutputHelper output) : IAsyncLifetime
{
    private static readonly TimeSpan ContentTtl = TimeSpan.FromHours(1);

    private readonly ManualTimeProvider _time = new();
    private FakeUpstream _upstream = null!;
    private FaultyRegistry _registry = null!;

    private HttpClient Http => _registry.Http;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _registry = await StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task Image_pushed_over_cached_content_stays_whole_at_whichever_call_the_sweep_was()
    {
        var stride = Counts.Of(ci: 6, full: 1);
        var stops = 0;
        for (var stop = 1 + new Random(Seed.Next(output)).Next(stride); await PushWhileSweepingAsync(stop); stop += stride)
        {
            stops++;
            await _registry.DisposeAsync();
            _registry = await StartAsync(); // so that each sweep has the same to do
        }

        stops.ShouldBeGreaterThan(3);
    }

    [Fact]
    public async Task Manifest_pushed_over_a_cached_one_keeps_its_tag_when_the_sweep_was_about_to_delete_it()
    {
        var image = await CachedAsync("a");
        var deleting = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.Manifest(Repository("a"), image.Digest).ToString());
        var sweep = SweepAsync();
        await deleting.Reached;
        await PushAsync("a", "ours", image);

        deleting.Release();

        await Until.DoneAsync(sweep);
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task Layer_of_a_pushed_manifest_stays_when_the_sweep_was_about_to_unlink_it()
    {
        var image = await CachedAsync("a");
        var deleting = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.RepositoryBlob(Repository("a"), image.Layers[0].Digest).ToString());
        var sweep = SweepAsync();
        await deleting.Reached;
        await PushAsync("a", "ours", image);

        deleting.Release();

        await Until.DoneAsync(sweep);
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task Manifest_pushed_while_the_same_one_is_fetched_is_not_cached_content()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PushBlobsAsync("a", image);
        var noting = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.PulledContent(Repository("a"), image.Digest).ToString());
        var fetch = Http.GetManifestAsync("up/a", image.Digest.ToString());
        await noting.Reached;
        await PushAsync("a", "ours", image);

        noting.Release();

        (await Until.DoneAsync(fetch)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task Manifest_fetched_while_the_same_one_is_pushed_is_not_cached_content()
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PushBlobsAsync("a", image);
        var begun = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("ours")).ToString(), afterEffect: true);
        var push = PushAsync("a", "ours", image);
        await begun.Reached;
        (await Http.GetManifestAsync("up/a", image.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);

        begun.Release();

        await Until.DoneAsync(push);
        await AssertIsWholeAsync("a", "ours", image);
    }

    [Fact]
    public async Task Tag_that_was_pushed_stays_when_another_push_of_it_is_refused()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);

        await RefuseAsync("a", "v1");

        await AssertNamesAsync("a", "v1", ours);
    }

    [Fact]
    public async Task Tag_of_the_upstream_is_asked_for_after_a_push_of_it_was_refused()
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));

        await RefuseAsync("a", "v1");

        await AssertNamesAsync("a", "v1", theirs.Manifest);
    }

    [Fact]
    public async Task Tag_that_is_pushed_while_it_is_deleted_is_not_replaced_by_the_upstreams()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PutAsync("a", "v1", RegistryClient.EmptyIndex(), HttpStatusCode.Created);
        var deleted = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.Tag(Repository("a"), TagNamed("v1")).ToString(), afterEffect: true);
        var delete = Http.DeleteAsync("/v2/up/a/manifests/v1");
        await deleted.Reached;
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);

        deleted.Release();

        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertNamesAsync("a", "v1", ours);
    }

    [Fact]
    public async Task Tag_that_is_pushed_while_the_upstream_has_lost_it_stays()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        _upstream.RemoveTag("a", "v1");
        _time.Advance(ContentTtl / 2);
        var forgetting = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var pull = Http.GetManifestAsync("up/a", "v1");
        await forgetting.Reached;
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));

        forgetting.Release();

        await Until.DoneAsync(pull);
        _time.Advance(TimeSpan.FromMinutes(10));
        await AssertNamesAsync("a", "v1", ours);
        (await Http.DeleteAsync($"/v2/up/a/manifests/{Digest.Of(ours)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await _registry.Documents.ReadAsync(RegistryLayout.Tag(Repository("a"), TagNamed("v1")), default)).ShouldBeNull();
    }

    [Fact]
    public async Task Tag_that_is_resolved_while_another_request_forgets_it_still_follows_the_upstream()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        _upstream.RemoveTag("a", "v1");
        _time.Advance(ContentTtl / 2);
        var forgetting = _registry.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString());
        var pull = Http.GetManifestAsync("up/a", "v1");
        await forgetting.Reached;
        var second = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        _time.Advance(TimeSpan.FromMinutes(1));
        (await Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await Http.GetManifestAsync("up/a", second.Digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        await AssertNamesAsync("a", "v1", second.Manifest);

        forgetting.Release();

        await Until.DoneAsync(pull);
        var third = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        _time.Advance(TimeSpan.FromMinutes(10));
        await AssertNamesAsync("a", "v1", third.Manifest);
    }

    [Fact]
    public async Task Tag_that_was_pushed_stays_when_its_note_cannot_be_read()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);

        await DamageAsync(RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")));

        await AssertNamesAsync("a", "v1", ours);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cached_tag_whose_document_or_note_cannot_be_read_is_resolved_again(bool isNote)
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var now = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        _time.Advance(ContentTtl / 2);

        await DamageAsync(isNote
            ? RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1"))
            : RegistryLayout.Tag(Repository("a"), TagNamed("v1")));

        await AssertNamesAsync("a", "v1", now.Manifest);
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        await AssertNamesAsync("a", "v1", now.Manifest);
    }

    [Fact]
    public async Task Pushed_tag_that_cannot_be_read_is_503_and_not_the_upstreams()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var ours = RegistryClient.EmptyIndex();
        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await DamageAsync(RegistryLayout.Tag(Repository("a"), TagNamed("v1")));
        using (var pulled = await Http.GetManifestAsync("up/a", "v1"))
        {
            await pulled.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        await PutAsync("a", "v1", ours, HttpStatusCode.Created);
        await AssertNamesAsync("a", "v1", ours);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Referrer_that_is_pushed_while_the_upstream_does_not_list_it_any_more_stays(bool isNotedAsCachedSince)
    {
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var signature = _upstream.AddReferrer("a", image.Digest, "application/signature");
        (await ReferrersAsync(image.Digest)).ShouldBe([signature.ToString()]);
        using var cached = await Http.GetManifestAsync("up/a", signature.ToString());
        var manifest = await cached.Content.ReadAsByteArrayAsync();
        await Http.PushBlobAsync("up/a", "{}"u8.ToArray());
        _upstream.Faults = call => call.Path.Contains("/referrers/", StringComparison.Ordinal)
            ? new UpstreamFault { Status = 404 }
            : null;
        _time.Advance(ContentTtl / 2);
        var removing = _registry.Plan.Hold(
            StoreCall.DocumentRead, RegistryLayout.Referrer(Repository("a"), image.Digest, signature).ToString());
        var listing = ReferrersAsync(image.Digest);
        await removing.Reached;
        await PutAsync("a", "signature", manifest, HttpStatusCode.Created, cached.Content.Headers.ContentType!.MediaType!);
        if (isNotedAsCachedSince)
        {
            await NoteAsCachedAsync(signature); // by a fetch that was under way
        }

        removing.Release();

        (await Until.DoneAsync(listing)).ShouldBe([signature.ToString()]);
    }

    [Fact]
    public async Task A_tag_that_the_upstream_dropped_stays_when_the_same_image_is_pushed_while_the_upstream_is_asked()
    {
        var image = await CachedAsync("a");
        _time.Advance(ContentTtl / 2);
        _upstream.RemoveTag("a", "v1");
        var (reached, asked) = HoldUpstream("/manifests/v1");
        var pulling = Http.GetManifestAsync("up/a", "v1");
        await Until.DoneAsync(reached);
        await PushAsync("a", "v1", image);

        asked.SetResult();
        (await Until.DoneAsync(pulling)).Dispose();

        await AssertIsWholeAsync("a", "v1", image);
    }

    /// <summary>The upstream answers no request for that until it may.</summary>
    private (Task Reached, TaskCompletionSource Answer) HoldUpstream(string pathEnd)
    {
        var (reached, answer) = (new TaskCompletionSource(), new TaskCompletionSource());
        _upstream.Faults = call => call.Path.EndsWith(pathEnd, StringComparison.Ordinal)
            ? new UpstreamFault { Before = () => { reached.TrySetResult(); return answer.Task; } }
            : null;
        return (reached.Task, answer);
    }

    private Task<FaultyRegistry> StartAsync(Action<UpstreamOptions>? options = null) => FaultyRegistry.StartAsync(
        uploads: uploads => uploads.CommitWait = TimeSpan.FromSeconds(55),
        time: _time,
        settings: all =>
        {
            // The test sweeps.
            all.PullThrough.SweepInterval = TimeSpan.FromDays(30);
            all.Uploads.SweepInterval = TimeSpan.FromDays(30);
            var upstream = new UpstreamOptions
            {
                Prefix = "up",
                Url = _upstream.Url.AbsoluteUri,
                AllowPush = true,
                ContentTtl = ContentTtl,
            };
            options?.Invoke(upstream);
            all.PullThrough.Upstreams.Add(upstream);
        });

    /// <summary>False when the sweep has ended before its call of that number.</summary>
    private async Task<bool> PushWhileSweepingAsync(int stop)
    {
        _upstream.Faults = null;
        var name = $"stop-{stop}";
        var image = await CachedAsync(name);
        var held = _registry.Plan.Hold(null, nth: stop);
        var sweep = SweepAsync();
        await Until.DoneAsync(Task.WhenAny(sweep, held.Reached));
        var isReached = !sweep.IsCompleted;
        if (!isReached)
        {
            held.Release(); // else a call of the push would be held
        }

        var calls = _registry.Plan.Journal.Count;
        var push = Task.Run(() => PushAsync(name, "ours", image));
        await PassTimeUntilAsync(() => push.IsCompleted || WaitsForARemoval(calls));
        held.Release();
        await PassTimeUntilAsync(() => push.IsCompleted && sweep.IsCompleted);
        await push;
        await sweep;
        await AssertIsWholeAsync(name, "ours", image, $"the sweep was at call {stop}");
        return isReached;
    }

    /// <summary>Whether a push has looked several times whether its content is still being removed.</summary>
    private bool WaitsForARemoval(int calls) => _registry.Plan.Journal.Skip(calls)
        .Where(call => call.Call == StoreCall.DocumentRead && call.On.StartsWith(RegistryLayout.Condemned, StringComparison.Ordinal))
        .GroupBy(call => call.On)
        .Any(reads => reads.Count() > 3);

    private Task PassTimeUntilAsync(Func<bool> condition) => Until.TrueAsync(
        () =>
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            return condition();
        },
        "push and sweep are done");

    /// <summary>An image that was pulled through, so long ago that the next sweep removes it.</summary>
    private Task<FakeImage> CachedAsync(string repository) =>
        CachedAsync(repository, _upstream.AddImage(repository, "v1", RegistryClient.RandomBytes(1_000)));

    private async Task<FakeImage> CachedAsync(string repository, FakeImage image)
    {
        foreach (var path in image.Layers.Append(image.Config).Select(blob => $"blobs/{blob.Digest}").Prepend("manifests/v1"))
        {
            using var pulled = await Http.RequestAsync("GET", $"/v2/up/{repository}/{path}");
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        await UntilFetchedAsync();
        _time.Advance(ContentTtl * 2);
        return image;
    }

    private async Task<string[]> ReferrersAsync(Digest subject)
    {
        using var list = await Http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");
        return [.. (await list.JsonAsync())["manifests"]!.AsArray().Select(one => (string)one!["digest"]!)];
    }

    /// <summary>As clients do: they push again what the registry says that it does not have.</summary>
    private async Task PushAsync(string repository, string tag, FakeImage image)
    {
        using var put = await Http.PutManifestAsync($"up/{repository}", tag, image.Manifest);
        if (put.StatusCode == HttpStatusCode.NotFound)
        {
            await PushBlobsAsync(repository, image);
            await PutAsync(repository, tag, image.Manifest, HttpStatusCode.Created, MediaTypes.ImageManifest);
            return;
        }

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task PushBlobsAsync(string repository, FakeImage image)
    {
        foreach (var (_, content) in image.Layers.Append(image.Config))
        {
            await Http.PushBlobAsync($"up/{repository}", content);
        }
    }

    private async Task RefuseAsync(string repository, string tag)
    {
        var incomplete = RegistryClient.ImageManifest(RegistryClient.RandomBytes(10), []);
        await PutAsync(repository, tag, incomplete, HttpStatusCode.NotFound, MediaTypes.ImageManifest);
    }

    private async Task PutAsync(
        string repository, string tag, byte[] manifest, HttpStatusCode expected, string mediaType = MediaTypes.ImageIndex)
    {
        using var put = await Http.PutManifestAsync($"up/{repository}", tag, manifest, mediaType);
        await put.ShouldHaveStatusAsync(expected);
    }

    private Task SweepAsync() => Task.Run(() => _registry.PulledSweep.SweepAsync(CancellationToken.None).AsTask());

    private async Task DamageAsync(DocumentKey key) =>
        (await _registry.Documents.WriteAsync(key, "{"u8.ToArray(), WriteCondition.None, Durability.Synced, default))
            .ShouldNotBeNull();

    private Task UntilFetchedAsync() =>
        Until.TrueAsync(() => !_registry.PulledBlobs.Running.Any(), "nothing is being fetched");

    /// <summary>The tag names the upstream's image, which is asked for once, and served when the upstream is down.</summary>
    private async Task AssertIsCachedAsync(string repository, string tag, FakeImage image)
    {
        _upstream.ForgetCalls();
        for (var i = 0; i < 5; i++)
        {
            await AssertNamesAsync(repository, tag, image.Manifest);
        }

        _upstream.Count("GET", $"/manifests/{tag}").ShouldBe(1);
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using var stale = await Http.GetManifestAsync($"up/{repository}", tag);
        stale.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    private async Task AssertNamesAsync(string repository, string tag, byte[] manifest)
    {
        using var pulled = await Http.GetManifestAsync($"up/{repository}", tag);
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    /// <summary>After its time another sweep leaves it too, and nothing has to come from the upstream.</summary>
    private async Task AssertIsWholeAsync(string repository, string tag, FakeImage image, string what = "")
    {
        _time.Advance(ContentTtl * 2);
        await Until.DoneAsync(SweepAsync());
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using (var pulled = await Http.GetManifestAsync($"up/{repository}", tag))
        {
            pulled.StatusCode.ShouldBe(HttpStatusCode.OK, $"{what}: the tag");
        }

        foreach (var (digest, content) in image.Layers.Append(image.Config))
        {
            using var blob = await Http.GetBlobAsync($"up/{repository}", digest);
            blob.StatusCode.ShouldBe(HttpStatusCode.OK, $"{what}: {digest}");
            await blob.ShouldBeContentAsync(digest, content);
        }
    }

    private static RepositoryName Repository(string name) => RepositoryName.Parse($"up/{name}");

    private static Tag TagNamed(string text) => Tag.TryParse(text, out var tag) ? tag : throw new FormatException(text);
}
