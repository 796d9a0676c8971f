namespace OciRegistry.Coordination;

/// <summary>The locks of one process: first come, first served; never lost.</summary>
internal sealed class InProcessLocks(TimeProvider time) : IRegistryLocks
{
    private readonly Dictionary<string, Entry> _held = [];

    public string? Problem => null;

    public async ValueTask<IRegistryLock?> TryAcquireAsync(
        string name, TimeSpan wait, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var mine = new Held(this, name);
        lock (_held)
        {
            if (!_held.TryGetValue(name, out var entry))
            {
                _held.Add(name, new Entry(mine));
                return mine;
            }

            if (wait <= TimeSpan.Zero)
            {
                mine.Discard();
                return null;
            }

            entry.Waiters.AddLast(mine);
        }

        using var timer = time.CreateTimer(static held => ((Held)held!).GiveUp(), mine, wait, Timeout.InfiniteTimeSpan);
        using var cancelled = cancellationToken.UnsafeRegister(static held => ((Held)held!).GiveUp(), mine);
        if (await mine.Granted.Task)
        {
            return mine;
        }

        mine.Discard();
        cancellationToken.ThrowIfCancellationRequested();
        return null;
    }

    public ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken)
    {
        Held? holder;
        lock (_held)
        {
            holder = _held.GetValueOrDefault(name)?.Holder;
        }

        return holder is null ? ValueTask.CompletedTask : new ValueTask(holder.RequestReleaseAsync());
    }

    private void Release(Held held)
    {
        lock (_held)
        {
            var entry = _held[held.Name];
            while (entry.Waiters.First is { } next)
            {
                entry.Waiters.RemoveFirst();
                if (next.Value.Granted.TrySetResult(true))
                {
                    entry.Holder = next.Value;
                    return;
                }
            }

            _held.Remove(held.Name);
        }
    }

    private sealed class Entry(Held holder)
    {
        public Held Holder { get; set; } = holder;

        public LinkedList<Held> Waiters { get; } = new();
    }

    private sealed class Held(InProcessLocks locks, string name) : IRegistryLock
    {
        private readonly CancellationTokenSource _releaseRequested = new();
        private int _released;

        public string Name => name;

        public TaskCompletionSource<bool> Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CancellationToken Lost => CancellationToken.None;

        public CancellationToken ReleaseRequested => _releaseRequested.Token;

        public void GiveUp() => Granted.TrySetResult(false);

        public void Discard() => _releaseRequested.Dispose();

        public async Task RequestReleaseAsync()
        {
            try
            {
                await _releaseRequested.CancelAsync();
            }
            catch (ObjectDisposedException)
            {
                // Released in the meantime, which is what was asked for.
            }
        }

        public ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0)
            {
                locks.Release(this);
                _releaseRequested.Dispose();
            }

            return ValueTask.CompletedTask;
        }
    }
}
