using System.Collections.Concurrent;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Documents that were read, kept while their file is unchanged: asking for that is one system call, reading them four.
/// Every read asks, so what another process has written or deleted is seen at once. As with listings, kept is what has
/// times that had settled (<see cref="FileStatus.HasSettled"/>).
/// </summary>
internal sealed class DocumentCache
{
    private const int MaxDocument = 64 * 1024;
    private const int Overhead = 512; // path, status and dictionary entry

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly int _maxBytes;

    // Those that were used since the last turn, and those from before it: who is not used for a turn is dropped.
    private ConcurrentDictionary<string, Kept> _recent = new(StringComparer.Ordinal);
    private ConcurrentDictionary<string, Kept> _before = new(StringComparer.Ordinal);
    private int _recentBytes;
    private long _hits;
    private long _misses;

    /// <param name="time">What the times of files are compared with.</param>
    /// <param name="metrics">Where its hits and misses are to be seen; null for nowhere.</param>
    /// <param name="maxBytes">Of all documents together, paths included.</param>
    public DocumentCache(TimeProvider time, RegistryMetrics? metrics = null, int maxBytes = 32 * 1024 * 1024)
    {
        (_time, _maxBytes) = (time, maxBytes / 2);
        metrics?.Observe("documents", () => Interlocked.Read(ref _hits), () => Interlocked.Read(ref _misses));
    }

    /// <summary>The document as it was read from the file that is at the path now; null when it has to be read.</summary>
    public Document? Find(string path)
    {
        var recent = _recent.GetValueOrDefault(path);
        if ((recent ?? _before.GetValueOrDefault(path)) is not { } kept)
        {
            Interlocked.Increment(ref _misses);
            return null;
        }

        if (Posix.Stat(path) != kept.Status)
        {
            _recent.TryRemove(path, out _);
            _before.TryRemove(path, out _);
            Interlocked.Increment(ref _misses);
            return null;
        }

        if (recent is null)
        {
            Add(path, kept);
        }

        Interlocked.Increment(ref _hits);
        return kept.Document;
    }

    /// <summary>
    /// Keeps a document, when its file has been as it is for long enough. Its file is still open, so that no other can have
    /// its inode yet: another document with the same status is newer than now.
    /// </summary>
    public void Keep(string path, FileStatus status, Document document)
    {
        if (document.Content.Length <= MaxDocument && status.HasSettled(_time.GetUtcNow()))
        {
            Add(path, new Kept(status, document));
        }
    }

    private void Add(string path, Kept kept)
    {
        if (!_recent.TryAdd(path, kept))
        {
            return;
        }

        var bytes = kept.Document.Content.Length + path.Length + Overhead;
        if (Interlocked.Add(ref _recentBytes, bytes) <= _maxBytes)
        {
            return;
        }

        lock (_lock)
        {
            if (_recentBytes > _maxBytes)
            {
                (_before, _recent, _recentBytes) = (_recent, new(StringComparer.Ordinal), 0);
            }
        }
    }

    private sealed record Kept(FileStatus Status, Document Document);
}
