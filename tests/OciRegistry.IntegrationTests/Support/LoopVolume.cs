using System.ComponentModel;
using System.Runtime.InteropServices;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A file system of a test's own on a loop device, whose power can be cut.</summary>
internal sealed partial class LoopVolume : IAsyncDisposable
{
    private readonly TempFolder _folder = new();

    private LoopVolume()
    {
    }

    /// <summary>Where it is mounted.</summary>
    public string Path => _folder["mounted"];

    /// <param name="type">ext4 or xfs.</param>
    /// <param name="options">Further arguments of mkfs.</param>
    public static async Task<LoopVolume> MountAsync(string type, params string[] options)
    {
        Tool.RequireRoot("mount");
        var make = Tool.Require($"mkfs.{type}");
        var volume = new LoopVolume();
        try
        {
            await using (var image = new FileStream(volume._folder["image"], FileMode.CreateNew))
            {
                image.SetLength(400L * 1024 * 1024); // XFS needs 300 MB; the file is sparse
            }

            await make.RunAsync(["-q", .. options, volume._folder["image"]]);
            volume._folder.Create("mounted");
            var result = await Tool.Require("mount").TryRunAsync("-o", "loop", volume._folder["image"], volume.Path);
            Assert.SkipWhen(result.ExitCode != 0, $"This machine does not let tests mount a {type} on a loop device: {result}");
            return volume;
        }
        catch
        {
            await volume.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// From now on nothing reaches the device, the journal in memory neither: what was not synced is lost, as in a power cut.
    /// Calls of those who use the file system fail.
    /// </summary>
    public void CutPower()
    {
        const uint shutdown = 0x8004587D; // XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN
        const uint withoutLogFlush = 2;
        using var root = Posix.OpenRead(Path)!;
        var flags = withoutLogFlush;
        if (ioctl(root, shutdown, ref flags) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "The file system cannot be shut down.");
        }
    }

    /// <summary>Takes it away and mounts it again. Those who used it have ended.</summary>
    public async Task RemountAsync()
    {
        await Tool.Require("umount").RunAsync(Path);
        await Tool.Require("mount").RunAsync("-o", "loop", _folder["image"], Path);
    }

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(Microsoft.Win32.SafeHandles.SafeFileHandle file, nuint request, ref uint argument);
}
