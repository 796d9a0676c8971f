using System.Globalization;

namespace OciRegistry.Server;

/// <summary>What this process may use of its machine, besides memory.</summary>
internal static class ProcessLimits
{
    // Where it cannot be read, as elsewhere than on Linux.
    private const long UnknownFiles = 1_000_000;

    /// <summary>Files and sockets that may be open at once. The runtime has raised the soft limit to the hard one.</summary>
    public static long Files { get; } = ReadFiles();

    private static long ReadFiles()
    {
        try
        {
            return OpenFilesIn(File.ReadLines("/proc/self/limits")) ?? UnknownFiles;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return UnknownFiles;
        }
    }

    /// <summary>The soft limit as Linux prints it (proc(5)); null when there is none.</summary>
    internal static long? OpenFilesIn(IEnumerable<string> limits)
    {
        const string name = "Max open files";
        var line = limits.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return long.TryParse(
            line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture, out var files)
            ? files
            : null;
    }
}
