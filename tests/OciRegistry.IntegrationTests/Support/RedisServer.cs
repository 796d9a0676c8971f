using System.Globalization;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A redis-server on a loopback port of its own, which saves nothing.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly string[] _arguments;
    private readonly Tool _client;
    private BackgroundProcess _process;

    private RedisServer(int port, string[] arguments)
    {
        Port = port;
        _arguments = arguments;
        var text = port.ToString(CultureInfo.InvariantCulture);
        _client = Tool.Require("redis-cli").With("-h", "127.0.0.1", "-p", text);
        _process = Launch();
    }

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    /// <summary>One for all tests that neither stop it nor look at what is in it.</summary>
    public static Task<RedisServer> SharedAsync() => Shared.Value;

    internal static Lazy<Task<RedisServer>> Shared { get; } = new(() => StartAsync());

    /// <param name="arguments">Further options, such as <c>--maxmemory 1kb</c>.</param>
    public static Task<RedisServer> StartAsync(params string[] arguments) => StartAsync(FreePort.Next(), arguments);

    public static async Task<RedisServer> StartAsync(int port, params string[] arguments)
    {
        var server = new RedisServer(port, arguments);
        await server._process.WaitUntilListeningAsync(server.Port);
        return server;
    }

    /// <summary>A command, as redis-cli takes it, and its answer.</summary>
    public Task<string> RunAsync(params string[] command) => _client.RunAsync(command);

    public Task<string> RunAsAsync(string password, params string[] command) =>
        _client.WithVariable("REDISCLI_AUTH", password).RunAsync(command);

    public async Task KillAsync()
    {
        await _process.KillAsync();
        await _process.DisposeAsync();
    }

    /// <summary>Starts it again where it was, empty.</summary>
    public async Task RestartAsync()
    {
        _process = Launch();
        await _process.WaitUntilListeningAsync(Port);
    }

    /// <summary>Holds it: connections stay open, nothing is answered.</summary>
    public void Pause() => _process.Pause();

    public void Resume() => _process.Resume();

    public async ValueTask DisposeAsync()
    {
        try
        {
            await KillAsync(); // also when it is paused
        }
        catch (InvalidOperationException)
        {
            // Killed by the test.
        }
    }

    private BackgroundProcess Launch() => Tool.Require("redis-server").Start(
    [
        "--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        .. _arguments,
    ]);
}
