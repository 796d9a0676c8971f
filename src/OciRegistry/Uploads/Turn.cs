using OciRegistry.Coordination;

namespace OciRegistry.Uploads;

/// <summary>One request's turn on an upload session: the lock, when it was to be had.</summary>
internal sealed class Turn(IRegistryLocks locks, UploadSessionId session, string verb, string requestId, TimeProvider time)
    : IAsyncDisposable
{
    /// <summary>This process, as others read of it: who writes, and who did what.</summary>
    public static readonly string Replica = $"{Environment.MachineName}:{Environment.ProcessId}";

    private readonly long _began = time.GetTimestamp();
    private IRegistryLock? _lock;
    private long? _waitingSince;
    private UploadWriter? _seen;
    private long _seenSince;

    public string RequestId => requestId;

    /// <summary>Whether the session's timeline has the end of this request.</summary>
    public bool IsNoted { get; set; }

    /// <summary>The session, when the end of this request's chunk has sealed it.</summary>
    public UploadSession? Sealed { get; set; }

    public bool IsTaken => _lock is not null;

    /// <summary>Since the request first asked for its turn.</summary>
    public TimeSpan Waited => _waitingSince is { } since ? time.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>
    /// Whoever has the lock does not let go of it, and is to be replaced: what is recorded of its request does not count.
    /// </summary>
    public bool GoOnWithout { get; set; }

    /// <summary>Whether somebody else may think that it is his: the lock was not to be had, or is lost.</summary>
    public bool IsUnsure => _lock is null || _lock.Lost.IsCancellationRequested;

    public CancellationToken ReleaseRequested => _lock?.ReleaseRequested ?? CancellationToken.None;

    /// <summary>What this request did, for the session's timeline.</summary>
    public UploadEvent Event(string outcome, long offset, long bytes) => new(
        time.GetUtcNow(), requestId, Replica, verb, outcome, offset, bytes, (long)time.GetElapsedTime(_began).TotalMilliseconds);

    /// <summary>For how long the running request has made no progress, as far as this one has seen.</summary>
    public TimeSpan StalledFor => _seen is null ? TimeSpan.Zero : time.GetElapsedTime(_seenSince);

    /// <summary>To be told each time that the record of the running request was read.</summary>
    public void See(UploadWriter? running)
    {
        if (_seen is null || running is null || !_seen.IsSameAs(running) || _seen.Offset != running.Offset)
        {
            (_seen, _seenSince) = (running, time.GetTimestamp());
        }
    }

    /// <summary>Waits for its turn.</summary>
    public async ValueTask<bool> TakeAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        _waitingSince ??= time.GetTimestamp();
        _lock = await locks.TryAcquireAsync(LockName(session), wait, cancellationToken);
        return IsTaken;
    }

    /// <summary>Asks whoever's turn it is to stop, and waits a little for that.</summary>
    public async ValueTask AskForAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        await locks.RequestReleaseAsync(LockName(session), cancellationToken);
        await TakeAsync(wait, cancellationToken);
    }

    public static string LockName(UploadSessionId session) => $"uploads/{session}";

    /// <summary>Lets go of the lock before the request has ended.</summary>
    public ValueTask ReleaseAsync()
    {
        var held = _lock;
        _lock = null;
        return held?.DisposeAsync() ?? ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ReleaseAsync();
}
