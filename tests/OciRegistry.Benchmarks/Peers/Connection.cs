using System.Buffers.Text;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>
/// One connection that costs as little as it can, because it shares the processors with the server that it measures: calls
/// block, of an answer only status, length and Location are looked at, and the body is thrown away.
/// </summary>
internal sealed class Connection(Uri address) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly byte[] _input = new byte[256 * 1024];
    private readonly byte[] _output = new byte[3 * Noise.BlockSize];
    private readonly byte[] _block = new byte[Noise.BlockSize];
    private Socket? _socket;
    private int _pending;

    /// <summary>Bytes of bodies that went either way so far.</summary>
    public long BodyBytes { get; private set; }

    /// <summary>From the last byte of the last request to the first of its answer.</summary>
    public double MillisecondsToFirstByte { get; private set; }

    /// <summary>Path and query of the last answer's Location, if it had one.</summary>
    public string? Location { get; private set; }

    /// <summary>Opens the connection; after an error, another one.</summary>
    public void Open()
    {
        _socket?.Dispose();
        _pending = 0;
        _socket = new Socket(SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            SendTimeout = (int)Patience.TotalMilliseconds,
            ReceiveTimeout = (int)Patience.TotalMilliseconds,
        };
        _socket.Connect(address.Host, address.Port);
    }

    /// <summary>A request that was built before, and its answer.</summary>
    public void Exchange(Request request)
    {
        Write(request.Bytes);
        Flush();
        Receive(request.Method, request.Status);
    }

    /// <summary>A request with these bytes, and its answer.</summary>
    public void Exchange(string method, string path, int status, ReadOnlySpan<byte> body = default, string headers = "")
    {
        WriteHead(method, path, $"{headers}Content-Length: {body.Length}\r\n");
        Write(body);
        Flush();
        BodyBytes += body.Length;
        Receive(method, status);
    }

    /// <summary>A request with a part of a blob as its body, from a block's beginning on, and its answer.</summary>
    public void Exchange(string method, string path, int status, Noise noise, long from, long length, string headers = "")
    {
        WriteHead(method, path, $"{headers}Content-Length: {length}\r\n");
        for (long offset = 0; offset < length; offset += Noise.BlockSize)
        {
            noise.Read(_block, from + offset);
            Write(_block.AsSpan(0, (int)Math.Min(Noise.BlockSize, length - offset)));
        }

        Flush();
        BodyBytes += length;
        Receive(method, status);
    }

    /// <summary>A request with all of a blob as a body of unknown length, and its answer.</summary>
    public void ExchangeStream(string method, string path, int status, Noise noise)
    {
        WriteHead(method, path, "Transfer-Encoding: chunked\r\n");
        for (long offset = 0; offset < noise.Length; offset += Noise.BlockSize)
        {
            var length = noise.Read(_block, offset);
            Write(Encoding.ASCII.GetBytes($"{length:x}\r\n"));
            Write(_block.AsSpan(0, length));
            Write("\r\n"u8);
        }

        Write("0\r\n\r\n"u8);
        Flush();
        BodyBytes += noise.Length;
        Receive(method, status);
    }

    public void Dispose() => _socket?.Dispose();

    private void WriteHead(string method, string path, string headers) =>
        Write(Encoding.ASCII.GetBytes($"{method} {path} HTTP/1.1\r\nHost: {address.Authority}\r\n{headers}\r\n"));

    private void Write(ReadOnlySpan<byte> bytes)
    {
        if (_pending + bytes.Length > _output.Length)
        {
            Flush();
        }

        bytes.CopyTo(_output.AsSpan(_pending));
        _pending += bytes.Length;
    }

    private void Flush()
    {
        for (var sent = 0; sent < _pending;)
        {
            sent += _socket!.Send(_output.AsSpan(sent, _pending - sent));
        }

        _pending = 0;
    }

    private void Receive(string method, int expected)
    {
        var flushed = Stopwatch.GetTimestamp();
        var used = ReceiveMore(_input);
        MillisecondsToFirstByte = Stopwatch.GetElapsedTime(flushed).TotalMilliseconds;
        int end;
        while ((end = _input.AsSpan(0, used).IndexOf("\r\n\r\n"u8)) < 0)
        {
            used += ReceiveMore(_input.AsSpan(used));
        }

        var head = new AnswerHead(_input.AsSpan(0, end + 2));
        var status = head.Status;
        var start = end + 4;
        Location = head.Location;
        if (method != "HEAD")
        {
            if (head["content-length:"] is { IsEmpty: false } text && Utf8Parser.TryParse(text, out long length, out _))
            {
                ReceiveRest(length, used - start);
            }
            else if (head["transfer-encoding:"].SequenceEqual("chunked"u8))
            {
                ReceiveChunks(start, used);
            }
        }

        if (status != expected)
        {
            throw new UnexpectedAnswerException(method, status, expected);
        }
    }

    private void ReceiveRest(long length, int received)
    {
        BodyBytes += length;
        for (var missing = length - received; missing > 0;)
        {
            missing -= ReceiveMore(_input.AsSpan(0, (int)Math.Min(missing, _input.Length)));
        }
    }

    /// <summary>Only lists come in chunks: JSON has no line ends of this kind in it that could look like the last chunk.</summary>
    private void ReceiveChunks(int start, int used)
    {
        var lastChunk = "0\r\n\r\n"u8;
        BodyBytes += used - start;
        while (!_input.AsSpan(start, used - start).EndsWith(lastChunk))
        {
            var kept = Math.Min(used - start, lastChunk.Length);
            _input.AsSpan(used - kept, kept).CopyTo(_input);
            var more = ReceiveMore(_input.AsSpan(kept));
            BodyBytes += more;
            (start, used) = (0, kept + more);
        }
    }

    private int ReceiveMore(Span<byte> buffer) => _socket!.Receive(buffer) is > 0 and var received
        ? received
        : throw new IOException("The connection was closed before the answer was complete.");
}
