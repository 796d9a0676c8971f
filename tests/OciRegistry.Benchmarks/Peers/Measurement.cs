using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>What a round gave, or the medians of several.</summary>
internal sealed record Measurement
{
    private const double GiB = 1 << 30;

    public required double PerSecond { get; init; }

    public required double BytesPerSecond { get; init; }

    public required double P50 { get; init; }

    public required double P99 { get; init; }

    /// <summary>Median of the milliseconds from an operation's last byte to the first of its last answer.</summary>
    public required double FirstByte { get; init; }

    public required int Errors { get; init; }

    /// <summary>Of the server, per operation; NaN when its process is not known.</summary>
    public required double CpuMilliseconds { get; init; }

    public double CpuSecondsPerGiB => CpuMilliseconds / 1_000 * PerSecond / BytesPerSecond * GiB;

    public static Measurement MedianOf(IReadOnlyList<Measurement> rounds)
    {
        return new Measurement
        {
            PerSecond = Median(round => round.PerSecond),
            BytesPerSecond = Median(round => round.BytesPerSecond),
            P50 = Median(round => round.P50),
            P99 = Median(round => round.P99),
            FirstByte = Median(round => round.FirstByte),
            Errors = rounds.Sum(round => round.Errors),
            CpuMilliseconds = Median(round => round.CpuMilliseconds),
        };

        double Median(Func<Measurement, double> figure) => Samples.Median(rounds.Select(figure));
    }
}
