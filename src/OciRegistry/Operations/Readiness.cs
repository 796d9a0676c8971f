using OciRegistry.Storage;

namespace OciRegistry.Operations;

/// <summary>Whether the registry can serve: whether its storage can be reached and written to.</summary>
/// <remarks>
/// Anybody may ask, and a check may write: so the storage is asked at most once a second, and never twice at a time. A
/// storage that hangs is reported instead of waited for. Without a probe, over stores that an application brought
/// along, it is ready.
/// </remarks>
internal sealed class Readiness(IStorageProbe? probe, TimeProvider time)
{
    internal static readonly TimeSpan Freshness = TimeSpan.FromSeconds(1);
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private Task<string?> _answer = Task.FromResult<string?>(null);
    private Task<string?> _probing = Task.FromResult<string?>(null);
    private long? _askedAt;

    /// <summary>Null when the storage is fine, else a sentence that says what is wrong with it.</summary>
    public Task<string?> StorageProblemAsync()
    {
        lock (_lock)
        {
            var isFresh = _askedAt is { } at && time.GetElapsedTime(at) < Freshness;
            if (_answer.IsCompleted && !isFresh && probe is not null)
            {
                _askedAt = time.GetTimestamp();
                // On another thread: a probe that blocks in a system call would hold the lock.
                _probing = _probing.IsCompleted ? Task.Run(ProbeAsync) : _probing;
                _answer = WaitAsync(_probing);
            }

            return _answer;
        }
    }

    private async Task<string?> ProbeAsync()
    {
        using var patience = new CancellationTokenSource(Patience, time);
        return await probe!.ProblemAsync(patience.Token);
    }

    private async Task<string?> WaitAsync(Task<string?> probing)
    {
        try
        {
            return await probing.WaitAsync(Patience, time);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            return $"The storage has not answered for {Patience.TotalSeconds:0} s. Check that it can be reached.";
        }
    }
}
