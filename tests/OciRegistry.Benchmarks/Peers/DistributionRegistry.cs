using System.Diagnostics;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>Debian's docker-registry.</summary>
internal sealed class DistributionRegistry : IStartedRegistry
{
    public string Name => "docker-registry";

    /// <summary>Whether it is installed.</summary>
    public static bool IsThere =>
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, "docker-registry")));

    public async Task<string> VersionAsync()
    {
        using var process = Process.Start(new ProcessStartInfo(Name, "--version") { RedirectStandardOutput = true })!;
        var line = await process.StandardOutput.ReadToEndAsync();
        return line.Trim().Split(' ')[^1];
    }

    /// <summary>Its layout of folders: a tag is a link to the digest of a manifest, which need not be there to be listed.</summary>
    public async Task PrepareAsync(string storage)
    {
        foreach (var tag in PreparedContent.TagNames)
        {
            await AddAsync(storage, PreparedContent.ManyTags, tag);
        }

        foreach (var repository in PreparedContent.Repositories)
        {
            await AddAsync(storage, repository, PreparedStore.TagName(0));
        }
    }

    public Task<ServerProcess> StartAsync(string storage) => ServerProcess.StartDistributionAsync(storage);

    private static Task AddAsync(string storage, string repository, string tag)
    {
        var folder = Path.Combine(storage, "docker/registry/v2/repositories", repository, "_manifests/tags", tag, "current");
        Directory.CreateDirectory(folder);
        return File.WriteAllTextAsync(Path.Combine(folder, "link"), Digest.Of("{}"u8).ToString());
    }
}
