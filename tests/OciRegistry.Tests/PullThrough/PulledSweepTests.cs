using System.Net;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What nobody pulls goes, from the store too, and nothing else does (R2.8).</summary>
public sealed class PulledSweepTests
{
    private static readonly TimeSpan ContentTtl = TimeSpan.FromDays(7);
    private static readonly string[] Folders =
        ["/_pulled/", "/_manifests/", "/_blobs/", "/_tags/", "/_links/", "/_catalog/", "/_condemned/"];

    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task Content_that_nobody_has_pulled_for_its_time_is_gone_from_the_store()
    {
        await using var registry = await StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(100_000));
        await PullAsync(registry, "up/a", image);
        _time.Advance(ContentTtl);
        await registry.SweepAsync();
        StoredBlobs(registry).Length.ShouldBe(2); // it may have been pulled up to an hour later than is noted

        _time.Advance(TimeSpan.FromHours(2));
        await registry.SweepAsync();
        StoredBlobs(registry).ShouldBeEmpty();
        Documents(registry).ShouldBeEmpty();

        registry.Upstream.ForgetCalls();
        await PullAsync(registry, "up/a", image);
        registry.Upstream.Count(call => call.Method == "GET").ShouldBe(3);
    }

    [Fact]
    public async Task Content_that_is_pulled_stays()
    {
        await using var registry = await StartAsync();
        var used = registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var unused = registry.Upstream.AddImage("b", "v1", RegistryClient.RandomBytes(1_000));
        await PullAsync(registry, "up/a", used);
        await PullAsync(registry, "up/b", unused);
        for (var day = 0; day < 20; day++)
        {
            _time.Advance(TimeSpan.FromDays(1));
            await PullAsync(registry, "up/a", used);
            await registry.SweepAsync();
        }

        StoredBlobs(registry).ShouldBe([used.Config.Digest.Hex, used.Layers[0].Digest.Hex], ignoreOrder: true);
    }

    [Fact]
    public async Task Content_that_another_repository_has_stays_there()
    {
        await using var registry = await StartAsync();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = registry.Upstream.AddBlob("a", content);
        using (await registry.Http.GetBlobAsync("up/a", digest))
        {
        }

        await registry.Http.PushBlobAsync("ours", content);
        _time.Advance(ContentTtl * 2);
        await registry.SweepAsync();
        using (var ours = await registry.Http.GetBlobAsync("ours", digest))
        {
            await ours.ShouldBeContentAsync(digest, content);
        }

        registry.Upstream.RemoveBlob("a", digest);
        using var gone = await registry.Http.GetBlobAsync("up/a", digest);
        await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
    }

    [Fact]
    public async Task What_was_pushed_is_never_swept()
    {
        await using var registry = await StartAsync(up => up.AllowPush = true);
        var theirs = registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PullAsync(registry, "up/a", theirs);
        var ours = RegistryClient.ImageManifest(theirs.Config.Content, [theirs.Layers[0].Content]);
        using (var put = await registry.Http.PutManifestAsync("up/a", "ours", ours))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        _time.Advance(ContentTtl * 2);
        await registry.SweepAsync();
        registry.Upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using var pulled = await registry.Http.GetManifestAsync("up/a", "ours");
        await pulled.ShouldBeContentAsync(Digest.Of(ours), ours);
        using var layer = await registry.Http.GetBlobAsync("up/a", theirs.Layers[0].Digest);
        await layer.ShouldBeContentAsync(theirs.Layers[0].Digest, theirs.Layers[0].Content);
    }

    [Fact]
    public async Task What_a_sweep_has_begun_to_remove_the_next_one_removes()
    {
        await using var registry = await StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(1_000));
        await PullAsync(registry, digest);
        var entries = registry.App.Services.GetRequiredService<PulledEntries>();
        var repository = RepositoryName.Parse("up/a");
        var found = (await entries.ReadAsync(repository, digest, CancellationToken.None)).ShouldNotBeNull();
        await entries.MarkAsync(repository, digest, found, CancellationToken.None);
        await registry.SweepAsync();
        StoredBlobs(registry).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_pull_leaves_the_note_of_what_a_sweep_is_removing_as_it_is()
    {
        await using var registry = await StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(1_000));
        await PullAsync(registry, digest);
        var entries = registry.App.Services.GetRequiredService<PulledEntries>();
        var upstream = registry.App.Services.GetRequiredService<Upstreams>().All[0];
        var repository = RepositoryName.Parse("up/a");
        var found = (await entries.ReadAsync(repository, digest, default)).ShouldNotBeNull();
        var going = (await entries.MarkAsync(repository, digest, found, default)).ShouldNotBeNull();

        _time.Advance(TimeSpan.FromHours(2));
        await entries.TouchAsync(upstream, repository, digest, default);

        (await entries.TakeAsync(repository, digest, going, default)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_sweep_leaves_what_was_pulled_since_it_was_read()
    {
        await using var registry = await StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(1_000));
        await PullAsync(registry, digest);
        var entries = registry.App.Services.GetRequiredService<PulledEntries>();
        var upstream = registry.App.Services.GetRequiredService<Upstreams>().All[0];
        var repository = RepositoryName.Parse("up/a");
        var found = (await entries.ReadAsync(repository, digest, default)).ShouldNotBeNull();
        _time.Advance(TimeSpan.FromHours(2));
        await entries.TouchAsync(upstream, repository, digest, default);

        (await entries.MarkAsync(repository, digest, found, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Beyond_its_room_the_least_recently_pulled_goes_first()
    {
        await using var registry = await StartAsync(up => up.MaxBytes = 25_000);
        var blobs = new List<(Digest Digest, byte[] Content)>();
        for (var i = 0; i < 4; i++)
        {
            var content = RegistryClient.RandomBytes(10_000);
            blobs.Add((registry.Upstream.AddBlob("a", content), content));
            await PullAsync(registry, blobs[i].Digest);
            _time.Advance(TimeSpan.FromHours(2));
        }

        await PullAsync(registry, blobs[0].Digest); // the oldest is the newest now
        await registry.SweepAsync();
        StoredBlobs(registry).ShouldBe([blobs[0].Digest.Hex, blobs[3].Digest.Hex], ignoreOrder: true);
        registry.Traffic.KeptBytes.ShouldBe(20_000);
    }

    [Fact]
    public async Task Of_many_that_are_as_old_no_more_go_than_have_to()
    {
        await using var registry = await StartAsync(up => up.MaxBytes = 55_000);
        for (var i = 0; i < 10; i++)
        {
            await PullAsync(registry, registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(10_000)));
        }

        await registry.SweepAsync();
        StoredBlobs(registry).Length.ShouldBe(5);
    }

    [Fact]
    public async Task What_is_read_while_it_goes_is_read_to_its_end()
    {
        await using var registry = await StartAsync();
        var content = RegistryClient.RandomBytes(20_000_000);
        var digest = registry.Upstream.AddBlob("a", content);
        await PullAsync(registry, digest);
        _time.Advance(ContentTtl * 2);
        using var response = await registry.Http.GetAsync($"/v2/up/a/blobs/{digest}", HttpCompletionOption.ResponseHeadersRead);
        _time.Advance(ContentTtl * 2);
        await registry.SweepAsync();
        StoredBlobs(registry).ShouldBeEmpty();
        (await response.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content);
    }

    private Task<PulledRegistry> StartAsync(Action<UpstreamOptions>? upstream = null) => PulledRegistry.StartAsync(
        up =>
        {
            up.ContentTtl = ContentTtl;
            upstream?.Invoke(up);
        },
        all =>
        {
            // The test sweeps.
            all.PullThrough.SweepInterval = TimeSpan.FromDays(30);
            all.Uploads.SweepInterval = TimeSpan.FromDays(30);
        },
        _time);

    private static async Task PullAsync(PulledRegistry registry, Digest digest)
    {
        using (var pulled = await registry.Http.GetBlobAsync("up/a", digest))
        {
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        await registry.UntilIdleAsync();
    }

    private static async Task PullAsync(PulledRegistry registry, string repository, FakeImage image)
    {
        using var manifest = await registry.Http.GetManifestAsync(repository, "v1");
        await manifest.ShouldBeContentAsync(image.Digest, image.Manifest);
        foreach (var (digest, content) in image.Layers.Append(image.Config))
        {
            using var blob = await registry.Http.GetBlobAsync(repository, digest);
            await blob.ShouldBeContentAsync(digest, content);
        }

        await registry.UntilIdleAsync();
    }

    private static string[] StoredBlobs(PulledRegistry registry) =>
    [
        .. Directory.EnumerateFiles(Path.Combine(registry.App.Root, "blobs"), "*", SearchOption.AllDirectories)
            .Select(file => Path.GetFileName(file)!),
    ];

    /// <summary>What is noted of content of the upstream, and of the content itself.</summary>
    private static string[] Documents(PulledRegistry registry) =>
    [
        .. Directory.EnumerateFiles(registry.App.Root, "*", SearchOption.AllDirectories)
            .Where(file => Folders
                .Any(folder => file.Contains(folder, StringComparison.Ordinal))),
    ];
}
