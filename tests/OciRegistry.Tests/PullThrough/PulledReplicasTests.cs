using System.Net;
using System.Text;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Repositories;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Two replicas, A and B, over one storage and one upstream: what one notes, the other neither loses nor keeps for ever.</summary>
public sealed class PulledReplicasTests : IAsyncLifetime
{
    private static readonly TimeSpan TagTtl = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ContentTtl = TimeSpan.FromDays(1);
    private static readonly RepositoryName Repository = RepositoryName.Parse("up/a");
    private static readonly Tag Name = Tag.TryParse("v1", out var tag) ? tag : default;

    private readonly ManualTimeProvider _time = new();
    private FakeUpstream _upstream = null!;
    private ReplicaPair _replicas = null!;
    private FakeImage _image = null!;

    private FaultyRegistry A => _replicas.A;

    private FaultyRegistry B => _replicas.B;

    private Digest Subject => _image.Digest;

    private DocumentKey NoteKey => RegistryLayout.ReferredSubject(Repository, Subject);

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _image = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10));
        _replicas = await ReplicaPair.StartAsync(
            all =>
            {
                all.PullThrough.SweepInterval = TimeSpan.FromDays(30); // the test sweeps
                all.Uploads.SweepInterval = TimeSpan.FromDays(30);
                all.PullThrough.Upstreams.Add(new UpstreamOptions
                {
                    Prefix = "up",
                    Url = _upstream.Url.AbsoluteUri,
                    AllowPush = true,
                    TagTtl = TagTtl,
                    ContentTtl = ContentTtl,
                });
            },
            _time);
    }

    public async ValueTask DisposeAsync()
    {
        await _replicas.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Fact]
    public async Task A_referrer_without_manifest_that_the_upstream_does_not_list_is_not_listed_and_its_entry_goes()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        var orphan = Digest.Of(RegistryClient.RandomBytes(10));
        await AddEntryAsync(orphan);

        (await ListAsync(A)).ShouldBe([theirs]);

        (await ReadAsync(EntryKey(orphan))).ShouldBeNull();
        (await ReadAsync(EntryKey(theirs))).ShouldNotBeNull(); // without a manifest, too
    }

    [Fact]
    public async Task A_referrer_stays_listed_when_the_note_of_the_list_is_damaged_and_the_upstream_is_down()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        await ListAsync(A);
        await A.Documents.WriteAsync(NoteKey, "{"u8.ToArray(), WriteCondition.None, Durability.Synced, default);
        _upstream.Faults = _ => new UpstreamFault { Status = 500 };

        (await ListAsync(A)).ShouldBe([theirs]);
    }

    [Fact]
    public async Task A_sweep_that_failed_between_a_manifest_and_its_referrer_entry_leaves_nothing_that_is_listed()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        (await A.Http.GetManifestAsync("up/a", theirs.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        Drop();
        _time.Advance(ContentTtl * 2);
        A.Plan.Fail(StoreCall.DocumentRead, on: EntryKey(theirs).ToString());
        await SweepAsync(A); // has deleted the manifest
        await SweepAsync(A);

        (await ListAsync(A)).ShouldBeEmpty();
        (await ReadAsync(EntryKey(theirs))).ShouldBeNull();
    }

    [Fact]
    public async Task A_referrer_that_the_upstream_lists_stays_when_its_cached_manifest_expires()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        (await A.Http.GetManifestAsync("up/a", theirs.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);
        _time.Advance(ContentTtl * 2);
        await ListAsync(A);
        await SweepAsync(A);
        (await ReadAsync(RegistryLayout.Manifest(Repository, theirs))).ShouldBeNull();

        (await ListAsync(B)).ShouldBe([theirs]);
    }

    [Fact]
    public async Task A_referrer_that_is_pushed_while_its_entry_is_being_removed_stays()
    {
        var manifest = RegistryClient.ImageIndex([], Subject);
        var digest = Digest.Of(manifest);
        await AddEntryAsync(digest);
        var removing = A.Plan.Hold(StoreCall.DocumentDelete, EntryKey(digest).ToString());
        var list = ListAsync(A);
        await removing.Reached; // neither its manifest nor a note was there
        using (var put = await B.Http.PutManifestAsync("up/a", "signature", manifest, MediaTypes.ImageIndex))
        {
            put.StatusCode.ShouldBe(HttpStatusCode.Created);
        }

        removing.Release();
        await Until.DoneAsync(list);

        (await ListAsync(B)).ShouldBe([digest]);
    }

    [Fact]
    public async Task A_referrer_that_another_replica_has_asked_for_while_its_entry_is_being_removed_stays()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        await AddEntryAsync(theirs);
        Drop();
        var removing = A.Plan.Hold(StoreCall.DocumentDelete, EntryKey(theirs).ToString());
        var list = ListAsync(A);
        await removing.Reached;
        _upstream.Faults = null;
        (await ListAsync(B)).ShouldBe([theirs]);
        removing.Release();
        await Until.DoneAsync(list);

        (await ListAsync(B)).ShouldBe([theirs]);
    }

    [Fact]
    public async Task A_referrer_that_another_replica_has_asked_for_while_a_sweep_expires_the_list_stays()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        await ListAsync(A);
        _time.Advance(ContentTtl * 2);
        var removing = A.Plan.Hold(StoreCall.DocumentRead, EntryKey(theirs).ToString());
        var sweep = SweepAsync(A);
        await removing.Reached;
        (await ListAsync(B)).ShouldBe([theirs]);
        removing.Release();
        await Until.DoneAsync(sweep);

        (await ListAsync(B)).ShouldBe([theirs]);
    }

    [Theory]
    [InlineData(1)] // before its first note
    [InlineData(2)] // before its last one
    public async Task Of_two_refreshes_at_once_neither_loses_what_the_other_has_noted(int nth)
    {
        var first = _upstream.AddReferrer("a", Subject, "application/first");
        await ListAsync(A);
        _time.Advance(TagTtl * 2);
        var writing = A.Plan.Hold(StoreCall.DocumentWrite, NoteKey.ToString(), nth);
        var slow = ListAsync(A);
        await writing.Reached;
        var second = _upstream.AddReferrer("a", Subject, "application/second");
        (await ListAsync(B)).ShouldBe([first, second], ignoreOrder: true);
        writing.Release();
        (await Until.DoneAsync(slow)).ShouldBe([first, second], ignoreOrder: true);
        (await ListAsync(B)).ShouldBe([first, second], ignoreOrder: true);

        Drop();
        _time.Advance(TagTtl * 2);
        (await ListAsync(B)).ShouldBeEmpty(); // what was noted is taken out
    }

    [Fact]
    public async Task A_refresh_whose_answer_is_old_takes_out_nothing_that_a_newer_one_has_listed()
    {
        var theirs = _upstream.AddReferrer("a", Subject, "application/theirs");
        await ListAsync(A);
        _time.Advance(TagTtl * 2);
        Drop();
        var removing = A.Plan.Hold(StoreCall.DocumentRead, EntryKey(theirs).ToString());
        var slow = ListAsync(A);
        await removing.Reached; // it is about to take it out
        _upstream.Faults = null;
        (await ListAsync(B)).ShouldBe([theirs]);
        removing.Release();
        await Until.DoneAsync(slow);

        (await ListAsync(B)).ShouldBe([theirs]);
    }

    [Fact]
    public async Task The_reverse_entry_of_a_tag_that_moves_back_while_another_replica_removes_it_stays()
    {
        await HeadAsync(A);
        var next = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10));
        _time.Advance(TagTtl * 2);
        var removing = A.Plan.Hold(StoreCall.DocumentDelete, ReverseKey(_image.Digest).ToString());
        var slow = HeadAsync(A);
        await removing.Reached;
        _upstream.AddManifest("a", _image.Manifest, MediaTypes.ImageManifest, "v1");
        _time.Advance(TagTtl * 2);
        await HeadAsync(B);
        removing.Release();
        await Until.DoneAsync(slow);

        (await ReadAsync(ReverseKey(_image.Digest))).ShouldNotBeNull();
        (await ReadAsync(ReverseKey(next.Digest))).ShouldBeNull();
    }

    private static DocumentKey ReverseKey(Digest digest) => RegistryLayout.Tagged(Repository, digest, Name);

    private DocumentKey EntryKey(Digest referrer) => RegistryLayout.Referrer(Repository, Subject, referrer);

    private ValueTask<Document?> ReadAsync(DocumentKey key) => B.Documents.ReadAsync(key, default);

    /// <summary>The upstream lists no referrers from now on.</summary>
    private void Drop() => _upstream.Faults = call =>
        call.Path.Contains("/referrers/", StringComparison.Ordinal) ? new UpstreamFault { Status = 404 } : null;

    /// <summary>As a process leaves it that has died.</summary>
    private async Task AddEntryAsync(Digest referrer)
    {
        var entry = $$"""{"mediaType":"{{MediaTypes.ImageManifest}}","digest":"{{referrer}}","size":2}""";
        await A.Documents.WriteAsync(
            EntryKey(referrer), Encoding.UTF8.GetBytes(entry), WriteCondition.Absent, Durability.Synced, default);
    }

    private async Task<Digest[]> ListAsync(FaultyRegistry replica)
    {
        using var list = await replica.Http.RequestAsync("GET", $"/v2/up/a/referrers/{Subject}");
        await list.ShouldHaveStatusAsync(HttpStatusCode.OK);
        return [.. (await list.JsonAsync())["manifests"]!.AsArray().Select(one => Digest.Parse((string)one!["digest"]!))];
    }

    private static async Task HeadAsync(FaultyRegistry replica)
    {
        using var head = await replica.Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1");
        head.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    private static Task SweepAsync(FaultyRegistry replica) =>
        Task.Run(() => replica.PulledSweep.SweepAsync(CancellationToken.None).AsTask());
}
