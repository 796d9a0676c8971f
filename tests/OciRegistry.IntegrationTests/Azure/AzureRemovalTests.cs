using System.Net;
using OciRegistry.Azure;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>
/// Removal of content by one replica, each of its two deletes held on its way, beside pushes and mounts by another
/// replica, whose clock may be right or wrong.
/// </summary>
public sealed class AzureRemovalTests : IAsyncLifetime
{
    private readonly string _cache = RegistryClient.NewRepository();
    private readonly string _local = RegistryClient.NewRepository();
    private AzureStorage _storage = null!;
    private AzuriteProxy _proxy = null!;
    private AzureRegistry _sweeper = null!;
    private AzureRegistry _pusher = null!;

    public async ValueTask InitializeAsync()
    {
        _storage = await AzureStorage.CreateAsync();
        _proxy = await AzuriteProxy.StartAsync();
        _sweeper = await AzureRegistry.StartAsync(_storage, _proxy.ConnectionString);
        _pusher = await AzureRegistry.StartAsync(_storage, time: new ManualTimeProvider());
    }

    public async ValueTask DisposeAsync()
    {
        await _pusher.DisposeAsync();
        await _sweeper.DisposeAsync();
        await _proxy.DisposeAsync();
        await _storage.DeleteAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    [InlineData(-6)]
    public async Task A_pointer_whose_delete_is_held_stays_once_a_push_was_acknowledged(int minutes)
    {
        for (var round = 0; round < Counts.Of(ci: 5, full: 100); round++)
        {
            var (content, digest) = await AddExpiredAsync();
            var deleting = HoldDelete("blobs/");
            var sweep = _sweeper.SweepAsync();
            await deleting.Reached;
            _pusher.Time!.TurnBack(TimeSpan.FromMinutes(-minutes));
            await _pusher.Http.PushBlobAsync(_local, content);

            (await deleting.ReleaseAsync()).ShouldBe((int)HttpStatusCode.PreconditionFailed);

            (await Until.DoneAsync(sweep)).ShouldBe(0);
            await AssertIsServedAsync(content);
            (await _sweeper.SweepAsync()).ShouldBe(0);
            await AssertIsServedAsync(content);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    public async Task A_push_between_the_two_deletes_brings_the_content_back_and_nothing_is_left_of_the_old(int minutes)
    {
        for (var round = 0; round < Counts.Of(ci: 5, full: 100); round++)
        {
            var (content, _) = await AddExpiredAsync();
            var deleting = HoldDelete("_data/");
            var sweep = _sweeper.SweepAsync();
            await deleting.Reached;
            _pusher.Time!.TurnBack(TimeSpan.FromMinutes(-minutes));
            await _pusher.Http.PushBlobAsync(_local, content);

            await deleting.ReleaseAsync();

            (await Until.DoneAsync(sweep)).ShouldBe(1);
            await AssertIsServedAsync(content);
        }

        var names = await _storage.NamesAsync();
        names.Count(name => name.StartsWith("_data/", StringComparison.Ordinal))
            .ShouldBe(names.Count(name => name.StartsWith("blobs/", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_mount_between_the_two_deletes_finds_nothing_although_its_replica_remembers_the_pointer()
    {
        for (var round = 0; round < Counts.Of(ci: 3, full: 100); round++)
        {
            var digest = await _sweeper.Http.PushBlobAsync(_cache, RegistryClient.RandomBytes(1_000));
            var link = RegistryLayout.RepositoryBlob(RepositoryName.Parse(_cache), digest);
            var linked = (await _sweeper.Documents.ReadAsync(link, default))!.Content;
            using (var warm = await _pusher.Http.HeadBlobAsync(_cache, digest))
            {
                warm.StatusCode.ShouldBe(HttpStatusCode.OK);
            }

            // The mount finds the blob in its source, as if it had looked before it was deleted there.
            await _sweeper.ExpireAsync(_cache, digest);
            var deleting = HoldDelete("_data/");
            var sweep = _sweeper.SweepAsync();
            await deleting.Reached;
            await _sweeper.Documents.WriteAsync(link, linked, WriteCondition.Absent, Durability.Synced, default);

            using (var mount = await _pusher.Http.StartUploadAsync(_local, $"?mount={digest}&from={_cache}"))
            {
                await mount.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            }

            await deleting.ReleaseAsync();
            await Until.DoneAsync(sweep);
            using var head = await _pusher.Http.HeadBlobAsync(_local, digest);
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
    }

    [Fact]
    public async Task A_session_that_publishes_its_content_again_keeps_it_when_a_delete_of_that_content_lands_late()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        var uploads = _storage.Uploads();
        var key = new StagedKey(UploadSessionId.New(), 0);
        await using (var staged = (await uploads.OpenAsync(key, 0, default))!)
        {
            await staged.AppendAsync(content, default);
            await staged.FlushAsync(default);
            key = key with { Parts = staged.Parts };
        }

        (await uploads.PublishAsync(key, digest, content.Length, default)).ShouldBe(PublishResult.Published);
        await _sweeper.Condemned.CondemnAsync(digest, default);
        var deleting = HoldDelete("_data/");
        var sweep = _sweeper.SweepAsync();
        await deleting.Reached;

        (await _storage.Uploads().PublishAsync(key, digest, content.Length, default)).ShouldBe(PublishResult.Published);

        (await deleting.ReleaseAsync()).ShouldBe((int)HttpStatusCode.PreconditionFailed);
        await Until.DoneAsync(sweep);
        (await _storage.Blobs().ConfirmAsync(digest, default)).ShouldBe(content.Length);
    }

    [Fact]
    public async Task What_a_sweep_that_died_between_the_two_deletes_has_left_goes_with_the_next()
    {
        var (_, digest) = await AddExpiredAsync();
        _proxy.Faults = request => request is { Operation: "Delete Blob" } && request.Blob.StartsWith("_data/", StringComparison.Ordinal)
            ? new StoreFault { Status = 403, Code = "AuthorizationFailure" }
            : null;
        (await _sweeper.SweepAsync()).ShouldBe(0);
        _proxy.Faults = null;
        _proxy.Date = DateTimeOffset.UtcNow.AddMinutes(6); // by the storage's clock a sweep that has died is resumed

        (await _sweeper.SweepAsync()).ShouldBe(1);

        (await _storage.Blobs().ConfirmAsync(digest, default)).ShouldBeNull();
        (await _storage.NamesAsync()).ShouldNotContain(name =>
            name.StartsWith("_data/", StringComparison.Ordinal) || name.StartsWith("documents/_condemned@", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Content_is_confirmed_by_the_storage_and_not_by_a_pointer_that_is_remembered()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await _sweeper.Http.PushBlobAsync(_cache, content);
        var blobs = _storage.Blobs();
        (await blobs.StatAsync(digest, default)).ShouldBe(content.Length);
        await _storage.Container().Blob(BlobPointers.NameOf(digest)).DeleteAsync();

        (await blobs.ConfirmAsync(digest, default)).ShouldBeNull();
    }

    private HeldCall HoldDelete(string prefix) => _proxy.Hold(request =>
        request is { Operation: "Delete Blob" } && request.Blob.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>New content that no repository links any more.</summary>
    private async Task<(byte[] Content, Digest Digest)> AddExpiredAsync()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await _sweeper.Http.PushBlobAsync(_cache, content);
        await _sweeper.ExpireAsync(_cache, digest);
        return (content, digest);
    }

    private async Task AssertIsServedAsync(byte[] content)
    {
        foreach (var replica in new[] { _sweeper, _pusher })
        {
            using var pulled = await replica.Http.GetBlobAsync(_local, Digest.Of(content));
            await pulled.ShouldBeContentAsync(Digest.Of(content), content);
        }
    }
}
