using System.Globalization;

namespace OciRegistry.Benchmarks.Support;

/// <summary>What the kernel says of a process's memory.</summary>
internal static class ResidentMemory
{
    /// <summary>The most that it had since its start, or since <see cref="ForgetPeak"/>.</summary>
    public static double PeakMiB(int process) => Read(process, "VmHWM:");

    public static double NowMiB(int process) => Read(process, "VmRSS:");

    /// <summary>Has the peak begin anew; not allowed for another user's process, whose peak then is that since its start.</summary>
    public static void ForgetPeak(int process)
    {
        try
        {
            File.WriteAllText($"/proc/{process}/clear_refs", "5"); // proc(5)
        }
        catch (UnauthorizedAccessException)
        {
            // Another user's.
        }
    }

    private static double Read(int process, string name)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return double.Parse(line.AsSpan(name.Length).Trim().TrimEnd(" kB"), CultureInfo.InvariantCulture) / 1024;
    }
}
