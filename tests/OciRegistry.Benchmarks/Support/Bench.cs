using System.Net.Http.Headers;

namespace OciRegistry.Benchmarks.Support;

/// <summary>What a scenario works with: a folder, servers on parts of it, and the report.</summary>
internal sealed class Bench(string server, RedisServer? redis, TemporaryFolder folder, Report report, string scenario)
{
    public string Folder { get; } = folder.Path;

    /// <summary>Starts a server; the same name means the same storage.</summary>
    public Task<ServerProcess> StartServerAsync(string storage = "data") => StartServerAsync(storage, redis);

    /// <summary>Starts a server with these locks, whatever the program's arguments say.</summary>
    public Task<ServerProcess> StartServerAsync(string storage, RedisServer? redis) =>
        ServerProcess.StartAsync(server, StorageFolder(storage), redis);

    /// <summary>Starts a server that stores in a container.</summary>
    public Task<ServerProcess> StartServerAsync(AzuriteServer azurite, string container) =>
        ServerProcess.StartAsync(server, StorageFolder(container), azurite, container);

    /// <summary>Starts a server that wants to know who its client is.</summary>
    public Task<ServerProcess> StartServerAsync(string storage, AuthenticationHeaderValue authorization, params string[] settings) =>
        ServerProcess.StartAsync(server, StorageFolder(storage), authorization, settings);

    /// <summary>Starts a server with settings besides its storage.</summary>
    public Task<ServerProcess> StartServerAsync(string storage, string[] settings) =>
        ServerProcess.StartAsync(server, StorageFolder(storage), authorization: null, settings);

    /// <summary>Starts a server that listens for TLS only.</summary>
    public Task<ServerProcess> StartTlsServerAsync(string storage, (string Certificate, string Key) certificate) =>
        ServerProcess.StartTlsAsync(server, StorageFolder(storage), certificate);

    public string StorageFolder(string storage = "data") => Path.Combine(Folder, storage);

    /// <summary>A figure that is to stay below an aim.</summary>
    public void Add(string figure, double value, string unit, double aim) =>
        report.Add(new Figure(scenario, figure, Number(aim, unit, "< "), Number(value, unit), IsMissed: value >= aim));

    /// <summary>A figure that is to reach an aim.</summary>
    public void AddAtLeast(string figure, double value, string unit, double aim) =>
        report.Add(new Figure(scenario, figure, Number(aim, unit, "≥ "), Number(value, unit), IsMissed: value < aim));

    /// <summary>A figure without an aim.</summary>
    public void Add(string figure, double value, string unit) =>
        report.Add(new Figure(scenario, figure, "", Number(value, unit), IsMissed: false));

    private static string Number(double value, string unit, string prefix = "") =>
        FormattableString.Invariant($"{prefix}{value.ToString(value < 10 ? "0.##" : value < 100 ? "0.#" : "0", null)} {unit}");
}
