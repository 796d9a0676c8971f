using System.Diagnostics;

namespace OciRegistry.Coordination;

/// <summary>Any locks, in metrics and traces: how long they were waited for, and what came of it.</summary>
internal sealed class MeasuredLocks : IRegistryLocks
{
    private readonly IRegistryLocks _locks;
    private readonly RegistryMetrics _metrics;
    private readonly string _kind;

    public MeasuredLocks(IRegistryLocks locks, RegistryMetrics metrics)
    {
        (_locks, _metrics, _kind) = (locks, metrics, locks is InProcessLocks ? "process" : "shared");
        metrics.ObserveLocks(() => locks.Problem is not null);
    }

    public string? Problem => _locks.Problem;

    public async ValueTask<IRegistryLock?> TryAcquireAsync(string name, TimeSpan wait, CancellationToken cancellationToken)
    {
        using var activity = RegistryTraces.Start("lock wait");
        var began = Stopwatch.GetTimestamp();
        try
        {
            var held = await _locks.TryAcquireAsync(name, wait, cancellationToken);
            End(activity, began, held is not null ? "acquired" : _locks.Problem is null ? "timeout" : "unavailable");
            if (held?.Lost is { CanBeCanceled: true } lost)
            {
                lost.UnsafeRegister(static metrics => ((RegistryMetrics)metrics!).LockLost(), _metrics);
            }

            return held;
        }
        catch (OperationCanceledException)
        {
            End(activity, began, "cancelled");
            throw;
        }
    }

    public ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken) =>
        _locks.RequestReleaseAsync(name, cancellationToken);

    private void End(Activity? activity, long began, string outcome)
    {
        _metrics.LockWaitedFor(Stopwatch.GetElapsedTime(began), _kind, outcome);
        activity?.SetTag("oci_registry.lock.kind", _kind);
        activity?.SetTag("oci_registry.lock.outcome", outcome);
    }
}
