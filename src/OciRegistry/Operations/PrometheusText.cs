using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace OciRegistry.Operations;

/// <summary>
/// The registry's meter, what tells most of the runtime's and the web server's, and the basics of the process as Prometheus
/// text, format 0.0.4. It counts from its construction on, and holds one number per series (a histogram: one per bucket).
/// </summary>
/// <remarks>https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format</remarks>
internal sealed class PrometheusText : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    // Of .NET's own meters, and what they are called here: some names end in words that Prometheus keeps for itself.
    private static readonly Dictionary<string, OtherMetric> Others = new(StringComparer.Ordinal)
    {
        ["dotnet.gc.collections"] = new("dotnet.gc.collections"),
        ["dotnet.gc.pause.time"] = new("dotnet.gc.pause.time"),
        ["dotnet.gc.heap.total_allocated"] = new("dotnet.gc.heap.allocated"),
        ["dotnet.gc.last_collection.heap.size"] = new("dotnet.gc.last_collection.heap.size"),
        ["dotnet.gc.last_collection.memory.committed_size"] = new("dotnet.gc.last_collection.memory.committed_size"),
        ["dotnet.thread_pool.thread.count"] = new("dotnet.thread_pool.threads", IsGauge: true), // to the runtime it is a counter
        ["dotnet.thread_pool.queue.length"] = new("dotnet.thread_pool.queue.length", IsGauge: true), // likewise
        ["dotnet.monitor.lock_contentions"] = new("dotnet.monitor.lock_contentions"),
        ["kestrel.active_connections"] = new("kestrel.active_connections"),
    };

    private static readonly double StartTime =
        (Process.GetCurrentProcess().StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds;

    private readonly ConcurrentDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private readonly MeterListener _listener = new();

    public PrometheusText(IMeterFactory meters, RegistryMetrics metrics)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            // The scope tells our meter from that of another registry in the same process: an application's, a test's. The
            // runtime has one for all.
            var other = Others.GetValueOrDefault(instrument.Name);
            var isOurs = instrument.Meter.Name == RegistryMetrics.MeterName || other is not null;
            if (isOurs && (instrument.Meter.Scope == meters || instrument.Meter.Name == "System.Runtime"))
            {
                var family = MetricFamily.Of(instrument, other);
                _families[family.Name] = family;
                listener.EnableMeasurementEvents(instrument, family);
            }
        };
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => Record(family, value, tags));
        _listener.Start();
        metrics.StartAtZero();
    }

    public string Render()
    {
        _listener.RecordObservableInstruments();
        var text = new StringBuilder();
        foreach (var family in _families.Values.OrderBy(family => family.Name, StringComparer.Ordinal))
        {
            family.Render(text);
        }

        RenderProcess(text, "process_cpu_seconds_total", "counter", "Processor time that was used, in seconds.",
            Environment.CpuUsage.TotalTime.TotalSeconds);
        RenderProcess(text, "process_resident_memory_bytes", "gauge", "Physical memory that is held, in bytes.",
            Environment.WorkingSet);
        RenderProcess(text, "process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
            StartTime);
        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private static void Record(object? family, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        ((MetricFamily)family!).Record(value, tags);

    private static void RenderProcess(StringBuilder text, string name, string type, string help, double value) =>
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n{name} {value}\n");
}

/// <param name="Name">As an instrument would be called.</param>
/// <param name="IsGauge">Whether it goes up and down, whatever the instrument is.</param>
internal sealed record OtherMetric(string Name, bool IsGauge = false);
