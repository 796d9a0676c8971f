using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Disks;

/// <summary>
/// An ext4 file system that believes in more space than there is, as on a thin volume: writes succeed in memory, and fail when
/// the system writes them to the disk. Below it is a file on a small file system in memory, which can be extended.
/// </summary>
internal sealed class ThinVolume : IAsyncDisposable
{
    private readonly MountedFolder _disk;
    private string? _device;

    private ThinVolume(MountedFolder disk) => _disk = disk;

    public string Path => System.IO.Path.Combine(_disk.Path, "mounted");

    private string Image => System.IO.Path.Combine(_disk.Path, "image");

    /// <param name="size">Of the space that is there, as tmpfs takes it.</param>
    public static async Task<ThinVolume> MountAsync(string size)
    {
        var volume = new ThinVolume(await MountedFolder.MountAsync($"size={size}"));
        try
        {
            Directory.CreateDirectory(volume.Path);
            await using (var image = File.Create(volume.Image))
            {
                image.SetLength(400 * 1024 * 1024);
            }

            // Written now, and not when the test runs: what the file system needs for itself. No journal, because a file
            // system whose journal fails can do nothing more.
            await Tool.Require("mkfs.ext4").RunAsync(
                "-q", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard", "-N", "4096", volume.Image);
            var device = await Tool.Require("losetup").TryRunAsync("--find", "--show", volume.Image);
            Assert.SkipWhen(device.ExitCode != 0, $"This machine does not let tests make a block device of a file: {device}");
            volume._device = device.Output;
            await volume.WriteInPiecesOfAsync(kibibytes: 4);
            await volume.MountAgainAsync();
            return volume;
        }
        catch
        {
            await volume.DisposeAsync();
            throw;
        }
    }

    public Task ExtendAsync(string size) => _disk.RemountAsync($"size={size}");

    /// <summary>So that all that is read from now on comes from the disk.</summary>
    public async Task RemountAsync()
    {
        await Tool.Require("umount").RunAsync(Path);
        await MountAgainAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Tool.Require("umount").TryRunAsync("--lazy", Path);
        if (_device is not null)
        {
            await WriteInPiecesOfAsync(kibibytes: 0); // the default, for who is given the device next
            await Tool.Require("losetup").TryRunAsync("--detach", _device);
        }

        await _disk.DisposeAsync();
    }

    /// <summary>
    /// A loop device calls a write done although the file below it took only a part (Linux 6.18): its disk lies, and no fsync
    /// can tell. A write of one block of the file system is taken or refused.
    /// </summary>
    private Task WriteInPiecesOfAsync(int kibibytes) => File.WriteAllTextAsync(
        $"/sys/block/{System.IO.Path.GetFileName(_device)}/queue/max_sectors_kb", $"{kibibytes}");

    private async Task MountAgainAsync() =>
        await Tool.Require("mount").RunAsync("-t", "ext4", "-o", "errors=continue", _device!, Path);
}
