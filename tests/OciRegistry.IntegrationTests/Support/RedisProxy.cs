using System.Net;
using System.Net.Sockets;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// What stands between a registry and its Redis in many networks: a device that forgets a connection, so that it stays open
/// and nothing comes through it any more.
/// </summary>
internal sealed class RedisProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _end = new();
    private readonly RedisServer _server;
    private CancellationTokenSource _forget = new();
    private int _accepted;

    public RedisProxy(RedisServer server)
    {
        _server = server;
        _listener.Start();
        _ = AcceptAsync();
    }

    public string Address => $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    /// <summary>Connections so far.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>From now on nothing comes through the connections that there are; new ones work.</summary>
    public void ForgetConnections() => Interlocked.Exchange(ref _forget, new CancellationTokenSource()).Cancel();

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        var end = _end.Token;
        while (!end.IsCancellationRequested)
        {
            var client = await _listener.AcceptTcpClientAsync(end);
            Interlocked.Increment(ref _accepted);
            _ = ForwardAsync(client, _forget.Token, end);
        }
    }

    private async Task ForwardAsync(TcpClient client, CancellationToken forget, CancellationToken end)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(forget, end);
        using (client)
        using (var server = new TcpClient())
        {
            try
            {
                await server.ConnectAsync(IPEndPoint.Parse(_server.Address), end);
                await Task.WhenAny(
                    client.GetStream().CopyToAsync(server.GetStream(), either.Token),
                    server.GetStream().CopyToAsync(client.GetStream(), either.Token));
            }
            catch (Exception exception) when (exception is SocketException or OperationCanceledException)
            {
                // The server is away, or the test is over.
            }

            if (forget.IsCancellationRequested)
            {
                await Task.Delay(Timeout.Infinite, end).ContinueWith(_ => { }, TaskScheduler.Default); // open, and silent
            }
        }
    }
}
