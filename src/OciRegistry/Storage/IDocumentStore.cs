namespace OciRegistry.Storage;

/// <summary>
/// Where a document lives: a folder (segments of <c>[A-Za-z0-9._-]</c>, separated by '/') and a name in it, which may be
/// any text of up to 250 bytes. Folders and names never hide each other: <c>a/b</c> may be both.
/// </summary>
public readonly record struct DocumentKey(string Folder, string Name)
{
    public override string ToString() => $"{Folder}/{Name}";
}

/// <summary>A document as it was read. Two reads with equal versions saw the same write.</summary>
public sealed record Document(ReadOnlyMemory<byte> Content, string Version)
{
    /// <summary>Fills <paramref name="buffer"/> from <paramref name="offset"/> of the content, as far as it goes; how many bytes.</summary>
    internal int CopyPart(long offset, Span<byte> buffer)
    {
        var part = Content.Span[(int)Math.Min(offset, Content.Length)..];
        part = part[..Math.Min(part.Length, buffer.Length)];
        part.CopyTo(buffer);
        return part.Length;
    }
}

/// <summary>When a write or a delete may happen.</summary>
public readonly record struct WriteCondition
{
    private WriteCondition(bool mustNotExist, string? version) => (MustNotExist, Version) = (mustNotExist, version);

    /// <summary>Whatever is there.</summary>
    public static WriteCondition None => default;

    /// <summary>Only when there is no such document.</summary>
    public static WriteCondition Absent => new(true, null);

    public bool MustNotExist { get; }

    public string? Version { get; }

    /// <summary>Only when the document is still the one that was read with <paramref name="version"/>.</summary>
    public static WriteCondition Unchanged(string version) => new(false, version);

    public bool Allows(string? currentVersion) =>
        MustNotExist ? currentVersion is null : Version is null || Version == currentVersion;
}

/// <summary>How much a write must survive before it returns.</summary>
public enum Durability
{
    /// <summary>The machine may lose power: the document is on disk.</summary>
    Synced,

    /// <summary>The process may die: readers see the old document or the new one, never a part. For session documents.</summary>
    Atomic,
}

/// <summary>
/// Small documents with versions. Conditional writes are linearizable, between processes too; that is what keeps the
/// registry right when locks fail. A store that cannot be reached throws <see cref="StorageException"/>.
/// </summary>
public interface IDocumentStore
{
    /// <summary>The document, or null when there is none (or none that a finished write has left).</summary>
    ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken);

    /// <summary>
    /// Fills <paramref name="buffer"/> from <paramref name="offset"/> of the content of the document that is there now, as far as it
    /// goes; how many bytes, 0 for a missing document. Holds no more than the buffer, where the store can. Two calls may see two
    /// writes: the caller verifies the bytes.
    /// </summary>
    async ValueTask<int> ReadPartAsync(DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        await ReadAsync(key, cancellationToken) is { } document ? document.CopyPart(offset, buffer.Span) : 0;

    /// <summary>
    /// Replaces the document as one step; the new version, or null when the condition did not hold. Then the document that is
    /// there survives what <paramref name="durability"/> says.
    /// </summary>
    ValueTask<string?> WriteAsync(
        DocumentKey key,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken);

    /// <summary>Whether there is a document, intact or not; without reading it, where the store can tell.</summary>
    async ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) =>
        await ReadAsync(key, cancellationToken) is not null;

    /// <summary>
    /// Returns once a document that was read survives a power cut, as after a write with <see cref="Durability.Synced"/>: the
    /// request that has written it may still be syncing it. For answers that find stored what they would have stored. A
    /// document that is missing stays missing, also where the delete that removed it has failed after that.
    /// </summary>
    ValueTask ConfirmAsync(DocumentKey key, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>True when the document was there, the condition held, and it is gone.</summary>
    ValueTask<bool> DeleteAsync(
        DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken);

    /// <summary>
    /// The names in one folder (not below it), in ordinal order, strictly after <paramref name="after"/>, at most
    /// <paramref name="limit"/>. Empty when there is no such folder. Costs no more than the page while nothing changes.
    /// </summary>
    ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// As <see cref="ListAsync"/>, but never from a cache, whatever it costs: for decisions about deletion. It contains every
    /// document that was there when it began and still is. For a store without a cache both are the same.
    /// </summary>
    ValueTask<IReadOnlyList<string>> ListFreshAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        ListAsync(folder, after, limit, cancellationToken);

    /// <summary>Whether the folder holds any document now, at the cost of one entry; never from a cache.</summary>
    ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken);
}
