using System.Collections.Concurrent;
using System.Diagnostics;

namespace OciRegistry.Tests.Support;

/// <summary>Listens to the registry's spans, of all tests that run at the time: each asks for those of its own trace.</summary>
internal sealed class SpanCapture : IDisposable
{
    private readonly ConcurrentQueue<Activity> _ended = new();
    private readonly ConcurrentQueue<Activity> _ours = new();
    private readonly AsyncLocal<bool> _isOurs = new();
    private readonly ActivityListener _listener;

    /// <param name="sources">Whose, besides the registry's.</param>
    public SpanCapture(params string[] sources)
    {
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == RegistryTraces.SourceName || sources.Contains(source.Name),
            Sample = (ref _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStarted = span =>
            {
                if (_isOurs.Value)
                {
                    _ours.Enqueue(span);
                }
            },
            ActivityStopped = _ended.Enqueue,
        };
        _isOurs.Value = true; // for all that the test does from here on
        ActivitySource.AddActivityListener(_listener);
    }

    /// <summary>Those that the test itself has begun, in whichever trace.</summary>
    public IReadOnlyCollection<Activity> Ours => _ours;

    /// <summary>Those that have ended of the trace that an activity is in, in the order of their ends.</summary>
    public IReadOnlyList<Activity> Of(Activity one) => Of(one.TraceId.ToString());

    public IReadOnlyList<Activity> Of(string trace) => [.. _ended.Where(span => span.TraceId.ToString() == trace)];

    public void Dispose() => _listener.Dispose();
}
