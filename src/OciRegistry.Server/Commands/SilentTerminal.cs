using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Server.Commands;

/// <summary>
/// The terminal at standard input, while it does not show what is typed. Console.ReadKey would show what is typed before the
/// first key is waited for, or between two.
/// </summary>
internal sealed partial class SilentTerminal : IDisposable
{
    // Not Console's stream, which shows what it reads.
    private readonly FileStream _input = new(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);
    private readonly Modes _before;
    private readonly PosixSignalRegistration _interrupted;
    private readonly PosixSignalRegistration _terminated;

    public SilentTerminal()
    {
        const uint echo = 8;
        if (GetModes(_input.SafeFileHandle, out _before) != 0)
        {
            throw new Win32Exception();
        }

        // Whoever is interrupted gets back a terminal that shows what is typed.
        _interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => Set(_before));
        _terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Set(_before));
        Set(_before with { Local = _before.Local & ~echo });
    }

    /// <summary>Reads a line, and the line break; the terminal's own keys correct it.</summary>
    /// <returns>How many bytes it has; 0 at the end of all input.</returns>
    public int ReadLine(byte[] buffer) => _input.Read(buffer); // a terminal gives a line at a time

    public void Dispose()
    {
        Set(_before);
        _interrupted.Dispose();
        _terminated.Dispose();
        _input.Dispose();
    }

    private void Set(in Modes modes)
    {
        const int afterOutputDroppingInput = 2;
        _ = SetModes(_input.SafeFileHandle, afterOutputDroppingInput, modes);
    }

    [LibraryImport("libc", EntryPoint = "tcgetattr", SetLastError = true)]
    private static partial int GetModes(SafeFileHandle file, out Modes modes);

    [LibraryImport("libc", EntryPoint = "tcsetattr", SetLastError = true)]
    private static partial int SetModes(SafeFileHandle file, int actions, in Modes modes);

    // termios: the local modes stand behind those of input, output and control; it is nowhere longer than this.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private record struct Modes
    {
        [FieldOffset(12)]
        public uint Local;
    }
}
