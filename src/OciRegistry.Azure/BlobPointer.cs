using System.Globalization;
using System.Text;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>Where the content of a digest is: in the blob that the session was staged in which brought it.</summary>
/// <param name="Session">The session.</param>
/// <param name="Size">Bytes.</param>
internal readonly record struct BlobPointer(UploadSessionId Session, long Size)
{
    /// <summary>The blob that it leads to.</summary>
    public string Data => DataOf(Session);

    /// <summary>Where a session's bytes are staged, and stay when they are content.</summary>
    public static string DataOf(UploadSessionId session) => RegistryLayout.Staged(new StagedKey(session, 0));

    public byte[] ToBytes() => Encoding.ASCII.GetBytes($"{Session} {Size.ToString(CultureInfo.InvariantCulture)}");

    public static BlobPointer? Parse(ReadOnlySpan<byte> content)
    {
        Span<char> text = stackalloc char[128];
        return content.Length <= text.Length
            && text[..Encoding.ASCII.GetChars(content, text)] is var told
            && told.IndexOf(' ') is > 0 and var space
            && UploadSessionId.TryParse(told[..space].ToString(), out var session)
            && long.TryParse(told[(space + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var size)
                ? new BlobPointer(session, size)
                : null;
    }
}

/// <summary>
/// Reads pointers, and remembers them: a pointer says where to look, never that anything is there. Whoever finds nothing
/// where a remembered one leads must read it again.
/// </summary>
internal sealed class BlobPointers
{
    private const int Capacity = 100_000; // of about 200 bytes

    private readonly Remembered<Digest, KnownPointer> _known = new(Capacity);
    private readonly SmallBlobs _blobs;
    private long _hits;
    private long _misses;

    /// <param name="blobs">Where pointers are.</param>
    /// <param name="metrics">Where it is to be seen how many were remembered; null for nowhere.</param>
    public BlobPointers(SmallBlobs blobs, RegistryMetrics? metrics = null)
    {
        _blobs = blobs;
        metrics?.Observe("pointers", () => Interlocked.Read(ref _hits), () => Interlocked.Read(ref _misses));
    }

    public static string NameOf(Digest digest) => RegistryLayout.Blob(digest);

    public KnownPointer? Known(Digest digest)
    {
        var isKnown = _known.TryGet(digest, out var pointer);
        Interlocked.Increment(ref isKnown ? ref _hits : ref _misses);
        return isKnown ? pointer : null;
    }

    public void Forget(Digest digest) => _known.Forget(digest);

    /// <summary>What is in the storage; null when there is none. One that cannot be read leads nowhere, but has a version.</summary>
    public async ValueTask<StoredPointer?> ReadAsync(Digest digest, CancellationToken cancellationToken)
    {
        if (await _blobs.ReadAsync(NameOf(digest), cancellationToken) is not { } stored)
        {
            return null;
        }

        var pointer = BlobPointer.Parse(stored.Content.Span);
        if (pointer is { } known)
        {
            _known.Set(digest, new KnownPointer(known, stored.Note));
        }

        return new StoredPointer(pointer, stored.Version, stored.Note);
    }

    /// <summary>False when the condition did not hold.</summary>
    /// <param name="digest">The content.</param>
    /// <param name="pointer">Where it is.</param>
    /// <param name="data">The ETag with which its bytes are known to be right; null when they were not looked at.</param>
    /// <param name="condition">When it may be written.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    public async ValueTask<bool> WriteAsync(
        Digest digest, BlobPointer pointer, string? data, WriteCondition condition, CancellationToken cancellationToken)
    {
        Forget(digest); // what is confirmed is what was read
        return await _blobs.WriteAsync(NameOf(digest), pointer.ToBytes(), condition, cancellationToken, data) is not null;
    }

    /// <summary>False when the condition did not hold.</summary>
    public ValueTask<bool> DeleteAsync(Digest digest, WriteCondition condition, CancellationToken cancellationToken)
    {
        Forget(digest);
        return _blobs.DeleteAsync(NameOf(digest), condition, cancellationToken);
    }
}

/// <param name="Pointer">Where to look.</param>
/// <param name="Data">
/// The ETag that what it leads to must have: another one is damage, or another's, and the pointer is read again. Null where
/// it does not say.
/// </param>
internal readonly record struct KnownPointer(BlobPointer Pointer, string? Data);

/// <param name="Pointer">Null when it cannot be read.</param>
/// <param name="Version">Of the pointer.</param>
/// <param name="Data">
/// The ETag that the blob had when its bytes were known to be right; null where the release before has written the pointer.
/// </param>
internal sealed record StoredPointer(BlobPointer? Pointer, string Version, string? Data);
