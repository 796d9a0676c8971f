using OciRegistry.Uploads;

namespace OciRegistry.Tests.Uploads;

/// <summary>The rules by which a session's document changes.</summary>
public sealed class UploadSessionTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly UploadOptions Options = new();

    private static readonly UploadSession Fresh = new()
    {
        Id = UploadSessionId.New(),
        Repository = Repository("a/b"),
        Epoch = "epoch",
        Started = Now,
        Active = Now,
    };

    [Theory]
    [InlineData(0L, false, 0L)]
    [InlineData(null, false, 0L)]
    [InlineData(0L, true, 0L)]
    [InlineData(1L, false, null)]
    [InlineData(1L, true, null)]
    [InlineData(-1L, false, null)]
    public void A_fresh_session_starts_at_nothing(long? claim, bool isRange, long? start) =>
        Fresh.StartOf(new UploadClaim(claim, null, isRange)).ShouldBe(start);

    [Theory]
    [InlineData(100L, false, 100L)] // goes on
    [InlineData(100L, true, 100L)]
    [InlineData(null, false, 100L)] // says nothing, so goes on
    [InlineData(40L, false, 40L)] // repeats the last request, whose answer it never saw
    [InlineData(40L, true, null)] // a client that says where it stands stands somewhere else
    [InlineData(0L, false, null)] // repeats a request whose answer it must have seen
    [InlineData(99L, false, null)]
    [InlineData(101L, false, null)]
    public void A_request_goes_on_or_repeats_the_last_one(long? claim, bool isRange, long? start) =>
        At(100, lastStart: 40).StartOf(new UploadClaim(claim, null, isRange)).ShouldBe(start);

    [Theory]
    [InlineData(100L, false, true)]
    [InlineData(100L, true, false)]
    [InlineData(40L, false, false)]
    [InlineData(null, false, false)]
    public void The_running_request_is_repeated_by_one_with_the_same_claim(long? claim, bool isRange, bool repeats) =>
        Writing(At(100, lastStart: 40), 100).IsReplayOfRunning(new UploadClaim(claim, null, isRange)).ShouldBe(repeats);

    [Fact]
    public void Nothing_is_repeated_while_nobody_writes() =>
        At(100, lastStart: 40).IsReplayOfRunning(new UploadClaim(100)).ShouldBeFalse();

    [Fact]
    public void A_writer_in_place_goes_on_in_the_acknowledged_generation()
    {
        var session = Writing(At(100, lastStart: 40), 100);
        session.Writer!.Generation.ShouldBe(session.Generation);
        session.Writer.Start.ShouldBe(100);
        session.Writer.Offset.ShouldBe(100);
        session.Writer.Hash.ShouldBe(HashOf(100));
        session.Offset.ShouldBe(100);
    }

    [Fact]
    public void A_writer_beside_gets_a_generation_that_nobody_had_before()
    {
        var first = Writing(At(100, lastStart: 40), 40, inPlace: false);
        first.Writer!.Generation.ShouldBe(1);
        first.Writer.Hash.ShouldBe(HashOf(40));
        first.Generation.ShouldBe(0);

        var second = Writing(first.DropWriter(), 40, inPlace: false);
        second.Writer!.Generation.ShouldBe(2);
        Writing(second.DropWriter(), 100).Writer!.Generation.ShouldBe(0);
        Writing(Writing(second.DropWriter(), 100).DropWriter(), 40, inPlace: false).Writer!.Generation.ShouldBe(3);
    }

    [Fact]
    public void What_a_writer_in_place_has_brought_counts()
    {
        var ended = Checkpoint(Writing(At(100, lastStart: 40), 100), 130).EndWriting();
        ended.Writer.ShouldBeNull();
        ended.Offset.ShouldBe(130);
        ended.Hash.ShouldBe(HashOf(130));
        ended.LastStart.ShouldBe(100);
        ended.HashAtLastStart.ShouldBe(HashOf(100));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(101)]
    public void A_repetition_that_brings_at_least_as_much_replaces_what_was_acknowledged(long offset)
    {
        var ended = Checkpoint(Writing(At(100, lastStart: 40), 40, inPlace: false), offset).EndWriting();
        ended.Generation.ShouldBe(1);
        ended.Offset.ShouldBe(offset);
        ended.Hash.ShouldBe(HashOf(offset));
        ended.LastStart.ShouldBe(40);
        ended.HashAtLastStart.ShouldBe(HashOf(40));
    }

    [Theory]
    [InlineData(40)]
    [InlineData(99)]
    public void A_repetition_that_breaks_off_leaves_the_session_as_it_was(long offset)
    {
        var before = At(100, lastStart: 40);
        Checkpoint(Writing(before, 40, inPlace: false), offset).EndWriting()
            .ShouldBe(before with { LastGeneration = 1, Active = offset > 40 ? Now.AddSeconds(2) : Now });
    }

    [Fact]
    public void A_writer_beside_that_has_brought_nothing_does_not_count()
    {
        // Its generation was recorded before it was made: who died or failed in between has left none, or half of one.
        var before = At(100, lastStart: 40);
        var ended = Writing(before, 100, inPlace: false).EndWriting();
        ended.ShouldBe(before with { LastGeneration = 1 });
        ended.Staged.ShouldBe(before.Staged);
    }

    [Fact]
    public void A_timeline_keeps_its_first_event_and_the_latest()
    {
        var session = Fresh;
        for (var i = 0; i < 100; i++)
        {
            session = session.With(new UploadEvent(default, $"request-{i}", "replica", "PATCH", "Appended", 0, 0, 0));
        }

        session.Timeline.Select(said => said.RequestId).ShouldBe(
            ["request-0", .. Enumerable.Range(101 - UploadSession.MaxEvents, UploadSession.MaxEvents - 1).Select(i => $"request-{i}")]);
    }

    [Fact]
    public void Ending_without_a_writer_changes_nothing() =>
        At(100, lastStart: 40).EndWriting().ShouldBe(At(100, lastStart: 40));

    [Fact]
    public void A_dropped_writer_has_never_been()
    {
        var before = At(100, lastStart: 40);
        Checkpoint(Writing(before, 100), 200).DropWriter().ShouldBe(before with { Active = Now.AddSeconds(2) });
    }

    [Fact]
    public void Progress_is_what_is_acknowledged_or_what_the_writer_has_on_record()
    {
        var session = At(100, lastStart: 40);
        session.Progress.ShouldBe(100);
        Checkpoint(Writing(session, 100), 150).Progress.ShouldBe(150);
        Checkpoint(Writing(session, 40, inPlace: false), 50).Progress.ShouldBe(100);
    }

    [Fact]
    public void A_checkpoint_that_brings_nothing_new_is_a_sign_of_life_but_no_activity()
    {
        var session = Checkpoint(Writing(At(100, lastStart: 40), 100), 100);
        session.Active.ShouldBe(Now);
        session.Writer!.Renewed.ShouldBe(Now.AddSeconds(2));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_session_is_suspect_when_another_request_ends_its_writer(bool counts)
    {
        var writing = Writing(At(100, lastStart: 40), 100);
        writing.TakeOver(counts).IsSuspect.ShouldBeTrue();
        writing.EndWriting().IsSuspect.ShouldBeFalse();
        writing.DropWriter().TakeOver(counts).IsSuspect.ShouldBeFalse();
        Writing(Fresh, 0).TakeOver(counts).IsSuspect.ShouldBeFalse(); // no byte counts
    }

    [Fact]
    public void A_session_stays_suspect_once_its_writer_has_seen_a_write_fail()
    {
        var session = Writing(At(100, lastStart: 40), 100).Checkpoint(new Settled(100, null, null, IsSuspect: true), Now);
        session.Checkpoint(new Settled(100, null, null), Now).EndWriting().IsSuspect.ShouldBeTrue();
    }

    [Fact]
    public void Sealing_and_discarding_dismiss_the_writer()
    {
        var digest = Digest.Of("x"u8);
        var @sealed = Writing(At(100, lastStart: 40), 100).Seal(digest, Now.AddHours(3));
        (@sealed.State, @sealed.Digest, @sealed.Writer).ShouldBe((UploadState.Sealed, digest, null));
        @sealed.Active.ShouldBe(Now.AddHours(3));
        var discarded = Writing(At(100, lastStart: 40), 100).Discard();
        (discarded.State, discarded.Writer).ShouldBe((UploadState.Discarding, null));
    }

    [Theory]
    [InlineData(24 * 60, false)]
    [InlineData((24 * 60) + 1, true)]
    public void A_session_that_nobody_writes_to_expires(int minutes, bool expired) =>
        Fresh.HasExpired(Options, Now.AddMinutes(minutes)).ShouldBe(expired);

    [Fact]
    public void A_session_whose_writer_gives_signs_of_life_does_not_expire()
    {
        var later = Now + Options.IdleExpiry + TimeSpan.FromMinutes(1);
        var writing = Writing(Fresh, 0);
        writing.HasExpired(Options, later).ShouldBeTrue();
        writing.Checkpoint(default, later.AddMinutes(-10)).HasExpired(Options, later).ShouldBeFalse();
    }

    [Fact]
    public void No_session_lives_for_ever()
    {
        var later = Now + Options.AbsoluteExpiry + TimeSpan.FromMinutes(1);
        (Fresh with { Active = later }).HasExpired(Options, later).ShouldBeTrue();
        (Fresh with { Active = later }).HasExpired(Options, later.AddMinutes(-2)).ShouldBeFalse();
    }

    [Theory]
    [MemberData(nameof(Walks))]
    public void However_requests_come_and_end_acknowledged_bytes_never_shrink_and_hashes_fit(int seed)
    {
        var random = new Random(seed);
        var session = Fresh;
        for (var step = 0; step < 200; step++)
        {
            var start = random.Next(2) == 0 ? session.Offset : session.LastStart;
            var inPlace = start == session.Offset && random.Next(2) == 0;
            var writing = Writing(session, start, inPlace);
            writing.Writer!.Hash.ShouldBe(HashOf(start), $"seed {seed}, step {step}");
            var offset = start + random.Next(0, 50);
            var written = random.Next(4) == 0 ? writing : Checkpoint(writing, offset);
            var ended = random.Next(4) == 0 ? written.DropWriter() : written.EndWriting();
            ended.Offset.ShouldBeGreaterThanOrEqualTo(session.Offset, $"seed {seed}, step {step}");
            ended.Hash.ShouldBe(HashOf(ended.Offset));
            ended.HashAtLastStart.ShouldBe(HashOf(ended.LastStart));
            ended.LastStart.ShouldBeLessThanOrEqualTo(ended.Offset);
            session = ended;
        }
    }

    public static TheoryData<int> Walks() => [.. Enumerable.Range(1, 20)];

    private static RepositoryName Repository(string name) =>
        RepositoryName.TryParse(name, out var repository) ? repository : throw new FormatException(name);

    /// <summary>Only its length matters here.</summary>
    private static HashState? HashOf(long length) => length == 0 ? null : Hashes(length);

    private static readonly Dictionary<long, HashState> KnownHashes = [];

    private static HashState Hashes(long length)
    {
        lock (KnownHashes)
        {
            // Records compare arrays by identity, so each length has one.
            return KnownHashes.TryGetValue(length, out var known)
                ? known
                : KnownHashes[length] = HashState.Initial(DigestAlgorithm.Sha256) with { Length = length };
        }
    }

    private static UploadSession At(long offset, long lastStart) => Fresh with
    {
        Offset = offset,
        Hash = HashOf(offset),
        LastStart = lastStart,
        HashAtLastStart = HashOf(lastStart),
    };

    private static UploadSession Writing(UploadSession session, long start, bool inPlace = true) =>
        session.BeginWriting(start, inPlace, "request", "replica", Now);

    private static UploadSession Checkpoint(UploadSession session, long offset) =>
        session.Checkpoint(new Settled(offset, HashOf(offset), $"{offset} bytes"), Now.AddSeconds(2));
}
