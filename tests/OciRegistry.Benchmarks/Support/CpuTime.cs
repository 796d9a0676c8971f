using System.Globalization;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Processor time in seconds: in the program, and in the kernel on its behalf; in steps of 10 ms.</summary>
internal readonly record struct CpuTime(double Program, double Kernel)
{
    public double Total => Program + Kernel;

    public static CpuTime Of(int process) => Read($"/proc/{process}/stat");

    public static CpuTime OfThisThread() => Read("/proc/thread-self/stat");

    public static CpuTime operator -(CpuTime later, CpuTime earlier) =>
        new(later.Program - earlier.Program, later.Kernel - earlier.Kernel);

    private static CpuTime Read(string path)
    {
        // proc(5): the second field is the name in parentheses, fields 14 and 15 are utime and stime in ticks.
        var stat = File.ReadAllText(path);
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        const double ticksPerSecond = 100;
        return new CpuTime(
            long.Parse(fields[11], CultureInfo.InvariantCulture) / ticksPerSecond,
            long.Parse(fields[12], CultureInfo.InvariantCulture) / ticksPerSecond);
    }
}
