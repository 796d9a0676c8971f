using System.Globalization;
using System.Text.Json.Serialization;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

internal enum UploadState
{
    /// <summary>Takes chunks.</summary>
    Open,

    /// <summary>Its bytes have the digest that the client named; from here it only goes forward, whoever carries it.</summary>
    Sealed,

    /// <summary>Given up: its bytes are being deleted, and it is unknown to everybody.</summary>
    Discarding,
}

/// <summary>
/// The document of an upload session, and the rules by which it changes: pure, so that each can be read and tested
/// alone. README.md draws them. The document's version is the fence: a change is written by compare-and-swap or not.
/// </summary>
internal sealed record UploadSession
{
    /// <summary>Of this layout; a document with another one was written by another release, and is left alone.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Events that <see cref="Timeline"/> has at most: a session may see thousands of chunks.</summary>
    public const int MaxEvents = 24;

    public int Schema { get; init; } = CurrentSchema;

    public required UploadSessionId Id { get; init; }

    public required RepositoryName Repository { get; init; }

    /// <summary>Who has started it, and nobody else may go on with it.</summary>
    public string Subject { get; init; } = UploadOwner.Anybody;

    public UploadState State { get; init; }

    /// <summary>Which hash runs along with the bytes.</summary>
    public DigestAlgorithm Algorithm { get; init; }

    /// <summary>The generation of staged bytes that holds what is acknowledged.</summary>
    public int Generation { get; init; }

    /// <summary>The highest generation that any writer was given.</summary>
    public int LastGeneration { get; init; }

    /// <summary>Acknowledged bytes: the client was, or may be, told that they arrived.</summary>
    public long Offset { get; init; }

    /// <summary>The hash of the acknowledged bytes; null at 0.</summary>
    public HashState? Hash { get; init; }

    /// <summary>Where the store has them, in its own words.</summary>
    public string? Parts { get; init; }

    /// <summary>Where the last acknowledged request began: where a repetition of it would begin.</summary>
    public long LastStart { get; init; }

    /// <summary>The hash at <see cref="LastStart"/>; null at 0.</summary>
    public HashState? HashAtLastStart { get; init; }

    /// <summary><see cref="Parts"/> at <see cref="LastStart"/>.</summary>
    public string? PartsAtLastStart { get; init; }

    /// <summary>The request that is writing, or was when its process died; null when none is.</summary>
    public UploadWriter? Writer { get; init; }

    /// <summary>What the content is, once sealed.</summary>
    public Digest? Digest { get; init; }

    /// <summary>
    /// Whether the system may have failed to write staged bytes to disk without a request on record to notice. Such bytes
    /// are published only as a copy that was hashed again (<see cref="UploadCommit"/>).
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsSuspect { get; init; }

    /// <summary><see cref="Storage.IUploadStore.Epoch"/> when the bytes were staged.</summary>
    public required string Epoch { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>When bytes were last accepted.</summary>
    public required DateTimeOffset Active { get; init; }

    /// <summary>What requests did with the session: its first event and the latest, for who asks why a push failed.</summary>
    public IReadOnlyList<UploadEvent> Timeline { get; init; } = [];

    public UploadOwner Owner => new(Repository, Subject);

    public StagedKey Staged => new(Id, Generation, Parts);

    /// <summary>What to tell a client that asks how far the upload is.</summary>
    public long Progress => Writer is { } writer ? Math.Max(Offset, writer.Offset) : Offset;

    /// <summary>Where a request with this claim may start; null when it may not.</summary>
    /// <remarks>
    /// With Content-Range the client knows where it stands: only the offset will do. Without, the Location that it was
    /// given is its claim: the offset, or the start of a request that it repeats because it never saw the answer.
    /// </remarks>
    public long? StartOf(UploadClaim claim) => claim switch
    {
        { Offset: null } => Offset,
        { Offset: { } at } when at == Offset => Offset,
        { IsRange: false, Offset: { } at } when at == LastStart => LastStart,
        _ => null,
    };

    /// <summary>Whether a request repeats the one that is running: it replaces it instead of waiting for it.</summary>
    public bool IsReplayOfRunning(UploadClaim claim) =>
        Writer is { } writer && !claim.IsRange && claim.Offset == writer.Start;

    /// <summary>
    /// Whether what has become of the session since a writer was taken off its record is the work of requests that began
    /// where it did, so that its bytes still fit: what is acknowledged before its start is the same.
    /// </summary>
    public bool IsRepetitionOf(UploadWriter before) =>
        (Writer is null || Writer.Start == before.Start) && (Offset == before.Start || LastStart == before.Start);

    /// <summary>The session with a writer recorded that starts at <paramref name="start"/>.</summary>
    public UploadSession BeginWriting(long start, bool inPlace, string requestId, string replica, DateTimeOffset now)
    {
        var generation = inPlace ? Generation : LastGeneration + 1;
        return this with
        {
            LastGeneration = Math.Max(LastGeneration, generation),
            Writer = new UploadWriter(generation, start, start, HashAt(start), PartsAt(start), requestId, replica, now),
        };
    }

    /// <summary>The hash state at one of the two places where a request may start.</summary>
    public HashState? HashAt(long start) =>
        start == Offset ? Hash
        : start == LastStart ? HashAtLastStart
        : throw new ArgumentOutOfRangeException(nameof(start), start, "No request may start there.");

    /// <summary>What the store has said of the bytes before one of the two places where a request may start.</summary>
    public string? PartsAt(long start) => start == Offset ? Parts : PartsAtLastStart;

    /// <summary>The running writer tells how far it is.</summary>
    public UploadSession Checkpoint(Settled settled, DateTimeOffset now) => this with
    {
        Active = settled.Offset > Writer!.Offset ? now : Active,
        IsSuspect = IsSuspect || settled.IsSuspect,
        Writer = Writer with { Offset = settled.Offset, Hash = settled.Hash, Parts = settled.Parts, Renewed = now },
    };

    /// <summary>
    /// The session without its writer. What that one has written counts when it is at least as much as was acknowledged
    /// before: a repetition that broke off must not destroy what its original brought home. A writer beside counts only
    /// once it has written: it was recorded before its generation was made, which may have failed half-way.
    /// </summary>
    public UploadSession EndWriting() =>
        Writer is { } writer
        && writer.Offset >= Offset
        && (writer.Generation == Generation || writer.Offset > writer.Start)
        ? this with
        {
            Generation = writer.Generation,
            Offset = writer.Offset,
            Hash = writer.Hash,
            Parts = writer.Parts,
            LastStart = writer.Start,
            HashAtLastStart = HashAt(writer.Start),
            PartsAtLastStart = PartsAt(writer.Start),
            Writer = null,
        }
        : DropWriter();

    /// <summary>The session as if the running request had never been.</summary>
    public UploadSession DropWriter() => this with { Writer = null };

    /// <summary>
    /// The session without a writer that did not end itself: its process died or is paused, or this request replaces it.
    /// That writer may have seen a write fail and died before it could record that, so the bytes that count are suspect.
    /// </summary>
    /// <param name="counts">Whether the bytes that are on its record count.</param>
    public UploadSession TakeOver(bool counts)
    {
        var ended = counts ? EndWriting() : DropWriter();
        return ended with { IsSuspect = IsSuspect || (Writer is not null && ended.Offset > 0) };
    }

    /// <param name="digest">The digest of the bytes.</param>
    /// <param name="now">Completing is activity: the cleanup must not discard the session meanwhile.</param>
    public UploadSession Seal(Digest digest, DateTimeOffset now) =>
        this with { State = UploadState.Sealed, Digest = digest, Writer = null, Active = now };

    public UploadSession Discard() => this with { State = UploadState.Discarding, Writer = null };

    public UploadSession With(UploadEvent said)
    {
        var keep = Timeline.Count < MaxEvents ? Timeline : [Timeline[0], .. Timeline.Skip(Timeline.Count - MaxEvents + 2)];
        return this with { Timeline = [.. keep, said] };
    }

    /// <summary>Whether nobody has cared for the session for long enough to give it up.</summary>
    public bool HasExpired(UploadOptions options, DateTimeOffset now) =>
        now - Started > options.AbsoluteExpiry
        || (now - Active > options.IdleExpiry && (Writer is null || now - Writer.Renewed > options.IdleExpiry));
}

/// <summary>Whose a session is: for everybody else there is none.</summary>
/// <param name="Repository">Where.</param>
/// <param name="Subject">Who.</param>
internal readonly record struct UploadOwner(RepositoryName Repository, string Subject)
{
    /// <summary>The subject of who has not logged in.</summary>
    public const string Anybody = "anonymous";
}

/// <summary>
/// The request that writes: recorded before its first byte, so that everybody knows whom to wait for or to fence, and at
/// each checkpoint, so that a process that dies loses little.
/// </summary>
/// <param name="Generation">Where it stages.</param>
/// <param name="Start">Where it began.</param>
/// <param name="Offset">How far it is, at the last checkpoint.</param>
/// <param name="Hash">The hash there.</param>
/// <param name="Parts">Where the store has the bytes before, in its own words.</param>
/// <param name="RequestId">Whose it is.</param>
/// <param name="Replica">The process that runs it.</param>
/// <param name="Renewed">When it last gave a sign of life.</param>
internal sealed record UploadWriter(
    int Generation,
    long Start,
    long Offset,
    HashState? Hash,
    string? Parts,
    string RequestId,
    string Replica,
    DateTimeOffset Renewed)
{
    /// <summary>Whether it is the same request, however far it has come meanwhile.</summary>
    public bool IsSameAs(UploadWriter other) =>
        Generation == other.Generation && RequestId == other.RequestId && Replica == other.Replica;
}

/// <summary>Bytes that the store surely has and the hash covers: what a writer may put on record.</summary>
/// <param name="Offset">Where they end.</param>
/// <param name="Hash">The hash there; null at 0.</param>
/// <param name="Parts">Where the store has them, in its own words.</param>
/// <param name="IsSuspect">Whether the store may have failed to write some of them to disk.</param>
internal readonly record struct Settled(long Offset, HashState? Hash, string? Parts, bool IsSuspect = false);

/// <summary>One request's part in a session.</summary>
/// <param name="At">When it ended.</param>
/// <param name="RequestId">Its id, which the error that the client saw has too.</param>
/// <param name="Replica">The process that served it.</param>
/// <param name="Verb">POST, PATCH, PUT or DELETE.</param>
/// <param name="Outcome">An <see cref="UploadOutcome"/>; Started, Sealed; or what broke it off: ClientLeft, StorageFailed, Failed.</param>
/// <param name="Offset">Where it began, or where the session stood.</param>
/// <param name="Bytes">How many bytes it brought.</param>
/// <param name="Milliseconds">From its start, waiting included.</param>
internal sealed record UploadEvent(
    DateTimeOffset At,
    string RequestId,
    string Replica,
    string Verb,
    string Outcome,
    long Offset,
    long Bytes,
    long Milliseconds)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{At:HH:mm:ss.fff} {Verb} {Outcome} at {Offset} +{Bytes} bytes, {Milliseconds} ms ({RequestId} on {Replica})");
}

/// <summary>Where the client says that its chunk begins.</summary>
/// <param name="Offset">Null when it does not say.</param>
/// <param name="Length">How many bytes it announced; null when it did not.</param>
/// <param name="IsRange">Said by Content-Range, not by the Location that it was given.</param>
internal readonly record struct UploadClaim(long? Offset, long? Length = null, bool IsRange = false)
{
    /// <summary>Where the session stands after it; null when the client does not say.</summary>
    public long? End => Offset + (IsRange ? Length : 0);
}
