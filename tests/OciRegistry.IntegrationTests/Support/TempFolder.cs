namespace OciRegistry.IntegrationTests.Support;

/// <summary>A folder of a test's own, deleted with it together with what is still mounted in it.</summary>
internal sealed class TempFolder : IAsyncDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string Create(string name) => Directory.CreateDirectory(this[name]).FullName;

    // podman and buildah leave a bind mount on their overlay folder; a killed dockerd leaves those of its layers.
    public async ValueTask DisposeAsync()
    {
        var mounts = (await File.ReadAllLinesAsync("/proc/self/mountinfo"))
            .Select(line => line.Split(' ')[4])
            .Where(mount => mount.StartsWith(Path + '/', StringComparison.Ordinal))
            .OrderByDescending(mount => mount.Length);
        foreach (var mount in mounts)
        {
            await Tool.Require("umount").RunAsync("--lazy", mount);
        }

        Directory.Delete(Path, recursive: true);
    }
}
