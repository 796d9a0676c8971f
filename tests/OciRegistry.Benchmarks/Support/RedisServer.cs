using System.Globalization;
using System.Net.Sockets;
using System.Text;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.Benchmarks.Support;

/// <summary>A redis-server on a free loopback port, which saves nothing.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly ListeningProcess _process;
    private readonly int _port;

    private RedisServer(ListeningProcess process, int port) => (_process, _port) = (process, port);

    /// <summary>What a server is configured with that is to use it.</summary>
    public string Address => $"127.0.0.1:{_port}";

    public static async Task<RedisServer> StartAsync()
    {
        var port = FreePort.Next();
        return new RedisServer(
            await ListeningProcess.StartAsync(
                port, "redis-server", "--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            port);
    }

    /// <summary>How many commands it has carried out, scripts and what they call included.</summary>
    public async Task<long> CommandsAsync()
    {
        const string name = "total_commands_processed:";
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _port);
        var stream = client.GetStream();
        await stream.WriteAsync("INFO stats\r\nQUIT\r\n"u8.ToArray());
        using var reader = new StreamReader(stream, Encoding.ASCII);
        var answer = await reader.ReadToEndAsync();
        return answer.Split("\r\n").FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
            ? long.Parse(line.AsSpan(name.Length), CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"redis-server does not say what it did: {answer}");
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
