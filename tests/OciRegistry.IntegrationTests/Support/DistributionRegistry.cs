namespace OciRegistry.IntegrationTests.Support;

/// <summary>Debian's docker-registry (CNCF distribution), empty, on a free loopback port: somebody else's registry.</summary>
internal sealed class DistributionRegistry : IAsyncDisposable
{
    private readonly BackgroundProcess _process;
    private readonly TempFolder _folder;

    private DistributionRegistry(BackgroundProcess process, TempFolder folder, string host) =>
        (_process, _folder, Host) = (process, folder, host);

    public string Host { get; }

    public static async Task<DistributionRegistry> StartAsync()
    {
        var program = Tool.Require("docker-registry");
        var folder = new TempFolder();
        var host = $"127.0.0.1:{FreePort.Next()}";
        await File.WriteAllTextAsync(folder["config.yml"], $$"""
            version: 0.1
            log: {level: error}
            storage:
              filesystem: {rootdirectory: {{folder["data"]}}}
            http: {addr: {{host}}}
            """);
        var process = program.Start("serve", folder["config.yml"]);
        var registry = new DistributionRegistry(process, folder, host);
        try
        {
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
            await process.WaitUntilReadyAsync(() => http.AnswersAsync(new Uri($"http://{host}/v2/")));
            return registry;
        }
        catch
        {
            await registry.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        await _folder.DisposeAsync();
    }
}
