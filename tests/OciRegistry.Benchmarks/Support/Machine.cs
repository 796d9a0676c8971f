using System.Globalization;

namespace OciRegistry.Benchmarks.Support;

/// <summary>What else goes on, which the figures have to be read with.</summary>
internal static class Machine
{
    /// <summary>How many threads ran, or waited for a processor or a disk, on average over the last minute.</summary>
    public static double Load => double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
}
