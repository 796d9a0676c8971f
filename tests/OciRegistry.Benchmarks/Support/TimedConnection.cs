using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace OciRegistry.Benchmarks.Support;

/// <summary>What was answered, and how long after the last byte of the request.</summary>
internal sealed record TimedAnswer(Uri Location, double MillisecondsAfterLastByte);

/// <summary>
/// One connection that knows when the last byte of a request left: when the kernel had taken it. What the server had not
/// read by then counts too. Calls block, so that no other work of this program comes between.
/// </summary>
internal sealed class TimedConnection : IDisposable
{
    private const string LastChunk = "0\r\n\r\n";

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
    {
        NoDelay = true,
        SendBufferSize = 2 * Noise.BlockSize,
    };

    private readonly Uri _address;
    private readonly byte[] _block = new byte[Noise.BlockSize];
    private readonly byte[] _answer = new byte[16 * 1024];

    public TimedConnection(Uri address)
    {
        _address = address;
        _socket.Connect(IPAddress.Parse(address.Host), address.Port);
    }

    /// <summary>A request with all of the content as one body of unknown length.</summary>
    public TimedAnswer Patch(Uri location, Noise noise)
    {
        SendHead("PATCH", location, "Transfer-Encoding: chunked");
        for (long offset = 0; offset < noise.Length; offset += Noise.BlockSize)
        {
            var length = noise.Read(_block, offset);
            var isLast = offset + length == noise.Length;
            Send($"{length:x}\r\n");
            Send(_block.AsSpan(0, length));
            Send(isLast ? $"\r\n{LastChunk}" : "\r\n");
        }

        return Receive("PATCH", HttpStatusCode.Accepted);
    }

    /// <summary>A request without a body.</summary>
    public TimedAnswer Put(Uri location)
    {
        SendHead("PUT", location, "Content-Length: 0");
        return Receive("PUT", HttpStatusCode.Created);
    }

    public void Dispose() => _socket.Dispose();

    private void SendHead(string method, Uri location, string header) => Send(
        $"{method} {new Uri(_address, location).PathAndQuery} HTTP/1.1\r\nHost: {_address.Authority}\r\n{header}\r\n\r\n");

    private void Send(string text) => Send(Encoding.ASCII.GetBytes(text));

    private void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    private TimedAnswer Receive(string method, HttpStatusCode expected)
    {
        var sent = Stopwatch.GetTimestamp();
        var received = _socket.Receive(_answer);
        var elapsed = Stopwatch.GetElapsedTime(sent).TotalMilliseconds;
        while (!_answer.AsSpan(0, received).EndsWith("\r\n\r\n"u8))
        {
            var more = _socket.Receive(_answer.AsSpan(received));
            received += more > 0 ? more : throw new IOException($"{method} was not answered to the end.");
        }

        var lines = Encoding.ASCII.GetString(_answer, 0, received).Split("\r\n");
        var status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
        if (status != (int)expected)
        {
            throw new InvalidOperationException($"{method} was answered {status}, not {(int)expected}.");
        }

        const string name = "Location:";
        var location = lines.First(line => line.StartsWith(name, StringComparison.OrdinalIgnoreCase))[name.Length..].Trim();
        return new TimedAnswer(new Uri(location, UriKind.RelativeOrAbsolute), elapsed);
    }
}
