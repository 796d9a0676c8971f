using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace OciRegistry.Conformance.Http;

/// <summary>One TCP connection, for what HttpClient will not send: odd targets, half a body, a hang-up.</summary>
internal sealed class RawConnection : IAsyncDisposable
{
    private readonly TcpClient _tcp;
    private readonly Stream _stream;
    private readonly CancellationTokenSource _patience;

    private RawConnection(TcpClient tcp, Stream stream, TimeSpan patience)
    {
        _tcp = tcp;
        _stream = stream;
        _patience = new CancellationTokenSource(patience);
    }

    public static async Task<RawConnection> OpenAsync(Uri url, TimeSpan? patience = null)
    {
        var tcp = new TcpClient { NoDelay = true };
        await tcp.ConnectAsync(url.Host, url.Port);
        if (url.Scheme != Uri.UriSchemeHttps)
        {
            return new RawConnection(tcp, tcp.GetStream(), patience ?? Registry.Patience);
        }

        var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(url.Host);
        return new RawConnection(tcp, tls, patience ?? Registry.Patience);
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes) => _stream.WriteAsync(bytes, _patience.Token);

    public async Task WriteHeadAsync(Request request)
    {
        var head = new StringBuilder();
        var target = request.RawTarget ?? request.Uri.PathAndQuery;
        head.Append(CultureInfo.InvariantCulture, $"{request.Method} {target} HTTP/1.1\r\n");
        head.Append(CultureInfo.InvariantCulture, $"Host: {request.Uri.Authority}\r\nConnection: close\r\n");
        foreach (var (name, value) in request.Headers)
        {
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        }

        if (request.Authorization is { } authorization)
        {
            head.Append(CultureInfo.InvariantCulture, $"Authorization: {authorization}\r\n");
        }

        if (request.IsStreamed)
        {
            head.Append("Transfer-Encoding: chunked\r\n");
        }
        else if (request.Content is { } content)
        {
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {content.Length}\r\n");
        }

        await WriteAsync(Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()));
    }

    public async Task WriteBodyAsync(Request request)
    {
        var content = request.Content ?? [];
        if (!request.IsStreamed)
        {
            await WriteAsync(content);
            return;
        }

        if (content.Length > 0)
        {
            var size = content.Length.ToString("x", CultureInfo.InvariantCulture);
            await WriteAsync(Encoding.ASCII.GetBytes(size + "\r\n"));
            await WriteAsync(content);
            await WriteAsync("\r\n"u8.ToArray());
        }

        await WriteAsync("0\r\n\r\n"u8.ToArray());
    }

    /// <summary>Reads to the end of the connection: every request here says <c>Connection: close</c>.</summary>
    public async Task<Answer> ReadAnswerAsync(Request request)
    {
        var received = await ReadToEndAsync();
        var headLength = received.AsSpan().IndexOf("\r\n\r\n"u8);
        if (headLength < 0)
        {
            throw new CheckFailedException($"an HTTP answer to {request} (the connection was closed instead)");
        }

        var lines = Encoding.Latin1.GetString(received, 0, headLength).Split("\r\n");
        var headers = lines.Skip(1)
            .Select(line => line.Split(':', 2))
            .Where(parts => parts.Length == 2)
            .Select(parts => (parts[0], parts[1].Trim()))
            .ToList();
        var body = received[(headLength + 4)..];
        var isChunked = headers.Any(h => h.Item1.Equals("Transfer-Encoding", StringComparison.OrdinalIgnoreCase));
        var status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
        return new Answer(request, status, headers, isChunked ? Unchunk(body) : body);
    }

    /// <summary>What the server sends until it closes; a reset after the answer is as good as a close.</summary>
    public async Task<byte[]> ReadToEndAsync()
    {
        var received = new MemoryStream();
        try
        {
            await _stream.CopyToAsync(received, _patience.Token);
        }
        catch (IOException) when (received.Length > 0)
        {
        }

        return received.ToArray();
    }

    /// <summary>Hangs up like a client that was killed: with a reset, and whatever was promised unsent.</summary>
    public void HangUp()
    {
        _tcp.LingerState = new LingerOption(true, 0);
        _tcp.Close();
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        _tcp.Dispose();
        _patience.Dispose();
    }

    private static byte[] Unchunk(byte[] body)
    {
        var content = new MemoryStream();
        var rest = body.AsSpan();
        while (rest.IndexOf("\r\n"u8) is > 0 and var end)
        {
            var digits = Encoding.ASCII.GetString(rest[..end]).Split(';')[0];
            var size = int.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (size == 0)
            {
                break;
            }

            content.Write(rest.Slice(end + 2, size));
            rest = rest[(end + 2 + size + 2)..];
        }

        return content.ToArray();
    }
}
