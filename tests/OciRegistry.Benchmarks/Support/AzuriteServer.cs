using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Microsoft's stand-in for Azure Blob Storage, over a folder.</summary>
internal sealed class AzuriteServer : IAsyncDisposable
{
    private readonly ListeningProcess _process;

    private AzuriteServer(ListeningProcess process, int port)
    {
        _process = process;

        // The account and key are everybody's.
        ConnectionString = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
            + "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
            + $"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;";
    }

    public string ConnectionString { get; }

    public static async Task<AzuriteServer> StartAsync(string folder)
    {
        var port = FreePort.Next();
        return new AzuriteServer(
            await ListeningProcess.StartAsync(
                port, "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", $"{port}", "--location", folder, "--silent",
                "--skipApiVersionCheck", "--disableTelemetry"),
            port);
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
