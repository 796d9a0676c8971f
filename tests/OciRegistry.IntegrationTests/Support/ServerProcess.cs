using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>The built server as a process of its own, on a free loopback port.</summary>
internal sealed class ServerProcess : IUpstreamRegistry
{
    private const string Certificate = "Kestrel:Certificates:Default:Path=";

    private readonly Func<BackgroundProcess> _launch;
    private readonly ISharedStorage? _storage;
    private BackgroundProcess _process;
    private bool _isKilled;

    private ServerProcess(Func<BackgroundProcess> launch, ISharedStorage? storage, int port, int? tlsPort)
    {
        (_launch, _storage) = (launch, storage);
        _process = launch();
        Host = $"127.0.0.1:{port}";
        Http = RegistryClient.To(new Uri($"http://{Host}"));
        Tls = tlsPort is null ? null : new Uri($"https://127.0.0.1:{tlsPort}");
    }

    /// <summary>Address and port as clients write them before an image's name.</summary>
    public string Host { get; }

    public HttpClient Http { get; }

    /// <summary>Its address over TLS, when its settings name a certificate.</summary>
    public Uri? Tls { get; }

    public int Id => _process.Id;

    public string Log => _process.Log;

    /// <summary>
    /// Starts on a storage that goes with the process: a folder or, when the environment says
    /// <c>OCI_REGISTRY_TESTS_STORAGE=azure</c>, a container in Azurite, and Redis for the locks.
    /// </summary>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static Task<ServerProcess> StartAsync(params string[] settings) => StartAtAsync([FreePort.Next()], settings);

    /// <summary>Starts as <see cref="StartAsync(string[])"/> does, on ports that its settings name.</summary>
    /// <param name="ports">All that it listens on; <see cref="Host"/> has the first.</param>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static async Task<ServerProcess> StartAtAsync(int[] ports, params string[] settings)
    {
        var server = Tool.Require(Checkout.ServerExecutable);
        if (Environment.GetEnvironmentVariable("OCI_REGISTRY_TESTS_STORAGE") == "azure")
        {
            var container = await SharedContainer.CreateAsync();
            var redis = await RedisServer.SharedAsync();
            return await StartAsync(
                server, container, ports, [.. container.Settings, $"OciRegistry:Redis:Configuration={redis.Address}", .. settings]);
        }

        var folder = new SharedFolder();
        return await StartAsync(server, folder, ports, [.. folder.Settings, .. settings]);
    }

    /// <summary>Starts on a folder that stays.</summary>
    /// <param name="root">The folder.</param>
    /// <param name="under">A program that is to start the server, as its last argument.</param>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static Task<ServerProcess> StartOnAsync(string root, Tool? under = null, params string[] settings) =>
        StartWithAsync(under, [$"OciRegistry:Storage:FileSystem:Root={root}", .. settings]);

    /// <summary>Starts over a storage, which goes with the process.</summary>
    /// <param name="storage">Where it stores.</param>
    /// <param name="ports">All that it listens on; <see cref="Host"/> has the first.</param>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static Task<ServerProcess> StartOverAsync(ISharedStorage storage, int[] ports, params string[] settings) =>
        StartAsync(Tool.Require(Checkout.ServerExecutable), storage, ports, [.. storage.Settings, .. settings]);

    /// <summary>Starts on what the settings say.</summary>
    /// <param name="under">A program that is to start the server, as its last argument.</param>
    /// <param name="settings">As <c>OciRegistry:Section:Name=value</c>.</param>
    public static Task<ServerProcess> StartWithAsync(Tool? under, params string[] settings) => StartAsync(
        under?.With(Checkout.ServerExecutable) ?? Tool.Require(Checkout.ServerExecutable), null, [FreePort.Next()], settings);

    /// <summary>Waits until the log has it: the console is written to, and read, beside what is answered.</summary>
    public Task UntilLoggedAsync(string text) =>
        Until.TrueAsync(() => Log.Contains(text, StringComparison.Ordinal), $"the log has '{text}'");

    /// <summary>Ends it at once, as a lost machine would.</summary>
    public async Task KillAsync()
    {
        if (!_isKilled)
        {
            _isKilled = true;
            await _process.KillAsync();
            await _process.DisposeAsync();
        }
    }

    /// <summary>Starts it again where it was, with what it had.</summary>
    public async Task RestartAsync()
    {
        _process = _launch();
        _isKilled = false;
        await UntilReadyAsync();
    }

    /// <summary>Asks it to end (SIGTERM), and waits until it has: by itself, and as it should.</summary>
    public async Task StopAsync()
    {
        (await _process.EndAsync()).ShouldBe(0, Log);
        _isKilled = true;
        await _process.DisposeAsync();
    }

    /// <summary>Holds it (SIGSTOP): connections stay open, nothing is answered.</summary>
    public void Pause() => _process.Pause();

    public void Resume() => _process.Resume();

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Http.Dispose();
        if (_storage is not null)
        {
            await _storage.DisposeAsync();
        }
    }

    private static async Task<ServerProcess> StartAsync(Tool program, ISharedStorage? storage, int[] ports, string[] settings)
    {
        int? tls = settings.Any(setting => setting.StartsWith(Certificate, StringComparison.Ordinal)) ? FreePort.Next() : null;
        var urls = string.Join(';', ports.Select(port => $"http://127.0.0.1:{port}"))
            + (tls is null ? "" : $";https://127.0.0.1:{tls}");
        var server = new ServerProcess(
            () => program.Start([$"--urls={urls}", .. settings.Select(setting => $"--{setting}")]), storage, ports[0], tls);
        try
        {
            await server.UntilReadyAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private Task UntilReadyAsync() =>
        _process.WaitUntilReadyAsync(() => Http.AnswersAsync(new Uri("/v2/", UriKind.Relative)));
}
