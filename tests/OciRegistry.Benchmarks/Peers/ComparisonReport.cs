using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>Everything that was measured, in Markdown.</summary>
internal sealed class ComparisonReport(ComparisonOptions options)
{
    private const double MemoryAimMiB = 150;

    private readonly List<string[]> _facts =
    [
        ["fact", "value"],
        ["date", $"{DateTime.UtcNow:yyyy-MM-dd}"],
        ["command", $"`{options.Command}`"],
        ["processors", $"{Environment.ProcessorCount}"],
        ["rounds of each load on each registry", $"{options.Rounds}"],
    ];

    private readonly List<string[]> _rows =
    [
        [
            "load", "registry", "op/s", "MB/s", "p50 ms", "p99 ms", "first byte ms", "CPU ms/op", "CPU s/GiB", "peak RSS MiB",
            "errors", "ours: its rate", "ours: its CPU", "aim",
        ],
    ];

    private readonly List<string[]> _starts = [["registry", "first answer ms"]];
    private readonly List<string[]> _memory = [["registry", "peak RSS MiB", "RSS at the end MiB", "aim"]];
    private readonly List<string> _notes = [];
    private readonly Dictionary<Peer, double> _peaks = [];

    /// <summary>Whether an aim of ours was missed or one of our answers was wrong.</summary>
    public bool HasFailed { get; private set; }

    public void AddFact(string name, string value) => _facts.Add([name, value]);

    public void Add(Result result)
    {
        var median = result.Median;
        var isBulk = result.Load.IsBulk;
        _rows.Add(
        [
            result.Load.Name, result.Peer.Name, Number(median.PerSecond), Number(median.BytesPerSecond / 1e6), Number(median.P50),
            Number(median.P99), Number(median.FirstByte), Number(median.CpuMilliseconds),
            isBulk ? Number(median.CpuSecondsPerGiB) : "", result.PeakMiB is { } peak ? Number(peak) : "", $"{median.Errors}",
            result.IsFirst ? "" : Number(result.RateRatio), result.IsFirst ? "" : Number(result.CpuRatio),
            result.MeetsAim is { } isMet ? $"{result.Load.Aim!.Text}{(isMet ? "" : " (missed)")}" : "",
        ]);
        HasFailed |= result.MeetsAim == false || (result.IsFirst && median.Errors > 0);
        _peaks[result.Peer] = Math.Max(result.PeakMiB ?? 0, _peaks.GetValueOrDefault(result.Peer));
    }

    public void AddStarts(IEnumerable<(string Registry, double Milliseconds)> starts) => _starts.AddRange(
        starts.GroupBy(start => start.Registry, start => start.Milliseconds)
            .Select(times => (string[])[times.Key, Number(Samples.Median(times))]));

    public void AddMemoryAfterAll(Peer peer, double atEnd)
    {
        var isOurs = _memory.Count == 1;
        var peak = _peaks.GetValueOrDefault(peer);
        var isMissed = isOurs && peak > MemoryAimMiB;
        _memory.Add([peer.Name, Number(peak), Number(atEnd), isOurs ? $"≤ {MemoryAimMiB} MiB{(isMissed ? " (missed)" : "")}" : ""]);
        HasFailed |= isMissed;
    }

    public void AddError(Load load, Peer peer, string error) => _notes.Add($"{load.Name}, {peer.Name}: {error}");

    public void AddUnable(Load load, Peer peer, string error) => _notes.Add($"{load.Name}, {peer.Name}, left out: {error}");

    public override string ToString() => $"""
        # Beside other registries

        Medians of the rounds, which the registries took in turns on the same disk over loopback. CPU is the server's alone. A
        ratio is the median over the pairs of a round; a rate above 1 and a CPU below 1 are in our favour. MB/s counts bodies,
        which tells where a registry answers with more than it was asked for. The first byte is that of an operation's last
        answer. A `×` tells the connections.

        {MarkdownTable.Of(_facts)}
        {MarkdownTable.Of(_rows)}
        {Starts}
        Memory over all loads:

        {MarkdownTable.Of(_memory)}
        {string.Join('\n', _notes.Distinct().Select(note => $"* {note}"))}
        """.TrimEnd() + "\n";

    private string Starts => _starts.Count == 1 ? "" : $"""
        Start with 10,000 repositories, and 100,000 tags in one more:

        {MarkdownTable.Of(_starts)}
        """;

    private static string Number(double value) => value == 0 ? "0" : FormattableString.Invariant(
        $"{value.ToString(value switch { < 0.1 => "0.000", < 10 => "0.00", < 100 => "0.0", _ => "0" }, null)}");
}
