namespace OciRegistry.PullThrough;

/// <summary>What this process has had from an upstream and what it was spared, since it started.</summary>
internal sealed class UpstreamTraffic
{
    private long _hits;
    private long _misses;
    private long _stale;
    private long _received;
    private long _saved;
    private long _kept = -1;
    private int _fetching;

    /// <summary>Requests for content that was here.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>Requests for content that had to be fetched, or waited for.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Requests that were answered with what may be old, because the upstream did not answer.</summary>
    public long Stale => Interlocked.Read(ref _stale);

    /// <summary>Bytes of content that the upstream has sent.</summary>
    public long Received => Interlocked.Read(ref _received);

    /// <summary>Bytes of content that it would have sent without this cache.</summary>
    public long Saved => Interlocked.Read(ref _saved);

    /// <summary>Bytes of its content that are kept here, at the last sweep; null where another replica sweeps.</summary>
    public long? KeptBytes => Interlocked.Read(ref _kept) is >= 0 and var kept ? kept : null;

    /// <summary>Blobs that are being fetched.</summary>
    public int Fetching => Volatile.Read(ref _fetching);

    public void Hit(long bytes)
    {
        Interlocked.Increment(ref _hits);
        Interlocked.Add(ref _saved, bytes);
    }

    /// <summary>Another request for what is being fetched for the first one.</summary>
    public void Followed(long bytes) => Interlocked.Add(ref _saved, bytes);

    public void Missed() => Interlocked.Increment(ref _misses);

    public void ServedStale() => Interlocked.Increment(ref _stale);

    public void HasSent(long bytes) => Interlocked.Add(ref _received, bytes);

    public void Kept(long bytes) => Interlocked.Exchange(ref _kept, bytes);

    /// <summary>Another replica sweeps.</summary>
    public void ForgetKept() => Interlocked.Exchange(ref _kept, -1);

    public void FetchStarted() => Interlocked.Increment(ref _fetching);

    public void FetchEnded() => Interlocked.Decrement(ref _fetching);
}
