using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OciRegistry.Tests.Support;

/// <summary>One request on a socket of its own, sent piece by piece: a client that stalls, breaks off or resets.</summary>
internal sealed class RawUpload : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

    /// <summary>Sends the head; the body has <paramref name="length"/> bytes, or is chunked when that is null.</summary>
    public static async Task<RawUpload> StartAsync(
        Uri registry, string method, string location, long? length, string? range = null, string? authorization = null)
    {
        var upload = new RawUpload();
        await upload._socket.ConnectAsync(IPAddress.Loopback, registry.Port);
        var framing = length is null ? "Transfer-Encoding: chunked" : $"Content-Length: {length}";
        var contentRange = range is null ? "" : $"Content-Range: {range}\r\n";
        var credentials = authorization is null ? "" : $"Authorization: {authorization}\r\n";
        await upload.SendAsync(Encoding.ASCII.GetBytes(
            $"{method} {location} HTTP/1.1\r\nHost: {registry.Authority}\r\n{framing}\r\n{contentRange}{credentials}"
            + "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"));
        return upload;
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await _socket.SendAsync(bytes)..];
        }
    }

    public async Task SendChunkAsync(ReadOnlyMemory<byte> bytes)
    {
        await SendAsync(Encoding.ASCII.GetBytes($"{bytes.Length:x}\r\n"));
        await SendAsync(bytes);
        await SendAsync("\r\n"u8.ToArray());
    }

    public Task SendLastChunkAsync() => SendAsync("0\r\n\r\n"u8.ToArray());

    /// <summary>The whole answer, head and body, as text.</summary>
    public async Task<string> AnswerAsync()
    {
        var answer = new MemoryStream();
        var buffer = new byte[8192];
        try
        {
            while (await _socket.ReceiveAsync(buffer.AsMemory()).AsTask().WaitAsync(Until.Patience) is > 0 and var read)
            {
                answer.Write(buffer, 0, read);
            }
        }
        catch (SocketException)
        {
            // Reset: what came before counts.
        }

        return Encoding.ASCII.GetString(answer.ToArray());
    }

    public async Task<int> StatusAsync() =>
        await AnswerAsync() is { Length: > 12 } answer && int.TryParse(answer[9..12], out var status) ? status : 0;

    /// <summary>Goes away without a word, as a process that is killed.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Close();
    }

    public void Dispose() => _socket.Dispose();
}
