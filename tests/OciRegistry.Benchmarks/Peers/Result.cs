using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>A load on a registry, and the same rounds on the first, with which it is compared pair by pair.</summary>
internal sealed record Result(
    Load Load, Peer Peer, IReadOnlyList<Measurement> Rounds, IReadOnlyList<Measurement> First, double? PeakMiB)
{
    public Measurement Median { get; } = Measurement.MedianOf(Rounds);

    public bool IsFirst => ReferenceEquals(Rounds, First);

    /// <summary>The first's rate in parts of this one's.</summary>
    public double RateRatio => Ratio(round => round.PerSecond);

    /// <summary>The first's processor time in parts of this one's.</summary>
    public double CpuRatio => Ratio(round => round.CpuMilliseconds);

    public bool? MeetsAim => IsFirst ? Load.Aim?.IsMet(Median) : null;

    private double Ratio(Func<Measurement, double> figure) =>
        Samples.Median(First.Zip(Rounds, (first, own) => figure(first) / figure(own)));
}
