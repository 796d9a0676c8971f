using System.Runtime.InteropServices;

namespace OciRegistry.Benchmarks.Support;

internal static partial class Disk
{
    /// <summary>Waits until everything that any program wrote is on the disk, so that nobody pays for another's bytes.</summary>
    public static void Sync() => sync();

    [LibraryImport("libc")]
    private static partial void sync();
}
