using System.Diagnostics;

namespace OciRegistry.Storage;

/// <summary>
/// One operation of one store, in metrics and traces. A call that completes at once, as most do on files, costs two looks at
/// the clock; and nothing while nobody listens.
/// </summary>
internal sealed class StoreOperation(string store, string operation, RegistryMetrics metrics)
{
    private readonly string _name = $"{store} {operation}";
    private readonly KeyValuePair<string, object?>[] _ok = Labels(store, operation, "ok");
    private readonly KeyValuePair<string, object?>[] _failed = Labels(store, operation, "failed");
    private readonly KeyValuePair<string, object?>[] _cancelled = Labels(store, operation, "cancelled");

    /// <param name="state">Whatever the call needs: so that it can be static, and allocates nothing.</param>
    /// <param name="call">The call.</param>
    public ValueTask<T> RunAsync<TState, T>(TState state, Func<TState, ValueTask<T>> call)
    {
        if (RegistryTraces.AreWanted)
        {
            return TraceAsync(state, call);
        }

        if (!metrics.AreStoresMeasured)
        {
            return call(state);
        }

        var began = Stopwatch.GetTimestamp();
        ValueTask<T> running;
        try
        {
            running = call(state);
        }
        catch (Exception e)
        {
            End(began, e);
            throw;
        }

        if (!running.IsCompletedSuccessfully)
        {
            return MeasureAsync(running, began);
        }

        End(began, null);
        return running;
    }

    /// <inheritdoc cref="RunAsync{TState, T}"/>
    public async ValueTask RunAsync<TState>(TState state, Func<TState, ValueTask> call) =>
        await RunAsync((state, call), static async both =>
        {
            await both.call(both.state);
            return true;
        });

    private async ValueTask<T> MeasureAsync<T>(ValueTask<T> running, long began)
    {
        try
        {
            var result = await running;
            End(began, null);
            return result;
        }
        catch (Exception e)
        {
            End(began, e);
            throw;
        }
    }

    private async ValueTask<T> TraceAsync<TState, T>(TState state, Func<TState, ValueTask<T>> call)
    {
        using var activity = RegistryTraces.Start(_name);
        var began = Stopwatch.GetTimestamp();
        try
        {
            var result = await call(state);
            End(began, null);
            return result;
        }
        catch (Exception e)
        {
            activity?.Fail(e);
            End(began, e);
            throw;
        }
    }

    private void End(long began, Exception? exception) => metrics.StoreCalled(
        Stopwatch.GetElapsedTime(began),
        exception switch { null => _ok, OperationCanceledException => _cancelled, _ => _failed });

    private static KeyValuePair<string, object?>[] Labels(string store, string operation, string outcome) =>
        [new("store", store), new("operation", operation), new("outcome", outcome)];
}
