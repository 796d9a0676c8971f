using System.Collections.Concurrent;

namespace OciRegistry.Redis;

/// <summary>The one in this process who waits for a lock, so that a message can wake it.</summary>
internal sealed class RedisWaiter : IDisposable
{
    private readonly string _name;
    private readonly ConcurrentDictionary<string, RedisWaiter> _waiting;
    private volatile TaskCompletionSource _woken = Sleeping();

    public RedisWaiter(string name, ConcurrentDictionary<string, RedisWaiter> waiting)
    {
        (_name, _waiting) = (name, waiting);
        waiting[name] = this;
    }

    /// <summary>Wakes it now, or as soon as it is about to wait.</summary>
    public void Wake() => _woken.TrySetResult();

    /// <summary>Forgets to have been woken: it is about to look anyway.</summary>
    public void Reset()
    {
        if (_woken.Task.IsCompleted)
        {
            _woken = Sleeping();
        }
    }

    /// <summary>Returns when it is woken, when the time is over, or when it is cancelled.</summary>
    public async Task UntilWokenAsync(TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        if (limit > TimeSpan.Zero)
        {
            await _woken.Task.WaitAsync(limit, time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public void Dispose() => _waiting.TryRemove(new(_name, this));

    private static TaskCompletionSource Sleeping() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
