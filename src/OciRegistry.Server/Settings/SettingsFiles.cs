using System.Security.Cryptography;
using Microsoft.Extensions.Configuration.Json;
using Microsoft.Extensions.FileProviders;

namespace OciRegistry.Server.Settings;

/// <summary>
/// The files that settings are read from, as the sources of a configuration name them: <c>appsettings.json</c> and that of the
/// environment. Whether one has changed is told by its content: what Kubernetes mounts changes by turning a link.
/// </summary>
internal sealed class SettingsFiles(IConfigurationBuilder configuration)
{
    private readonly string[] _paths =
    [
        .. configuration.Sources.OfType<JsonConfigurationSource>()
            .Where(source => source.FileProvider is PhysicalFileProvider)
            .Select(source => Path.Combine(((PhysicalFileProvider)source.FileProvider!).Root, source.Path!)),
    ];

    /// <summary>What they have in them now.</summary>
    public SettingsContent Read() => new([.. _paths.Select(path => new SettingsFile(path, HashOf(path)))]);

    private static string? HashOf(string path)
    {
        try
        {
            return Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path)));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message; // whoever reads the settings says it
        }
    }
}

/// <param name="Path">Where it is.</param>
/// <param name="Hash">Of what is in it; null when it is not there.</param>
internal sealed record SettingsFile(string Path, string? Hash);

/// <summary>All settings files at one time.</summary>
internal sealed record SettingsContent(IReadOnlyList<SettingsFile> Files)
{
    public bool Equals(SettingsContent? other) => other is not null && Files.SequenceEqual(other.Files);

    public override int GetHashCode() => Files.Aggregate(0, HashCode.Combine);

    /// <summary>Files that were there before and no longer are.</summary>
    public IEnumerable<string> GoneSince(SettingsContent before) => before.Files.Where(file => file.Hash is not null)
        .Select(file => file.Path)
        .Intersect(Files.Where(file => file.Hash is null).Select(file => file.Path));
}
