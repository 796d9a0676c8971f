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
    private Task<StorageProblem?> _answer = Task.FromResult<StorageProblem?>(null);
    private Task<StorageProblem?> _probing = Task.FromResult<StorageProblem?>(null);
    private long? _askedAt;

    /// <summary>Null when the storage is fine, else what is wrong with it.</summary>
    public Task<StorageProblem?> StorageProblemAsync()
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

    private async Task<StorageProblem?> ProbeAsync()
    {
        using var patience = new CancellationTokenSource(Patience, time);
        return await probe!.ProblemAsync(patience.Token);
    }

    private async Task<StorageProblem?> WaitAsync(Task<StorageProblem?> probing)
    {
        try
        {
            return await probing.WaitAsync(Patience, time);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            return new StorageProblem(
                $"The storage has not answered for {Patience.TotalSeconds:0} s. Check that it can be reached.");
        }
    }
}
