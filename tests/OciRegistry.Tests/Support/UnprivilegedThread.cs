using System.Runtime.InteropServices;

namespace OciRegistry.Tests.Support;

/// <summary>
/// A thread that permissions hold for even where the tests run as root: it gives up root's right to read and write
/// whatever it likes (capabilities are each thread's own), and ends with what it ran.
/// </summary>
internal static partial class UnprivilegedThread
{
    private const uint Version3 = 0x20080522;
    private const uint OverrideReadAndWrite = 1 << 1 | 1 << 2; // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

    /// <summary>Runs what does not leave its thread: the calls of the file-system stores complete at once.</summary>
    public static void Run(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                GiveUpRights();
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

    private static void GiveUpRights()
    {
        Header header = new() { Version = Version3 };
        var sets = new Sets[2];
        capget(ref header, sets).ShouldBe(0);
        sets[0].Effective &= ~OverrideReadAndWrite;
        capset(ref header, sets).ShouldBe(0);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int capget(ref Header header, [Out] Sets[] data);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int capset(ref Header header, [In] Sets[] data);

    [StructLayout(LayoutKind.Sequential)]
    private struct Header
    {
        public uint Version;
        public int Thread;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Sets
    {
        public uint Effective;
        public uint Permitted;
        public uint Inheritable;
    }
}
