namespace OciRegistry.IntegrationTests.Support;

/// <summary>The built server as a process of its own, on a free loopback port and a folder that goes with it.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private readonly BackgroundProcess _process;
    private readonly TempFolder _folder;

    private ServerProcess(BackgroundProcess process, TempFolder folder, int port)
    {
        (_process, _folder) = (process, folder);
        Host = $"127.0.0.1:{port}";
        Http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false })
        {
            BaseAddress = new Uri($"http://{Host}"),
            Timeout = TimeSpan.FromSeconds(60),
        };
    }

    /// <summary>Address and port as clients write them before an image's name.</summary>
    public string Host { get; }

    public HttpClient Http { get; }

    public string Log => _process.Log;

    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static async Task<ServerProcess> StartAsync(params string[] settings)
    {
        var folder = new TempFolder();
        var port = FreePort.Next();
        var process = Tool.Require(Checkout.ServerExecutable).Start(
        [
            $"--urls=http://127.0.0.1:{port}",
            $"--OciRegistry:Storage:FileSystem:Root={folder.Create("data")}",
            .. settings.Select(setting => $"--{setting}"),
        ]);
        var server = new ServerProcess(process, folder, port);
        try
        {
            await process.WaitUntilReadyAsync(() => server.Http.AnswersAsync(new Uri("/v2/", UriKind.Relative)));
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _process.KillAsync();
        await _process.DisposeAsync();
        await _folder.DisposeAsync();
    }
}
