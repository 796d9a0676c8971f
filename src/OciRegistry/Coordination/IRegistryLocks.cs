namespace OciRegistry.Coordination;

/// <summary>
/// Locks that make requests wait for each other instead of colliding. They order, they do not protect: every state
/// change is compare-and-swapped in the store as well, so an implementation that loses a lock costs time, never data.
/// </summary>
public interface IRegistryLocks
{
    /// <summary>A sentence for operators while the lock service does not work, with the remedy; null while it does.</summary>
    string? Problem { get; }

    /// <summary>
    /// Takes the lock, waiting up to <paramref name="wait"/> in the order of arrival as well as it can; null when it was
    /// not to be had, or when the lock service cannot be reached (go on with compare-and-swap alone).
    /// </summary>
    ValueTask<IRegistryLock?> TryAcquireAsync(string name, TimeSpan wait, CancellationToken cancellationToken);

    /// <summary>Asks whoever holds the lock, on any replica, to stop and release it. A hint: it may get lost.</summary>
    ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken);
}

/// <summary>A lock that is held. Disposing releases it, once, and does not throw.</summary>
public interface IRegistryLock : IAsyncDisposable
{
    /// <summary>Cancelled when the lock is no longer surely ours: stop the work, its state change will be refused.</summary>
    CancellationToken Lost { get; }

    /// <summary>Cancelled when somebody asked for the lock's release.</summary>
    CancellationToken ReleaseRequested { get; }
}
