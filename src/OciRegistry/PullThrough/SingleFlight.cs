using System.Collections.Concurrent;

namespace OciRegistry.PullThrough;

/// <summary>
/// One answer for all who ask for the same at the same time. The work belongs to none of them: it goes on when whoever asked
/// first leaves.
/// </summary>
internal sealed class SingleFlight<TKey, TResult>
    where TKey : notnull
{
    private readonly ConcurrentDictionary<TKey, Lazy<Task<TResult>>> _running = new();

    /// <param name="key">What is asked for.</param>
    /// <param name="work">Called by one of them.</param>
    /// <param name="cancellationToken">Ends the waiting, not the work.</param>
    public async ValueTask<TResult> RunAsync(TKey key, Func<Task<TResult>> work, CancellationToken cancellationToken) =>
        await _running.GetOrAdd(key, _ => new(() => Task.Run(() => FlyAsync(key, work), CancellationToken.None)))
            .Value.WaitAsync(cancellationToken);

    private async Task<TResult> FlyAsync(TKey key, Func<Task<TResult>> work)
    {
        try
        {
            return await work();
        }
        finally
        {
            _running.TryRemove(key, out _); // before anybody is told: who comes now asks anew
        }
    }
}
