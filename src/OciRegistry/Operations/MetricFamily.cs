using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace OciRegistry.Operations;

/// <summary>One instrument as Prometheus sees it: a name, a type, and a series for each set of labels.</summary>
internal sealed class MetricFamily
{
    // What OpenTelemetry takes for seconds when an instrument gives no advice.
    private static readonly double[] DefaultBounds =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

    private readonly ConcurrentDictionary<KeyValuePair<string, object?>[], Series> _series = new(MetricTags.Comparer);
    private readonly ConcurrentDictionary<KeyValuePair<string, object?>[], Series>
        .AlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>> _lookup;
    private readonly string _type;
    private readonly string _help;
    private readonly bool _absolute;
    private readonly double[] _bounds;

    private MetricFamily(string name, string type, string help, bool absolute, double[] bounds)
    {
        (Name, _type, _help, _absolute, _bounds) = (name, type, help, absolute, bounds);
        _lookup = _series.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>();
    }

    public string Name { get; }

    /// <param name="instrument">What it shows.</param>
    /// <param name="otherwise">What it is to be instead of what the instrument says.</param>
    public static MetricFamily Of(Instrument instrument, OtherMetric? otherwise = null)
    {
        var kind = instrument.GetType().GetGenericTypeDefinition();
        var isCounter = otherwise is not { IsGauge: true } && (kind == typeof(Counter<>) || kind == typeof(ObservableCounter<>));
        var isHistogram = kind == typeof(Histogram<>);
        var bounds = (instrument as Histogram<double>)?.Advice?.HistogramBucketBoundaries?.ToArray() ?? DefaultBounds;
        return new MetricFamily(
            NameOf(otherwise?.Name ?? instrument.Name, instrument.Unit, isCounter),
            isCounter ? "counter" : isHistogram ? "histogram" : "gauge",
            instrument.Description ?? instrument.Name,
            instrument.IsObservable || kind == typeof(Gauge<>),
            isHistogram ? bounds : []);
    }

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (!_lookup.TryGetValue(tags, out var series))
        {
            series = _series.GetOrAdd(
                tags.ToArray(), static (kept, bounds) => new Series(LabelsOf(kept), bounds), _bounds);
        }

        lock (series)
        {
            series.Record(value, _absolute);
        }
    }

    public void Render(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {Name} {Escape(_help, quoted: false)}\n");
        text.Append(CultureInfo.InvariantCulture, $"# TYPE {Name} {_type}\n");
        foreach (var series in _series.Values.OrderBy(series => series.Labels, StringComparer.Ordinal))
        {
            lock (series)
            {
                if (_type == "histogram")
                {
                    RenderHistogram(text, series);
                }
                else
                {
                    Render(text, "", series.Labels, series.Sum);
                }
            }
        }
    }

    private void RenderHistogram(StringBuilder text, Series series)
    {
        var labels = series.Labels;
        var separator = labels.Length == 0 ? "" : ",";
        long count = 0;
        for (var i = 0; i <= _bounds.Length; i++)
        {
            var bound = i < _bounds.Length ? _bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            count += series.Buckets[i];
            Render(text, "_bucket", $"{labels}{separator}le=\"{bound}\"", count);
        }

        Render(text, "_sum", labels, series.Sum);
        Render(text, "_count", labels, count);
    }

    private void Render(StringBuilder text, string suffix, string labels, double value)
    {
        text.Append(Name).Append(suffix);
        if (labels.Length > 0)
        {
            text.Append('{').Append(labels).Append('}');
        }

        text.Append(CultureInfo.InvariantCulture, $" {Number(value)}\n");
    }

    // "oci_registry.request.duration" in s -> oci_registry_request_duration_seconds; a counter ends in _total.
    private static string NameOf(string name, string? unit, bool isCounter)
    {
        var ending = unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
        return Spelled(name) + ending + (isCounter ? "_total" : "");
    }

    private static string Spelled(string name) =>
        string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));

    private static string LabelsOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            return "";
        }

        var text = new StringBuilder();
        foreach (var (name, value) in tags)
        {
            var valueText = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
            text.Append(text.Length == 0 ? "" : ",")
                .Append(Spelled(name)).Append("=\"").Append(Escape(valueText, quoted: true)).Append('"');
        }

        return text.ToString();
    }

    private static string Escape(string text, bool quoted)
    {
        var escaped = text
            .Replace("\\", @"\\", StringComparison.Ordinal)
            .Replace("\n", @"\n", StringComparison.Ordinal);
        return quoted ? escaped.Replace("\"", "\\\"", StringComparison.Ordinal) : escaped;
    }

    // Infinity has a spelling of its own; a double's shortest form is what the format takes otherwise.
    private static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString(CultureInfo.InvariantCulture);

    private sealed class Series(string labels, double[] bounds)
    {
        /// <summary>As they are written.</summary>
        public string Labels => labels;

        public double Sum { get; private set; }

        public long[] Buckets { get; } = new long[bounds.Length + 1];

        public void Record(double value, bool absolute)
        {
            Sum = absolute ? value : Sum + value;
            var bucket = 0;
            while (bucket < bounds.Length && value > bounds[bucket])
            {
                bucket++;
            }

            Buckets[bucket]++;
        }
    }
}
