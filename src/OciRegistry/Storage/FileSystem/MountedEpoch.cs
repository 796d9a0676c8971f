using System.Collections.Concurrent;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Names the time for which written bytes that were not synced are surely there: since the machine was booted, and since the
/// file system was mounted. A volume that was taken away without being unmounted, and came back, lost them as a power cut
/// would, while the boot is the same.
/// </summary>
/// <remarks>
/// What is mounted is named by the kernel's own folder of it, <c>/sys/fs/{type}/{device}</c> (ext4, XFS, f2fs): it is made at
/// the mount, with a number that is never given again, and is the same in every container. The number of the mount itself is
/// not: each container has its own. Where there is no such folder the device's number stands alone; btrfs takes a new one for
/// each mount.
/// </remarks>
internal static class MountedEpoch
{
    private static readonly ConcurrentDictionary<string, string> Folders = [];

    private static readonly string Boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>The epoch of the file system that a folder is on now.</summary>
    public static string At(string folder)
    {
        if (Posix.Stat(folder) is not { } status)
        {
            throw new DirectoryNotFoundException($"The folder '{folder}' is gone.");
        }

        var device = $"{status.Identity.DeviceMajor}:{status.Identity.DeviceMinor}";
        return $"{Boot}/{device}/{InstanceOf(device)}";
    }

    private static ulong? InstanceOf(string device)
    {
        // Each session asks: what its device and its type are called is looked up when the folder is no longer there.
        if (Folders.TryGetValue(device, out var known) && InodeOf(known) is { } inode)
        {
            return inode;
        }

        if (FolderOf(device) is not { } folder)
        {
            return null;
        }

        Folders[device] = folder;
        return InodeOf(folder);
    }

    /// <summary>Where the kernel describes what is mounted from a device; null where it does not.</summary>
    private static string? FolderOf(string device)
    {
        // A block device's name; what is no link has none.
        if (new FileInfo($"/sys/dev/block/{device}").LinkTarget is not { } target)
        {
            return null;
        }

        // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue (proc_pid_mountinfo(5))
        var type = File.ReadLines("/proc/self/mountinfo")
            .Select(line => line.Split(' '))
            .Where(fields => fields[2] == device)
            .Select(fields => fields[Array.IndexOf(fields, "-") + 1])
            .FirstOrDefault();
        return type is null ? null : $"/sys/fs/{type}/{Path.GetFileName(target)}";
    }

    private static ulong? InodeOf(string folder) => Posix.Stat(folder)?.Identity.Inode;
}
