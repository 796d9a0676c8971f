using OciRegistry.Coordination;

namespace OciRegistry.Tests.Faults;

/// <summary>Whether requests can have locks: all that the registry promises must hold either way.</summary>
public enum Locks
{
    /// <summary>As in one process, or with a healthy lock service.</summary>
    Granted,

    /// <summary>The lock service is down: compare-and-swap alone.</summary>
    Never,

    /// <summary>Everybody gets every lock at once, as in two processes without a lock service between them.</summary>
    Always,
}

/// <summary>Counts the locks that are held, and can withhold, lose or give away every one of them.</summary>
internal sealed class TestLocks(IRegistryLocks inner, Locks mode) : IRegistryLocks
{
    private readonly Lock _lock = new();
    private readonly HashSet<Counted> _held = [];
    private string _epoch = "";

    /// <summary>How often somebody was asked to release a lock.</summary>
    public int ReleasesRequested { get; private set; }

    public int Held
    {
        get
        {
            lock (_lock)
            {
                return _held.Count;
            }
        }
    }

    public string? Problem => mode == Locks.Never ? "The locks of this test are switched off." : null;

    public async ValueTask<IRegistryLock?> TryAcquireAsync(string name, TimeSpan wait, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var granted = mode switch
        {
            Locks.Granted => await inner.TryAcquireAsync(name + _epoch, wait, cancellationToken),
            Locks.Always => await inner.TryAcquireAsync($"{name}/{Guid.NewGuid()}", wait, cancellationToken),
            _ => null,
        };
        if (granted is null)
        {
            return null;
        }

        lock (_lock)
        {
            var counted = new Counted(this, granted);
            _held.Add(counted);
            return counted;
        }
    }

    public async ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken)
    {
        if (mode == Locks.Granted)
        {
            await inner.RequestReleaseAsync(name + _epoch, cancellationToken);
        }

        ReleasesRequested++;
    }

    /// <summary>Every lock has expired, and its holder does not know: it is paused.</summary>
    public void ForgetAll() => _epoch = Guid.NewGuid().ToString("n");

    /// <summary>The lock service has restarted and forgotten everything; the holders find out.</summary>
    public void LoseAll()
    {
        ForgetAll();
        lock (_lock)
        {
            foreach (var held in _held)
            {
                held.Lose();
            }
        }
    }

    private sealed class Counted(TestLocks locks, IRegistryLock held) : IRegistryLock
    {
        private readonly CancellationTokenSource _lost = new();

        public CancellationToken Lost => _lost.Token;

        public CancellationToken ReleaseRequested => held.ReleaseRequested;

        public void Lose() => _lost.Cancel();

        public ValueTask DisposeAsync()
        {
            lock (locks._lock)
            {
                locks._held.Remove(this);
            }

            return held.DisposeAsync();
        }
    }
}
