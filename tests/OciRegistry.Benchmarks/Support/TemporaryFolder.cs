namespace OciRegistry.Benchmarks.Support;

/// <summary>A folder with room for a scenario, deleted at its end, and when the program is interrupted.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private const double GiB = 1 << 30;

    public TemporaryFolder(string parent, double neededGiB)
    {
        var free = new DriveInfo(parent).AvailableFreeSpace / GiB;
        if (free < neededGiB)
        {
            throw new IOException($"'{parent}' has {free:0.0} GiB left; {neededGiB:0.0} are needed. Use --folder.");
        }

        Path = System.IO.Path.Combine(parent, $"oci-registry-benchmark-{Guid.NewGuid():n}");
        Directory.CreateDirectory(Path);
        AppDomain.CurrentDomain.ProcessExit += Delete;
    }

    public string Path { get; }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= Delete;
        Directory.Delete(Path, recursive: true);
    }

    private void Delete(object? sender, EventArgs e)
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }
}
