namespace OciRegistry.IntegrationTests.Support;

/// <summary>A file system of a test's own, in memory: small, and ready to be changed under its users.</summary>
internal sealed class MountedFolder : IAsyncDisposable
{
    private readonly TempFolder _folder;

    private MountedFolder(TempFolder folder) => _folder = folder;

    public string Path => _folder["mounted"];

    /// <param name="options">Options of tmpfs: <c>size=32m</c>, <c>nr_inodes=500</c>.</param>
    public static async Task<MountedFolder> MountAsync(string options = "size=64m")
    {
        Tool.RequireRoot("mount");
        var mounted = new MountedFolder(new TempFolder());
        mounted._folder.Create("mounted");
        var result = await Tool.Require("mount").TryRunAsync("-t", "tmpfs", "-o", options, "oci-registry", mounted.Path);
        Assert.SkipWhen(result.ExitCode != 0, $"This machine does not let tests mount a file system: {result}");
        return mounted;
    }

    /// <summary>Changes the options of the mounted file system, of which its users hear nothing.</summary>
    public async Task RemountAsync(string options) =>
        await Tool.Require("mount").RunAsync("-o", $"remount,{options}", Path);

    /// <summary>Makes what is at the path read-only, even where it is in use, which a remount would not.</summary>
    public async Task CoverReadOnlyAsync() =>
        await Tool.Require("mount").RunAsync("-o", "bind,ro", Path, Path);

    public async Task UncoverAsync() => await Tool.Require("umount").RunAsync("--lazy", Path);

    public ValueTask DisposeAsync() => _folder.DisposeAsync();
}
