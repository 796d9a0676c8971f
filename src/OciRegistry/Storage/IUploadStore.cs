namespace OciRegistry.Storage;

/// <summary>
/// The staged bytes of upload sessions. Each generation of a session has bytes of its own, so that a writer that was
/// fenced, and does not know it yet, can write only what nobody will publish.
/// </summary>
public interface IUploadStore
{
    /// <summary>
    /// Changes when bytes that were appended before may be gone or damaged without anybody having been told: a reboot, or
    /// a volume that is mounted anew, for a store that syncs only what it publishes. Sessions of another epoch are hashed
    /// again before they go on.
    /// </summary>
    /// <exception cref="StorageException">The store cannot tell.</exception>
    string Epoch { get; }

    /// <summary>
    /// True where a generation grows as a file does: the next writer goes on in it, and what is staged is readable at any
    /// time. False where bytes are staged as blocks, to be put together when they are published: every writer takes a
    /// generation of its own then, which costs nothing, and <see cref="OpenReadAsync"/> ends the staging.
    /// </summary>
    bool AppendsInPlace { get; }

    /// <summary>
    /// Opens a generation for appending at <paramref name="offset"/>, alone. Staged bytes beyond are cut off by the first
    /// append, not before: only who has it open can find out whether it is still his turn. Null when another writer still
    /// has it open, or when it holds fewer bytes than that: take a new generation then.
    /// </summary>
    ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken);

    /// <summary>
    /// The bytes of a generation, read beside whoever has it open: those that were recorded are never written again. Null
    /// when there is none. Where generations are not appended to in place, nothing can be staged after it.
    /// </summary>
    ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken);

    /// <summary>Bytes that a generation holds; 0 when there is none.</summary>
    ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken);

    /// <summary>
    /// A new generation that begins with the first <paramref name="length"/> bytes of <paramref name="source"/>. Null
    /// when the source holds fewer.
    /// </summary>
    ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken);

    /// <summary>
    /// Makes a generation the content of <paramref name="digest"/> and returns once readers anywhere see it whole. Safe to repeat by
    /// anyone: a generation that was published before is a success. The caller has checked that the bytes have that digest.
    /// Nothing need have been staged for a size of 0. Where <see cref="AppendsInPlace"/>, an attempt that failed may have lost
    /// bytes of the generation, and the next attempt does not notice: publish a checked copy of it then.
    /// </summary>
    ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken);

    /// <summary>
    /// Frees the space of a generation beyond <paramref name="length"/> bytes; at 0 the generation is gone. For who has it
    /// open, or has made it. Does nothing where space is not to be freed so, as in an object store.
    /// </summary>
    ValueTask TrimAsync(StagedKey key, long length, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>
    /// Deletes all generations of a session, whichever is named; content that was published from one stays. Repeatable.
    /// </summary>
    ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken);

    /// <summary>
    /// Staged bytes, last written to before <paramref name="before"/>, of sessions of which nothing else may be left: for
    /// the sweep, which discards those that have no session document. Not what the store itself drops in time.
    /// </summary>
    IAsyncEnumerable<StagedKey> ListAsync(DateTimeOffset before, CancellationToken cancellationToken);
}

/// <summary>Names the staged bytes of one generation of a session.</summary>
/// <param name="Session">The session.</param>
/// <param name="Generation">Given to one writer, or to one after the other.</param>
/// <param name="Parts">What <see cref="IStagedBlob.Parts"/> said when the bytes were last recorded.</param>
public readonly record struct StagedKey(UploadSessionId Session, int Generation, string? Parts = null);

/// <summary>A generation that this writer alone has open. Disposing closes it; the bytes stay.</summary>
public interface IStagedBlob : IAsyncDisposable
{
    /// <summary>Bytes that were appended: after an exception, those that surely were.</summary>
    long Length { get; }

    /// <summary>
    /// Where the store has put the first <see cref="Length"/> bytes, in its own words: to be recorded with them once they
    /// are flushed, and told again in every <see cref="StagedKey"/>. Null for a store that knows by itself.
    /// </summary>
    string? Parts { get; }

    /// <summary>
    /// Whether writing bytes of the generation to disk may have failed, though they were appended. A later sync does not
    /// tell: the system reports such a failure once.
    /// </summary>
    bool IsSuspect => false;

    /// <summary>Appends; the bytes may be kept back until <see cref="FlushAsync"/>, some block's size of them at most.</summary>
    ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>
    /// Returns when the store has all bytes that were appended (they survive the process, not yet the machine). After an
    /// exception only those count that were flushed before.
    /// </summary>
    ValueTask FlushAsync(CancellationToken cancellationToken);
}

public enum PublishResult
{
    /// <summary>The content is there, durable and confirmed.</summary>
    Published,

    /// <summary>A writer still has the generation open: fork it, and publish the fork.</summary>
    Busy,

    /// <summary>The staged bytes are gone or fewer than recorded, and no published content replaces them.</summary>
    Lost,
}
