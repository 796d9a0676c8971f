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
    public SettingsContent Read() => new([.. _paths.Select(Read)]);

    private static SettingsFile Read(string path)
    {
        try
        {
            return new SettingsFile(path, Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path))));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return new SettingsFile(path, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new SettingsFile(
                path, null, $"'{path}' cannot be read: {e.Message.TrimEnd('.')}. Let this program's user read it, or put the file back.");
        }
    }
}

/// <param name="Path">Where it is.</param>
/// <param name="Hash">Of what is in it; null when it is not there.</param>
/// <param name="Problem">Why it cannot be read, and the remedy.</param>
internal sealed record SettingsFile(string Path, string? Hash, string? Problem = null);

/// <summary>All settings files at one time.</summary>
internal sealed record SettingsContent(IReadOnlyList<SettingsFile> Files)
{
    public bool Equals(SettingsContent? other) => other is not null && Files.SequenceEqual(other.Files);

    public override int GetHashCode() => Files.Aggregate(0, HashCode.Combine);

    /// <summary>Files that cannot be read, and those that were there before and no longer are: what they said still counts.</summary>
    public IEnumerable<string> ProblemsSince(SettingsContent before) => Files.Zip(before.Files, (now, then) =>
        now.Problem
        ?? (now.Hash is null && then.Hash is not null
            ? $"'{now.Path}' is gone. Put it back, or start the registry again without it."
            : null)).OfType<string>();
}
