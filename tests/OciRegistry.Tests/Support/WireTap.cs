using System.Net;
using System.Net.Sockets;

namespace OciRegistry.Tests.Support;

/// <summary>
/// A proxy between clients and a registry that hands on bytes as they come and looks for a text among them. Content that
/// repeats it every few bytes cannot pass unseen.
/// </summary>
internal sealed class WireTap : IAsyncDisposable
{
    private readonly Uri _registry;
    private readonly byte[] _text;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _accepting;
    private long _sightings;

    public WireTap(Uri registry, byte[] text)
    {
        (_registry, _text) = (registry, text);
        _listener.Start();
        Url = new Uri($"{registry.Scheme}://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");
        _accepting = AcceptAsync();
    }

    public Uri Url { get; }

    /// <summary>How many reads, of either direction, had the text in them.</summary>
    public long Sightings => Interlocked.Read(ref _sightings);

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                connections.Add(HandOnAsync(await _listener.AcceptTcpClientAsync()));
            }
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task HandOnAsync(TcpClient client)
    {
        using var registry = new TcpClient();
        using (client)
        {
            try
            {
                await registry.ConnectAsync(_registry.Host, _registry.Port);
                client.NoDelay = registry.NoDelay = true;
                var ends = new[] { CopyAsync(client, registry), CopyAsync(registry, client) };
                await Task.WhenAll(ends);
            }
            catch (Exception e) when (e is IOException or SocketException or InvalidOperationException)
            {
                // One side is gone: so is the other.
            }
        }
    }

    private async Task CopyAsync(TcpClient from, TcpClient to)
    {
        var buffer = new byte[128 * 1024];
        try
        {
            while (await from.GetStream().ReadAsync(buffer) is > 0 and var read)
            {
                if (buffer.AsSpan(0, read).IndexOf(_text) >= 0)
                {
                    Interlocked.Increment(ref _sightings);
                }

                await to.GetStream().WriteAsync(buffer.AsMemory(0, read));
            }

            to.Client.Shutdown(SocketShutdown.Send);
        }
        catch
        {
            from.Close();
            to.Close();
            throw;
        }
    }
}
