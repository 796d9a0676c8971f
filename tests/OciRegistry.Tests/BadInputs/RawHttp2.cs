using System.Buffers.Binary;
using System.Net.Sockets;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>An HTTP/2 connection (RFC 9113) that sends frames no client would.</summary>
internal sealed class RawHttp2 : IDisposable
{
    public const byte Headers = 1;
    public const byte Settings = 4;
    public const byte Ping = 6;
    public const byte GoAway = 7;
    public const byte Continuation = 9;
    public const byte EndHeaders = 4;

    private readonly TcpClient _client;
    private readonly NetworkStream _stream;

    private RawHttp2(TcpClient client) => (_client, _stream) = (client, client.GetStream());

    public static async Task<RawHttp2> ConnectAsync(Uri url)
    {
        var client = new TcpClient();
        await client.ConnectAsync(url.Host, url.Port);
        var raw = new RawHttp2(client);
        await raw._stream.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        await raw.SendAsync(Frame(Settings, 0, 0, []));
        return raw;
    }

    public static byte[] Frame(byte type, byte flags, int stream, ReadOnlySpan<byte> payload)
    {
        var frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8);
        (frame[3], frame[4]) = (type, flags);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        return frame;
    }

    /// <summary>Sends; false when the server has ended the connection, or takes no more.</summary>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> frames)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        try
        {
            await _stream.WriteAsync(frames, patience.Token);
            return true;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>Reads until the server ends the connection; the types of the frames that it sent.</summary>
    public async Task<List<byte>> ReadToEndAsync()
    {
        var types = new List<byte>();
        var head = new byte[9];
        using var patience = new CancellationTokenSource(Until.Patience);
        try
        {
            while (true)
            {
                await _stream.ReadExactlyAsync(head, patience.Token);
                types.Add(head[3]);
                var length = BinaryPrimitives.ReadInt32BigEndian(head) >>> 8;
                await _stream.ReadExactlyAsync(new byte[length], patience.Token);
            }
        }
        catch (IOException)
        {
            return types;
        }
    }

    public void Dispose() => _client.Dispose();
}
