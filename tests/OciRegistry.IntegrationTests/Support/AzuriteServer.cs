using System.Globalization;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>Microsoft's stand-in for Azure Blob Storage, on a loopback port of its own, over a folder that goes with it.</summary>
internal sealed class AzuriteServer : IAsyncDisposable
{
    public const string Account = "devstoreaccount1";

    // Everybody's: the one that the storage emulators have always had.
    public const string Key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    // Without it every killed client may take one of its 50 places for a write along; see the file.
    private static readonly string Resets = Path.Combine(AppContext.BaseDirectory, "Support", "azurite-resets.cjs");

    private readonly TempFolder _folder = new();
    private readonly string[] _arguments;
    private BackgroundProcess _process;

    private AzuriteServer(int port, string[] arguments)
    {
        Port = port;
        _arguments = arguments;
        _process = Launch();
    }

    public int Port { get; }

    public string ServiceUri => $"http://127.0.0.1:{Port}/{Account}";

    public string ConnectionString => ConnectionStringAt(Port);

    /// <summary>One for all tests that neither stop nor hold it; each has a container of its own.</summary>
    public static Task<AzuriteServer> SharedAsync() => Shared.Value;

    internal static Lazy<Task<AzuriteServer>> Shared { get; } = new(() => StartAsync());

    public static string NewContainer() => $"test-{Guid.NewGuid():n}";

    /// <summary>For who reaches it through another port.</summary>
    public static string ConnectionStringAt(int port) =>
        $"DefaultEndpointsProtocol=http;AccountName={Account};AccountKey={Key};BlobEndpoint=http://127.0.0.1:{port}/{Account};";

    /// <param name="arguments">Further options.</param>
    public static async Task<AzuriteServer> StartAsync(params string[] arguments)
    {
        Tool.Require("azurite-blob");
        var server = new AzuriteServer(FreePort.Next(), arguments);
        await server._process.WaitUntilListeningAsync(server.Port);
        return server;
    }

    public async Task KillAsync()
    {
        await _process.KillAsync();
        await _process.DisposeAsync();
    }

    /// <summary>Starts it again where it was, with what it had.</summary>
    public async Task RestartAsync()
    {
        _process = Launch();
        await _process.WaitUntilListeningAsync(Port);
    }

    public void Pause() => _process.Pause();

    public void Resume() => _process.Resume();

    public async ValueTask DisposeAsync()
    {
        try
        {
            await KillAsync();
        }
        catch (InvalidOperationException)
        {
            // Killed by the test.
        }

        await _folder.DisposeAsync();
    }

    private BackgroundProcess Launch() => Tool.Require("azurite-blob").WithVariable("NODE_OPTIONS", $"--require \"{Resets}\"").Start(
    [
        "--blobHost", "127.0.0.1", "--blobPort", Port.ToString(CultureInfo.InvariantCulture),
        "--location", _folder.Create("azurite"), "--silent", "--skipApiVersionCheck", "--disableTelemetry", .. _arguments,
    ]);
}
