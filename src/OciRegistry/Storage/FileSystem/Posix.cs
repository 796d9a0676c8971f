using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// The Linux system calls that System.IO does not have, or not without side effects: its opens take shared locks, which
/// would collide with the exclusive lock under which a staged file is renamed into place. Failures are IOExceptions
/// whose HResult is the errno, as System.IO's are.
/// </summary>
internal static partial class Posix
{
    private const int NotPermitted = 1;
    private const int NoSuchEntry = 2;
    private const int Interrupted = 4;
    private const int InputOutput = 5;
    private const int WouldBlock = 11;
    private const int AccessDenied = 13;
    private const int Invalid = 22;
    private const int ReadOnly = 30;
    private const int BrokenPipe = 32;
    private const int NotImplemented = 38;
    private const int ConnectionReset = 104;
    private const int NotConnected = 107;
    private const int AlreadyExists = 17;
    private const int NotAFolder = 20;
    private const int NoSpace = 28;
    private const int QuotaExceeded = 122;

    /// <summary>Opens a file, or a folder to sync it, for reading; null when there is none.</summary>
    public static SafeFileHandle? OpenRead(string path)
    {
        const int readOnlyCloseOnExec = 0x80000;
        return Open(path, readOnlyCloseOnExec);
    }

    /// <summary>Opens a file for reading and writing; null when there is none and it is not to be created.</summary>
    public static SafeFileHandle? OpenReadWrite(string path, bool create)
    {
        const int readWriteCloseOnExec = 0x80002;
        const int orCreate = 0x40;
        return Open(path, readWriteCloseOnExec | (create ? orCreate : 0));
    }

    /// <summary>Creates a file that only its owner may read and write; null when there is no folder for it.</summary>
    public static SafeFileHandle? CreatePrivate(string path)
    {
        const int readWriteCreateNewCloseOnExec = 0x800C2;
        return Open(path, readWriteCreateNewCloseOnExec, 0x180 /* rw------- */);
    }

    /// <summary>Takes the exclusive advisory lock of an open file; false when another open file has it.</summary>
    public static bool TryLock(SafeFileHandle file)
    {
        const int exclusiveNonBlocking = 2 | 4;
        return Retry(() => flock(file, exclusiveNonBlocking), WouldBlock, () => "lock a file");
    }

    public static void Unlock(SafeFileHandle file)
    {
        const int unlock = 8;
        Retry(() => flock(file, unlock), expected: 0, () => "unlock a file");
    }

    /// <summary>Writes what the kernel holds of a file, or of a folder's entries, to disk.</summary>
    public static void Sync(SafeFileHandle file) => Retry(() => fsync(file), expected: 0, () => "write to disk");

    /// <summary>Sets the times of a file to the file system's clock.</summary>
    public static void Touch(SafeFileHandle file) => Retry(() => futimens(file, 0), expected: 0, () => "set the times of a file");

    /// <summary>
    /// Has the kernel begin to write a part of a file to disk. False when that failed: bytes may be lost, and no later
    /// sync needs to report it. True where the kernel or the file system cannot do it, because nothing is lost then.
    /// </summary>
    public static bool TryStartWriting(SafeFileHandle file, long offset, long length)
    {
        const uint write = 2;
        return sync_file_range(file, offset, length, write) == 0
            || Marshal.GetLastPInvokeError() is not (InputOutput or NoSpace or QuotaExceeded);
    }

    /// <summary>Gives a file a second name; false when that name is taken.</summary>
    public static bool TryLink(string existing, string name) =>
        Retry(() => link(existing, name), AlreadyExists, () => $"link '{name}'");

    /// <summary>Renames over whatever is there; false when the file, or the folder that it is to be in, does not exist.</summary>
    public static bool TryRename(string source, string target) =>
        Retry(() => rename(source, target), NoSuchEntry, () => $"rename '{source}' to '{target}'");

    /// <summary>Deletes a file, not a folder; false when there is none.</summary>
    public static bool TryUnlink(string path) => Retry(() => unlink(path), NoSuchEntry, () => $"delete '{path}'");

    /// <summary>Makes a folder for its owner alone; false when there is one, or when the folder above is missing.</summary>
    public static bool TryMakeFolder(string path, out bool isParentMissing)
    {
        const int ownersAlone = 0x1C0; // rwx------
        isParentMissing = false;
        while (mkdir(path, ownersAlone) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            isParentMissing = error == NoSuchEntry;
            if (isParentMissing || error == AlreadyExists)
            {
                return false;
            }

            if (error != Interrupted)
            {
                throw Fault(error, $"make the folder '{path}'");
            }
        }

        return true;
    }

    /// <summary>Removes an empty folder; false when it stays, whatever the reason.</summary>
    public static bool TryRemoveFolder(string path) => rmdir(path) == 0;

    /// <summary>Which folder is at a path now; null when there is none.</summary>
    public static FolderIdentity? FolderAt(string path)
    {
        const int currentFolder = -100;
        const uint birth = 0x800;
        var error = StatCore(currentFolder, path, 0, out var result, birth);
        return error switch
        {
            0 => new FolderIdentity(
                new FileIdentity(result.DeviceMajor, result.DeviceMinor, result.Inode),
                (result.Mask & birth) != 0 ? result.Born.ToTicks() : 0),
            NoSuchEntry or NotAFolder => null,
            _ => throw Fault(error, $"look at '{path}'"),
        };
    }

    /// <summary>Fills <paramref name="buffer"/> from <paramref name="offset"/>, as far as the file goes.</summary>
    public static int Read(SafeFileHandle file, Span<byte> buffer, long offset)
    {
        // System.IO asks each newly opened file first whether it can seek.
        var total = 0;
        while (total < buffer.Length)
        {
            var read = pread(file, buffer[total..], (nuint)(buffer.Length - total), offset + total);
            if (read > 0)
            {
                total += (int)read;
                continue;
            }

            if (read == 0)
            {
                break;
            }

            var error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                throw Fault(error, "read a file");
            }
        }

        return total;
    }

    /// <summary>Writes all of <paramref name="bytes"/> at <paramref name="offset"/>.</summary>
    public static void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            var written = pwrite(file, bytes, (nuint)bytes.Length, offset);
            if (written > 0)
            {
                bytes = bytes[(int)written..];
                offset += written;
                continue;
            }

            var error = written == 0 ? NoSpace : Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                throw Fault(error, "write to a file");
            }
        }
    }

    /// <summary>
    /// Sends a part of a file to a socket that does not block. Null when it has no room now, or when sendfile(2) cannot do it
    /// with this file; 0 when the file ends there.
    /// </summary>
    public static long? TrySendFile(SafeHandle socket, SafeFileHandle file, long offset, long length)
    {
        while (true)
        {
            var sent = sendfile(socket, file, ref offset, (nuint)length);
            if (sent >= 0)
            {
                return sent;
            }

            switch (Marshal.GetLastPInvokeError())
            {
                case Interrupted:
                    break;

                case WouldBlock or Invalid or NotImplemented:
                    return null;

                case var error:
                    throw Fault(error, "send a file");
            }
        }
    }

    /// <summary>Whether the other side of a connection is gone.</summary>
    public static bool IsDisconnect(Exception exception) =>
        exception is IOException && exception.HResult is BrokenPipe or ConnectionReset or NotConnected;

    /// <summary>Identity, size and times of what is at a path; null when nothing is.</summary>
    public static FileStatus? Stat(string path)
    {
        const int currentFolder = -100;
        var error = StatCore(currentFolder, path, 0, out var result);
        return error switch
        {
            0 => StatusOf(result),
            NoSuchEntry or NotAFolder => null,
            _ => throw Fault(error, $"look at '{path}'"),
        };
    }

    public static FileStatus Stat(SafeFileHandle file) => StatusOf(StatOpen(file));

    /// <summary>Gives a file the owner, the group and the mode of another one: root may, and the owner of both.</summary>
    public static void CopyPermissions(SafeFileHandle from, SafeFileHandle to)
    {
        const uint permissions = 0xFFF;
        var (wanted, given) = (StatOpen(from), StatOpen(to));
        if (wanted.User != given.User || wanted.Group != given.Group)
        {
            Retry(() => fchown(to, wanted.User, wanted.Group), expected: 0, () => "give a file to the owner of the one before");
        }

        Retry(() => fchmod(to, wanted.Mode & permissions), expected: 0, () => "change who may read a file");
    }

    public static bool IsFull(Exception exception) => exception.HResult is NoSpace or QuotaExceeded;

    /// <summary>Whether permissions or a read-only file system refused the call: it will, until somebody changes them.</summary>
    public static bool IsRefused(Exception exception) =>
        exception is UnauthorizedAccessException || exception.HResult is NotPermitted or AccessDenied or ReadOnly;

    /// <summary>Throws unless the process may read, write and (for a folder) enter what is at the path, if there is anything.</summary>
    public static void ThrowIfRefused(string path, bool isFolder)
    {
        const int currentFolder = -100;
        const int readWrite = 4 | 2;
        const int enter = 1;
        const int asTheCallsDo = 0x200; // by the effective user, not the real one
        while (faccessat(currentFolder, path, readWrite | (isFolder ? enter : 0), asTheCallsDo) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error is NoSuchEntry or NotAFolder)
            {
                return;
            }

            if (error != Interrupted)
            {
                throw Fault(error, $"read and write '{path}'");
            }
        }
    }

    private static SafeFileHandle? Open(string path, int flags, int mode = 0x1A4 /* rw-r--r-- */)
    {
        while (true)
        {
            var descriptor = open(path, flags, mode);
            if (descriptor >= 0)
            {
                return new SafeFileHandle(descriptor, ownsHandle: true);
            }

            var error = Marshal.GetLastPInvokeError();
            if (error is NoSuchEntry or NotAFolder)
            {
                return null;
            }

            if (error != Interrupted)
            {
                throw Fault(error, $"open '{path}'");
            }
        }
    }

    private static bool Retry(Func<int> call, int expected, Func<string> what)
    {
        while (call() != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == expected)
            {
                return false;
            }

            if (error != Interrupted)
            {
                throw Fault(error, what());
            }
        }

        return true;
    }

    private static StatxResult StatOpen(SafeFileHandle file)
    {
        const int theOpenFileItself = 0x1000;
        var referenced = false;
        try
        {
            file.DangerousAddRef(ref referenced);
            var error = StatCore((int)file.DangerousGetHandle(), "", theOpenFileItself, out var result);
            return error == 0 ? result : throw Fault(error, "look at an open file");
        }
        finally
        {
            if (referenced)
            {
                file.DangerousRelease();
            }
        }
    }

    private static int StatCore(int folder, string path, int flags, out StatxResult result, uint more = 0)
    {
        const uint basicStats = 0x7ff;
        while (statx(folder, path, flags, basicStats | more, out result) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                return error;
            }
        }

        return 0;
    }

    private static FileStatus StatusOf(in StatxResult result) => new(
        new FileIdentity(result.DeviceMajor, result.DeviceMinor, result.Inode),
        (long)result.Size,
        result.Modified.ToTicks(),
        result.Changed.ToTicks());

    private static IOException Fault(int error, string what) =>
        new($"Cannot {what}: {new Win32Exception(error).Message}.", error);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int faccessat(int folder, string path, int mode, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle file, int operation);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sync_file_range(SafeFileHandle file, long offset, long length, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int futimens(SafeFileHandle file, nint times);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(SafeFileHandle file, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchown(SafeFileHandle file, uint user, uint group);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdir(string path, int mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rmdir(string path);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rename(string source, string target);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(SafeFileHandle file, Span<byte> buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(SafeFileHandle file, ReadOnlySpan<byte> buffer, nuint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendfile(SafeHandle socket, SafeFileHandle file, ref long offset, nuint count);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string existing, string name);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlink(string path);

    // statx, because its layout is the same on every architecture; stat's is not.
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, out StatxResult result);

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatxResult
    {
        [FieldOffset(0)]
        public uint Mask;

        [FieldOffset(20)]
        public uint User;

        [FieldOffset(24)]
        public uint Group;

        [FieldOffset(28)]
        public ushort Mode;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(40)]
        public ulong Size;

        [FieldOffset(80)]
        public StatxTime Born;

        [FieldOffset(96)]
        public StatxTime Changed;

        [FieldOffset(112)]
        public StatxTime Modified;

        [FieldOffset(136)]
        public uint DeviceMajor;

        [FieldOffset(140)]
        public uint DeviceMinor;
    }

    [StructLayout(LayoutKind.Sequential, Size = 16)]
    private struct StatxTime
    {
        public long Seconds;
        public uint Nanoseconds;

        public readonly long ToTicks() =>
            DateTime.UnixEpoch.Ticks + (Seconds * TimeSpan.TicksPerSecond) + (Nanoseconds / 100);
    }
}

/// <summary>Which folder it is: one that is made again under the same name, even with the same inode, is another one.</summary>
/// <param name="Identity">Its inode.</param>
/// <param name="Born">When it was made, in UTC ticks; 0 where the file system does not tell.</param>
internal readonly record struct FolderIdentity(FileIdentity Identity, long Born);

/// <summary>Which file it is, whatever its name.</summary>
internal readonly record struct FileIdentity(uint DeviceMajor, uint DeviceMinor, ulong Inode);

/// <summary>Size in bytes; modified (content) and changed (anything, cannot be set) as UTC ticks.</summary>
internal readonly record struct FileStatus(FileIdentity Identity, long Size, long ModifiedTicks, long ChangedTicks)
{
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SettlingOfWholeSeconds = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Whether the times may come from a file system that keeps whole seconds (ext4 with inodes of 128 bytes): by chance both
    /// are whole in one of 10^14 cases.
    /// </summary>
    public bool HasWholeSeconds =>
        ModifiedTicks % TimeSpan.TicksPerSecond == 0 && ChangedTicks % TimeSpan.TicksPerSecond == 0;

    /// <summary>
    /// Whether every change from <paramref name="now"/> on moves the times. They are rounded down to the kernel's tick (at most
    /// 10 ms) or to the second, and the kernel takes them from a clock that is a tick late: a change in the second of the last
    /// one, or a tick after it, need not move them.
    /// </summary>
    /// <param name="now">A time before the content was read that is to be kept with this status.</param>
    public bool HasSettled(DateTimeOffset now) =>
        now.UtcTicks - Math.Max(ModifiedTicks, ChangedTicks) > (HasWholeSeconds ? SettlingOfWholeSeconds : Settling).Ticks;
}
