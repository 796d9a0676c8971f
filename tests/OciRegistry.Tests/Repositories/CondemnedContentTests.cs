using System.Net;
using System.Text;
using System.Text.Json;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Repositories;

/// <summary>Content that no repository links any more goes, and never while anybody is about to link it.</summary>
public sealed class CondemnedContentTests : IAsyncLifetime
{
    private static readonly TimeSpan Grace = TimeSpan.FromHours(1);

    private readonly ManualTimeProvider _time = new();
    private readonly string _cache = RegistryClient.NewRepository();
    private readonly string _local = RegistryClient.NewRepository();
    private readonly byte[] _content = RegistryClient.RandomBytes(1_000);
    private FaultyRegistry _registry = null!;

    private Digest Digest => Digest.Of(_content);

    private DocumentKey Condemnation => RegistryLayout.Condemnation(Digest);

    private DocumentKey LocalLink => RegistryLayout.Link(Digest, RepositoryName.Parse(_local));

    public async ValueTask InitializeAsync()
    {
        _registry = await FaultyRegistry.StartAsync(
            uploads: uploads =>
            {
                uploads.CommitWait = TimeSpan.FromSeconds(55);
                uploads.SweepInterval = TimeSpan.FromDays(40); // the test sweeps
            },
            time: _time);
        await _registry.Http.PushBlobAsync(_cache, _content);
    }

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    [Fact]
    public async Task Content_without_links_is_removed_after_the_grace_and_not_before()
    {
        await ExpireAsync();

        _time.Advance(Grace - TimeSpan.FromSeconds(1));
        (await SweepAsync(Grace)).ShouldBe(0);
        _registry.BlobFiles().Count.ShouldBe(1);

        _time.Advance(TimeSpan.FromSeconds(1));
        (await SweepAsync(Grace)).ShouldBe(1);
        _registry.BlobFiles().ShouldBeEmpty();
        (await IsCondemnedAsync()).ShouldBeFalse();
        (await SweepAsync(Grace)).ShouldBe(0);
    }

    [Fact]
    public async Task What_is_condemned_again_keeps_its_time()
    {
        await ExpireAsync();
        _time.Advance(Grace);
        await ExpireAsync();

        (await SweepAsync(Grace)).ShouldBe(1);
    }

    [Fact]
    public async Task Content_that_another_repository_links_is_not_condemned()
    {
        await _registry.Http.PushBlobAsync(_local, _content);

        await ExpireAsync();

        (await IsCondemnedAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task Content_that_was_linked_while_it_was_condemned_stays()
    {
        var condemning = _registry.Plan.Hold(StoreCall.DocumentWrite, Condemnation.ToString());
        var condemned = ExpireAsync();
        await condemning.Reached;
        await _registry.Http.PushBlobAsync(_local, _content);
        condemning.Release();
        await Until.DoneAsync(condemned);
        (await IsCondemnedAsync()).ShouldBeTrue();

        (await SweepAsync()).ShouldBe(0);

        await AssertIsServedAsync();
        (await IsCondemnedAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_push_before_the_removal_takes_the_condemnation_back()
    {
        await ExpireAsync();

        await _registry.Http.PushBlobAsync(_local, _content);

        (await IsCondemnedAsync()).ShouldBeFalse();
        (await SweepAsync()).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_push_before_the_sweep_looks_for_links_keeps_the_content()
    {
        await ExpireAsync();
        var looking = _registry.Plan.Hold(StoreCall.DocumentList, RegistryLayout.Links(Digest));
        var sweep = SweepAsync();
        await looking.Reached;
        await _registry.Http.PushBlobAsync(_local, _content);

        looking.Release();

        (await Until.DoneAsync(sweep)).ShouldBe(0);
        await AssertIsServedAsync();
        (await IsCondemnedAsync()).ShouldBeFalse();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(6)]
    [InlineData(-6)]
    public async Task A_held_delete_removes_nothing_once_a_push_was_acknowledged(int minutes)
    {
        // The sweep is stopped at its delete, for as long as it takes; the clock of the pusher is right, ahead, or behind.
        for (var round = 0; round < Counts.Of(ci: 10, full: 100); round++)
        {
            var (content, digest) = await AddExpiredAsync();
            var deleting = _registry.Plan.Hold(StoreCall.BlobDelete, digest.ToString());
            var sweep = SweepAsync();
            await deleting.Reached;
            _time.TurnBack(TimeSpan.FromMinutes(-minutes));
            await _registry.Http.PushBlobAsync(_local, content);

            deleting.Release();

            (await Until.DoneAsync(sweep)).ShouldBe(0);
            using var pulled = await _registry.Http.GetBlobAsync(_local, digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }
    }

    [Fact]
    public async Task A_held_delete_removes_nothing_once_another_sweep_has_removed_the_content_and_it_is_back()
    {
        for (var round = 0; round < Counts.Of(ci: 10, full: 100); round++)
        {
            var (content, digest) = await AddExpiredAsync();
            var deleting = _registry.Plan.Hold(StoreCall.BlobDelete, digest.ToString());
            var held = SweepAsync();
            await deleting.Reached;
            _time.Advance(TimeSpan.FromMinutes(6));
            (await SweepAsync()).ShouldBe(1, "another sweep resumes the removal");
            await _registry.Http.PushBlobAsync(_local, content);

            deleting.Release();

            (await Until.DoneAsync(held)).ShouldBe(0);
            using var pulled = await _registry.Http.GetBlobAsync(_local, digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_sweep_that_resumes_a_removal_and_finds_a_link_fences_the_first_one_before_it_takes_the_mark_back(
        bool isLinked)
    {
        // A holder that has written its reverse link and not yet looked at the mark finds none afterwards.
        await ExpireAsync();
        var deleting = _registry.Plan.Hold(StoreCall.BlobDelete);
        var first = SweepAsync();
        await deleting.Reached;
        await LeaveReverseLinkAsync();
        if (isLinked)
        {
            await _registry.Documents.WriteAsync(
                RegistryLayout.RepositoryBlob(RepositoryName.Parse(_local), Digest), "1000"u8.ToArray(), WriteCondition.None,
                Durability.Synced, default);
        }

        _time.Advance(TimeSpan.FromMinutes(6));
        (await SweepAsync()).ShouldBe(0);
        var journal = _registry.Plan.Journal;
        journal.ShouldContain((StoreCall.BlobRenew, Digest.ToString()));
        (await IsCondemnedAsync()).ShouldBe(!isLinked);

        deleting.Release();

        (await Until.DoneAsync(first)).ShouldBe(0);
        _registry.BlobFiles().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_push_after_the_removal_brings_the_content_back()
    {
        await ExpireAsync();
        (await SweepAsync()).ShouldBe(1);

        await _registry.Http.PushBlobAsync(_local, _content);

        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_push_that_lost_the_race_for_the_condemnation_looks_again()
    {
        // After a day its reverse link looks like one that was left, and goes with the content.
        await ExpireAsync();
        _time.Advance(TimeSpan.FromHours(25));
        var reviving = _registry.Plan.Hold(StoreCall.DocumentDelete, Condemnation.ToString());
        var deleting = _registry.Plan.Hold(StoreCall.BlobDelete);
        var push = _registry.Http.PushBlobAsync(_local, _content);
        await reviving.Reached;
        var sweep = SweepAsync();
        await deleting.Reached;
        var reads = ReadsOfCondemnation();
        reviving.Release();
        await Until.TrueAsync(() => ReadsOfCondemnation() > reads, "the push has looked again");

        await PassTimeUntilAsync(push);
        deleting.Release();

        (await Until.DoneAsync(sweep)).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_sweep_that_stood_still_for_long_removes_nothing()
    {
        await ExpireAsync();
        var looked = _registry.Plan.Hold(StoreCall.DocumentList, RegistryLayout.Links(Digest), afterEffect: true);
        var paused = SweepAsync();
        await looked.Reached;
        _time.Advance(TimeSpan.FromMinutes(10));
        (await SweepAsync()).ShouldBe(1, "another one takes over");
        await _registry.Http.PushBlobAsync(_local, _content);

        looked.Release();

        (await Until.DoneAsync(paused)).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_sweep_whose_machine_slept_removes_nothing()
    {
        // CLOCK_MONOTONIC stands still then; the others' clocks go on.
        await ExpireAsync();
        var looked = _registry.Plan.Hold(StoreCall.DocumentList, RegistryLayout.Links(Digest), afterEffect: true);
        var asleep = SweepAsync();
        await looked.Reached;
        _time.TurnBack(-TimeSpan.FromMinutes(10));
        (await SweepAsync()).ShouldBe(1, "another one takes over");
        await _registry.Http.PushBlobAsync(_local, _content);

        looked.Release();

        (await Until.DoneAsync(asleep)).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_slow_sweep_that_nobody_has_taken_over_from_removes_the_content()
    {
        await ExpireAsync();
        var looked = _registry.Plan.Hold(StoreCall.DocumentList, RegistryLayout.Links(Digest), afterEffect: true);
        var slow = SweepAsync();
        await looked.Reached;
        _time.Advance(TimeSpan.FromHours(1));

        looked.Release();

        (await Until.DoneAsync(slow)).ShouldBe(1);
        _registry.BlobFiles().ShouldBeEmpty();
        (await IsCondemnedAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_sweep_that_died_is_taken_over_after_five_minutes_and_not_before()
    {
        await ExpireAsync();
        await DieWhileRemovingAsync();

        _time.Advance(TimeSpan.FromMinutes(4));
        (await SweepAsync()).ShouldBe(0);
        _registry.BlobFiles().Count.ShouldBe(1);

        _time.Advance(TimeSpan.FromMinutes(1));
        (await SweepAsync()).ShouldBe(1);
        _registry.BlobFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_push_takes_over_from_a_sweep_that_died_at_once()
    {
        await ExpireAsync();
        await DieWhileRemovingAsync();

        await _registry.Http.PushBlobAsync(_local, _content);

        await AssertIsServedAsync();
        (await IsCondemnedAsync()).ShouldBeFalse();
        (await SweepAsync()).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_push_waits_for_a_removal_of_the_release_before_which_has_no_condition()
    {
        // A rolling update: the mark has no id, and the delete of whoever has set it may be on its way.
        await MarkAsTheReleaseBeforeAsync();
        _time.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromSeconds(1));
        var push = await PushUntilItWaitsAsync();
        push.IsCompleted.ShouldBeFalse();

        _time.Advance(TimeSpan.FromSeconds(1));
        await SweepAsync();

        await PassTimeUntilAsync(push);
        await AssertIsServedAsync();
        (await SweepAsync()).ShouldBe(0);
        await AssertIsServedAsync();
    }

    [Fact]
    public async Task A_push_that_waited_in_vain_is_answered_503_and_goes_on_when_it_is_repeated()
    {
        await MarkAsTheReleaseBeforeAsync();
        using var patched = await _registry.Http.PatchAsync(await _registry.Http.NewUploadAsync(_local), _content);
        var location = patched.Headers.Location!.ToString();
        using (var failed = await PassTimeUntilAsync(_registry.Http.CompleteAsync(location, Digest.ToString())))
        {
            failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            failed.Header("Retry-After").ShouldNotBeNull();
        }

        _time.Advance(TimeSpan.FromMinutes(10));
        await SweepAsync();

        using var created = await _registry.Http.CompleteAsync(location, Digest.ToString());
        await created.ShouldHaveCreatedAsync(_registry.Http, Digest, _content);
    }

    [Fact]
    public async Task The_release_before_reads_a_mark_as_one_of_its_own()
    {
        await ExpireAsync();
        await DieWhileRemovingAsync();

        var mark = (await _registry.Documents.ReadAsync(Condemnation, default))!.Content;

        using var json = JsonDocument.Parse(mark);
        json.RootElement.GetProperty("since").GetDateTimeOffset().ShouldBe(_time.GetUtcNow());
        json.RootElement.GetProperty("deleting").GetDateTimeOffset().ShouldBe(_time.GetUtcNow());
    }

    [Fact]
    public async Task A_reverse_link_that_was_left_keeps_the_content_for_a_day_and_no_longer()
    {
        await ExpireAsync();
        await LeaveReverseLinkAsync();

        _time.Advance(TimeSpan.FromHours(24));
        (await SweepAsync()).ShouldBe(0);
        _registry.BlobFiles().Count.ShouldBe(1);
        (await IsCondemnedAsync()).ShouldBeTrue("it is to be looked at again");

        _time.Advance(TimeSpan.FromSeconds(1));
        (await SweepAsync()).ShouldBe(1);
        _registry.BlobFiles().ShouldBeEmpty();
        (await _registry.Documents.ReadAsync(LocalLink, default)).ShouldBeNull();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Who_links_at_the_last_moment_what_looked_left_keeps_it(bool isMarked)
    {
        await ExpireAsync();
        await LeaveReverseLinkAsync();
        _time.Advance(TimeSpan.FromHours(25));
        var marking = _registry.Plan.Hold(StoreCall.DocumentWrite, LocalLink.ToString(), afterEffect: isMarked);
        var sweep = SweepAsync();
        await marking.Reached;
        var reads = ReadsOfCondemnation();
        var linked = LinkAsync();
        await Until.TrueAsync(() => ReadsOfCondemnation() > reads || linked.IsCompleted, "it is linked, or waits");

        marking.Release();

        (await Until.DoneAsync(sweep)).ShouldBe(0);
        (await PassTimeUntilAsync(linked)).ShouldBeTrue();
        await AssertIsServedAsync();
        (await _registry.Documents.ReadAsync(LocalLink, default))!.Content.ToArray().ShouldBe(CondemnedContent.Linked.ToArray());
    }

    [Fact]
    public async Task Who_held_content_and_stood_still_for_a_day_does_not_link_what_is_gone()
    {
        await ExpireAsync();
        await LeaveReverseLinkAsync();
        var linking = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.RepositoryBlob(RepositoryName.Parse(_local), Digest).ToString());
        var linked = LinkAsync();
        await linking.Reached;
        _time.Advance(TimeSpan.FromHours(25));
        (await SweepAsync()).ShouldBe(1);

        linking.Release();

        (await PassTimeUntilAsync(linked)).ShouldBeFalse();
        await AssertNothingIsLinkedAsync();
    }

    [Fact]
    public async Task Who_links_after_the_link_was_looked_for_keeps_its_reverse_link()
    {
        await LeaveReverseLinkAsync();
        var deleting = _registry.Plan.Hold(StoreCall.DocumentDelete, LocalLink.ToString());
        var letGo = Task.Run(() => _registry.Condemned.LetGoAsync(RepositoryName.Parse(_local), Digest).AsTask());
        await deleting.Reached;
        await _registry.Http.PushBlobAsync(_local, _content);

        deleting.Release();

        (await Until.DoneAsync(letGo)).ShouldBeFalse();
        (await _registry.Documents.ReadAsync(LocalLink, default)).ShouldNotBeNull();
    }

    [Fact]
    public async Task What_is_deleted_and_removed_while_it_is_pushed_is_there_again_or_was_not_pushed()
    {
        // The delete takes the reverse link of the push away, so that nothing holds the content until the push sees that.
        // (It has something to delete: the blob was pushed before.)
        await _registry.Http.PushBlobAsync(_local, _content);
        var linking = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.RepositoryBlob(RepositoryName.Parse(_local), Digest).ToString());
        var push = _registry.Http.CompleteAsync(await _registry.Http.NewUploadAsync(_local), Digest.ToString(), _content);
        await linking.Reached;
        await _registry.Blobs.UnlinkAsync(RepositoryName.Parse(_local), Digest, default);
        await ExpireAsync();
        (await SweepAsync()).ShouldBe(1);

        linking.Release();

        using var pushed = await PassTimeUntilAsync(push);
        if (pushed.StatusCode != HttpStatusCode.Created)
        {
            pushed.StatusCode.ShouldBe(HttpStatusCode.NotFound, "its staged bytes have become the content");
            await AssertNothingIsLinkedAsync();
            await _registry.Http.PushBlobAsync(_local, _content);
        }

        await AssertIsServedAsync();
    }

    [Fact]
    public async Task Content_that_cannot_be_removed_does_not_keep_the_rest()
    {
        await ExpireAsync();
        byte[][] others = [.. Enumerable.Range(0, 4).Select(_ => RegistryClient.RandomBytes(100))];
        foreach (var other in others)
        {
            await ExpireAsync(await _registry.Http.PushBlobAsync(_cache, other));
        }

        _registry.Plan.Fail(StoreCall.DocumentList, on: RegistryLayout.Links(Digest));
        _registry.Plan.Fail(StoreCall.BlobDelete, on: Digest.Of(others[0]).ToString());

        (await SweepAsync()).ShouldBe(3);
        _registry.Log.Lines.Count(line => line.Contains("cannot be removed", StringComparison.Ordinal)).ShouldBe(2);

        (await SweepAsync()).ShouldBe(1, "whether the other is deleted is unknown: no sweep resumes that before its time");
        _time.Advance(TimeSpan.FromMinutes(10));
        (await SweepAsync()).ShouldBe(1);
        _registry.BlobFiles().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_blob_is_mounted_if_its_content_is_not_removed_before_the_mount_has_looked(bool isRemovedBefore)
    {
        var holding = _registry.Plan.Hold(StoreCall.DocumentWrite, LocalLink.ToString());
        var mount = _registry.Http.StartUploadAsync(_local, $"?mount={Digest}&from={_cache}");
        await holding.Reached;
        await ExpireAsync();
        var deleting = _registry.Plan.Hold(StoreCall.BlobDelete);
        var sweep = SweepAsync();
        await deleting.Reached;
        if (isRemovedBefore)
        {
            deleting.Release();
            (await Until.DoneAsync(sweep)).ShouldBe(1);
        }

        holding.Release();

        using var answer = await PassTimeUntilAsync(mount);
        deleting.Release();
        (await Until.DoneAsync(sweep)).ShouldBe(isRemovedBefore ? 1 : 0);
        if (isRemovedBefore)
        {
            await answer.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-0");
            await AssertNothingIsLinkedAsync();
        }
        else
        {
            await answer.ShouldHaveStatusAsync(HttpStatusCode.Created);
            await AssertIsServedAsync();
        }
    }

    [Fact]
    public async Task What_is_pushed_while_it_is_removed_from_elsewhere_is_always_there()
    {
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.CommitWait = TimeSpan.FromSeconds(55));
        var removed = 0;
        for (var round = 0; round < Counts.Of(ci: 200, full: 5_000); round++)
        {
            var content = RegistryClient.RandomBytes(1_000);
            var digest = await registry.Http.PushBlobAsync(_cache, content);
            using var patched = await registry.Http.PatchAsync(await registry.Http.NewUploadAsync(_local), content);
            var push = registry.Http.CompleteAsync(patched.Headers.Location!.ToString(), digest.ToString());
            var expiry = Task.Run(async () =>
            {
                await registry.Blobs.UnlinkAsync(RepositoryName.Parse(_cache), digest, default);
                await registry.Condemned.CondemnAsync(digest, default);
                do
                {
                    removed += await registry.Condemned.SweepAsync(TimeSpan.Zero, default);
                }
                while (!push.IsCompleted);
            });

            using var created = await Until.DoneAsync(push);
            await created.ShouldHaveStatusAsync(HttpStatusCode.Created);
            await Until.DoneAsync(expiry);
            (await registry.Condemned.SweepAsync(TimeSpan.Zero, default)).ShouldBe(0);
            using var pulled = await registry.Http.GetBlobAsync(_local, digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }

        TestContext.Current.SendDiagnosticMessage($"{removed} removed meanwhile");
    }

    private async Task MarkAsTheReleaseBeforeAsync()
    {
        await ExpireAsync();
        var now = _time.GetUtcNow();
        await _registry.Documents.WriteAsync(
            Condemnation,
            Encoding.UTF8.GetBytes($$"""{"since":"{{now:O}}","deleting":"{{now:O}}"}"""),
            WriteCondition.None,
            Durability.Synced,
            default);
    }

    /// <summary>New content that no repository links any more.</summary>
    private async Task<(byte[] Content, Digest Digest)> AddExpiredAsync()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await _registry.Http.PushBlobAsync(_cache, content);
        await ExpireAsync(digest);
        return (content, digest);
    }

    private Task ExpireAsync() => ExpireAsync(Digest);

    private async Task ExpireAsync(Digest digest)
    {
        await _registry.Blobs.UnlinkAsync(RepositoryName.Parse(_cache), digest, default);
        await _registry.Condemned.CondemnAsync(digest, default);
    }

    private Task<int> SweepAsync(TimeSpan grace = default) =>
        Task.Run(() => _registry.Condemned.SweepAsync(grace, default).AsTask());

    private async Task DieWhileRemovingAsync()
    {
        _registry.Plan.Fail(StoreCall.BlobDelete);
        (await SweepAsync()).ShouldBe(0);
    }

    private async Task LeaveReverseLinkAsync() => await _registry.Documents.WriteAsync(
        LocalLink, CondemnedContent.Linked, WriteCondition.Absent, Durability.Synced, default);

    private Task<bool> LinkAsync() => Task.Run(() => _registry.Blobs.LinkAsync(
        RepositoryName.Parse(_local), Digest, _content.Length, isHeld: true, default).AsTask());

    /// <summary>A push that has found that the content is just being removed.</summary>
    private async Task<Task<Digest>> PushUntilItWaitsAsync()
    {
        var reads = ReadsOfCondemnation();
        var push = _registry.Http.PushBlobAsync(_local, _content);
        await Until.TrueAsync(() => ReadsOfCondemnation() > reads || push.IsCompleted, "the push has looked");
        return push;
    }

    private int ReadsOfCondemnation() =>
        _registry.Plan.Journal.Count(call => call == (StoreCall.DocumentRead, Condemnation.ToString()));

    private async Task<T> PassTimeUntilAsync<T>(Task<T> done)
    {
        await Until.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromMilliseconds(250));
                return done.IsCompleted;
            },
            "it is done");
        return await done;
    }

    private async Task<bool> IsCondemnedAsync() => await _registry.Documents.ReadAsync(Condemnation, default) is not null;

    private async Task AssertIsServedAsync()
    {
        using var pulled = await _registry.Http.GetBlobAsync(_local, Digest);
        await pulled.ShouldBeContentAsync(Digest, _content);
    }

    private async Task AssertNothingIsLinkedAsync()
    {
        (await _registry.Documents.ReadAsync(LocalLink, default)).ShouldBeNull();
        (await _registry.Blobs.LinkedSizeAsync(RepositoryName.Parse(_local), Digest, default)).ShouldBeNull();
    }
}
