using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>A registry that this program starts, on a folder.</summary>
internal interface IStartedRegistry
{
    string Name { get; }

    Task<string> VersionAsync();

    /// <summary>Puts <see cref="PreparedContent"/> into a folder that no server runs on yet.</summary>
    Task PrepareAsync(string storage);

    Task<ServerProcess> StartAsync(string storage);
}
