using System.Net;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// R5.5: the clock of one of two replicas is off. Whichever of them makes something and whichever looks how old it is, only
/// the storage's clock counts.
/// </summary>
public sealed class ClockTests : IAsyncLifetime
{
    private const int Day = 24 * 60;
    private static readonly TimeSpan Expiry = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ContentTtl = TimeSpan.FromMinutes(9);

    private readonly ManualTimeProvider _store = new();
    private readonly ManualTimeProvider _wrong = new();
    private readonly StoreTimeOf _storeTime;
    private readonly string _root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
    private readonly string _repository = RegistryClient.NewRepository();
    private FakeUpstream _upstream = null!;

    public ClockTests() => _storeTime = new StoreTimeOf(_store);

    /// <summary>By how many minutes the second replica is ahead, and whether it is the one that makes, or the one that looks.</summary>
    public static MatrixTheoryData<int, bool> Offsets => new([-3 * Day, -10, 10, 3 * Day], [true, false]);

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public async Task An_upload_lives_by_the_clock_of_the_storage(int minutesAhead, bool makes)
    {
        _wrong.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var right = await StartAsync(_store);
        await using var wrong = await StartAsync(_wrong);
        var (maker, sweeper) = makes ? (wrong, right) : (right, wrong);
        var started = await maker.Http.NewUploadAsync(_repository);
        var location = await maker.Http.NewUploadAsync(_repository);
        using var patched = await maker.Http.PatchAsync(location, new byte[1_000]);
        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);

        Advance(Expiry - TimeSpan.FromSeconds(10));
        await SweepAsync(sweeper);
        (await StatusAsync(maker, started)).ShouldBe(HttpStatusCode.NoContent);
        (await StatusAsync(maker, location)).ShouldBe(HttpStatusCode.NoContent);

        Advance(TimeSpan.FromSeconds(20));
        await SweepAsync(sweeper);
        (await StatusAsync(maker, started)).ShouldBe(HttpStatusCode.NotFound);
        (await StatusAsync(maker, location)).ShouldBe(HttpStatusCode.NotFound);
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public async Task A_request_that_writes_keeps_its_upload_by_the_clock_of_the_storage(int minutesAhead, bool makes)
    {
        _wrong.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var right = await StartAsync(_store);
        await using var wrong = await StartAsync(_wrong);
        var (maker, sweeper) = makes ? (wrong, right) : (right, wrong);
        var location = await maker.Http.NewUploadAsync(_repository);
        using var upload = await RawUpload.StartAsync(maker.Url, "PATCH", location, 2_000);
        await upload.SendAsync(new byte[1_000]);
        var documents = maker.Services.GetRequiredService<UploadSessionDocuments>();
        UploadSessionId.TryParse(location.Split('?')[0].Split('/')[^1], out var id).ShouldBeTrue();
        for (var minutes = 0; minutes < 2 * (int)Expiry.TotalMinutes; minutes += 2)
        {
            Advance(TimeSpan.FromMinutes(2));
            await Until.TrueAsync(
                async () =>
                {
                    Advance(TimeSpan.FromSeconds(1)); // the request looks up from its waiting
                    return (await documents.ReadAsync(id, CancellationToken.None))!.Session.Writer?.Renewed
                        > _store.GetUtcNow() - TimeSpan.FromMinutes(1);
                },
                "the request gives a sign of life");
            await SweepAsync(sweeper);
        }

        await upload.SendAsync(new byte[1_000]);
        (await upload.StatusAsync()).ShouldBe(202);
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public async Task Cached_content_and_its_tag_live_by_the_clock_of_the_storage(int minutesAhead, bool makes)
    {
        _wrong.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var right = await StartAsync(_store);
        await using var wrong = await StartAsync(_wrong);
        var (maker, sweeper) = makes ? (wrong, right) : (right, wrong);
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await PullAsync(maker, image);

        Advance(ContentTtl - TimeSpan.FromMinutes(1));
        await SweepCacheAsync(sweeper);
        _upstream.ForgetCalls();
        await PullAsync(maker, image);
        FetchedBlobs().ShouldBe(0);

        Advance(2 * ContentTtl);
        await SweepCacheAsync(sweeper);
        _upstream.ForgetCalls();
        await PullAsync(maker, image);
        FetchedBlobs().ShouldBe(2);
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public async Task Content_that_is_about_to_be_linked_stays_by_the_clock_of_the_storage(int minutesAhead, bool makes)
    {
        _wrong.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var right = await StartAsync(_store);
        await using var wrong = await StartAsync(_wrong);
        var (maker, sweeper) = makes ? (wrong, right) : (right, wrong);
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await maker.Http.PushBlobAsync(_repository, content);

        // A push that was paused between its reverse link and its link.
        await maker.Services.GetRequiredService<IDocumentStore>().DeleteAsync(
            RegistryLayout.RepositoryBlob(RepositoryName.Parse(_repository), digest), WriteCondition.None, Durability.Synced, default);
        await maker.Services.GetRequiredService<CondemnedContent>().CondemnAsync(digest, CancellationToken.None);
        Advance(TimeSpan.FromDays(1) - TimeSpan.FromMinutes(1));
        (await SweepContentAsync(sweeper)).ShouldBe(0);

        Advance(TimeSpan.FromMinutes(2));
        (await SweepContentAsync(sweeper)).ShouldBe(1);
    }

    [Theory]
    [MemberData(nameof(Offsets))]
    public async Task Unused_content_has_its_grace_by_the_clock_of_the_storage(int minutesAhead, bool makes)
    {
        _wrong.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var right = await StartAsync(_store);
        await using var wrong = await StartAsync(_wrong);
        var (maker, sweeper) = makes ? (wrong, right) : (right, wrong);
        var digest = await maker.Http.PushBlobAsync(_repository, RegistryClient.RandomBytes(1_000));
        await maker.Services.GetRequiredService<RepositoryBlobs>().UnlinkAsync(
            RepositoryName.Parse(_repository), digest, CancellationToken.None);
        await maker.Services.GetRequiredService<CondemnedContent>().CondemnAsync(digest, CancellationToken.None);

        Advance(Expiry - TimeSpan.FromSeconds(10));
        (await SweepContentAsync(sweeper, Expiry)).ShouldBe(0);
        Advance(TimeSpan.FromSeconds(20));
        (await SweepContentAsync(sweeper, Expiry)).ShouldBe(1);
    }

    [Fact]
    public async Task Nothing_expires_while_the_storage_cannot_tell_its_time()
    {
        await using var registry = await StartAsync(_store);
        var image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        var location = await registry.Http.NewUploadAsync(_repository);
        await PullAsync(registry, image);
        _storeTime.IsSilent = true;
        Advance(TimeSpan.FromDays(20));

        await Should.ThrowAsync<StorageException>(() => SweepAsync(registry));
        await Should.ThrowAsync<StorageException>(() => SweepCacheAsync(registry));
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NoContent);
        _upstream.ForgetCalls();
        await PullAsync(registry, image);
        FetchedBlobs().ShouldBe(0);

        _storeTime.IsSilent = false;
        await SweepAsync(registry);
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
    }

    private Task<RegistryApp> StartAsync(ManualTimeProvider machine) => RegistryApp.StartAsync(
        options =>
        {
            options.Uploads.IdleExpiry = Expiry;
            options.Uploads.SweepInterval = TimeSpan.FromDays(30); // the test sweeps
            options.PullThrough.SweepInterval = TimeSpan.FromDays(30); // the test sweeps
            options.PullThrough.Upstreams.Add(new UpstreamOptions
            {
                Prefix = PulledRegistry.Prefix,
                Url = _upstream.Url.AbsoluteUri,
                ContentTtl = ContentTtl,
            });
        },
        services => services.AddSingleton<TimeProvider>(machine).AddSingleton<IStoreTime>(_storeTime),
        _root);

    private void Advance(TimeSpan by)
    {
        _store.Advance(by);
        _wrong.Advance(by);
    }

    private int FetchedBlobs() =>
        _upstream.Count(call => call.Method == "GET" && call.Path.Contains("/blobs/", StringComparison.Ordinal));

    private static Task SweepAsync(RegistryApp registry) => Until.TrueAsync(
        () => registry.Services.GetRequiredService<UploadExpiry>().SweepAsync(CancellationToken.None).AsTask(), "nobody sweeps");

    private static async Task SweepCacheAsync(RegistryApp registry) =>
        await registry.Services.GetRequiredService<PulledSweep>().SweepAsync(CancellationToken.None);

    private static async Task<int> SweepContentAsync(RegistryApp registry, TimeSpan grace = default) =>
        await registry.Services.GetRequiredService<CondemnedContent>().SweepAsync(grace, CancellationToken.None);

    private static async Task<HttpStatusCode> StatusAsync(RegistryApp registry, string location)
    {
        using var status = await registry.Http.GetAsync(new Uri(location, UriKind.Relative));
        return status.StatusCode;
    }

    private static async Task PullAsync(RegistryApp registry, FakeImage image)
    {
        const string repository = $"{PulledRegistry.Prefix}/a";
        using (var tag = await registry.Http.GetAsync(new Uri($"/v2/{repository}/manifests/v1", UriKind.Relative)))
        {
            await tag.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        foreach (var blob in image.Layers.Prepend(image.Config))
        {
            using var pulled = await registry.Http.GetBlobAsync(repository, blob.Digest);
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        var blobs = registry.Services.GetRequiredService<PulledBlobs>();
        var traffic = registry.Services.GetRequiredService<Upstreams>().All[0].Traffic;
        await Until.TrueAsync(() => !blobs.Running.Any() && traffic.Fetching == 0, "nothing is being fetched");
    }
}
