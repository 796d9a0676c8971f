using OciRegistry.Coordination;

namespace OciRegistry.Uploads;

/// <summary>One request's turn on an upload session: the lock, when it was to be had.</summary>
internal sealed class Turn(IRegistryLocks locks, UploadSessionId session) : IAsyncDisposable
{
    private IRegistryLock? _lock;

    public bool IsTaken => _lock is not null;

    /// <summary>
    /// Whoever has the lock does not let go of it, and is to be replaced: what is recorded of its request does not count.
    /// </summary>
    public bool GoOnWithout { get; set; }

    public CancellationToken Lost => _lock?.Lost ?? CancellationToken.None;

    public CancellationToken ReleaseRequested => _lock?.ReleaseRequested ?? CancellationToken.None;

    /// <summary>Waits for its turn.</summary>
    public async ValueTask<bool> TakeAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
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

    public ValueTask DisposeAsync() => _lock?.DisposeAsync() ?? ValueTask.CompletedTask;
}
