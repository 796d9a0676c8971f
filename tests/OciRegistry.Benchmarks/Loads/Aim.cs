using OciRegistry.Benchmarks.Peers;

namespace OciRegistry.Benchmarks.Loads;

/// <summary>What a figure of ours is to reach.</summary>
internal sealed record Aim(string Text, Func<Measurement, bool> IsMet)
{
    public static Aim CpuMilliseconds(double most) => new(
        FormattableString.Invariant($"CPU ≤ {most} ms"), measured => measured.CpuMilliseconds <= most);

    public static Aim CpuSecondsPerGiB(double most) => new(
        FormattableString.Invariant($"CPU ≤ {most} s/GiB"), measured => measured.CpuSecondsPerGiB <= most);

    public static Aim PerSecond(double least) => new(
        FormattableString.Invariant($"≥ {least} /s"), measured => measured.PerSecond >= least);
}
