using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Support;

/// <summary>A connection that sends what no HTTP client would, byte for byte.</summary>
internal sealed class RawHttp : IAsyncDisposable
{
    /// <summary>Who takes longer than this to answer hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly TcpClient _client;
    private readonly NetworkStream _stream;
    private readonly MemoryStream _received = new();

    private RawHttp(TcpClient client) => (_client, _stream) = (client, client.GetStream());

    /// <param name="url">The server's address.</param>
    /// <param name="from">The client's own address; null for the default.</param>
    public static async Task<RawHttp> ConnectAsync(Uri url, IPAddress? from = null)
    {
        var client = new TcpClient(new IPEndPoint(from ?? IPAddress.Any, 0)) { NoDelay = true };
        await client.ConnectAsync(url.Host, url.Port);
        return new RawHttp(client);
    }

    /// <summary>One request on a connection of its own; the head is without Host and the empty line.</summary>
    public static async Task<RawAnswer> AskAsync(Uri url, string head, string body = "")
    {
        await using var raw = await ConnectAsync(url);
        await raw.SendAsync($"{head}\r\nHost: {url.Authority}\r\n\r\n{body}");
        return await raw.ReadAsync();
    }

    /// <summary>Each character is a byte.</summary>
    public Task SendAsync(string text) => SendAsync(Encoding.Latin1.GetBytes(text));

    public async Task SendAsync(byte[] bytes)
    {
        try
        {
            await _stream.WriteAsync(bytes).AsTask().WaitAsync(Patience);
        }
        catch (IOException)
        {
            // Refused before all was sent: the answer tells.
        }
    }

    /// <summary>No more will be sent.</summary>
    public void Finish() => _client.Client.Shutdown(SocketShutdown.Send);

    /// <summary>The next answer, or status 0 when the connection ends without one.</summary>
    public async Task<RawAnswer> ReadAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            while (true)
            {
                var answer = await ReadOneAsync(patience.Token);
                if (answer.Status is 0 or 101 or >= 200)
                {
                    return answer;
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"No answer within {Patience}; so far: {Encoding.Latin1.GetString(_received.ToArray())}");
        }
    }

    /// <summary>Waits for 100 Continue: the server has begun to read the body, whose request is then surely running.</summary>
    public async Task ReadContinueAsync() => (await ReadNextAsync()).Status.ShouldBe(100);

    /// <summary>The next answer, which may be an interim one.</summary>
    public async Task<RawAnswer> ReadNextAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        return await ReadOneAsync(patience.Token);
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<RawAnswer> ReadOneAsync(CancellationToken cancellationToken)
    {
        int end;
        while ((end = Text().IndexOf("\r\n\r\n", StringComparison.Ordinal)) < 0)
        {
            if (!await FillAsync(cancellationToken))
            {
                return RawAnswer.Closed;
            }
        }

        var lines = Text()[..end].Split("\r\n");
        var status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
        var headers = lines[1..].Select(line => line.Split(": ", 2))
            .ToLookup(line => line[0], line => line[1], StringComparer.OrdinalIgnoreCase);
        var length = headers["Content-Length"].FirstOrDefault() is { } text && status is not (204 or 304)
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : 0;
        while (_received.Length < end + 4 + length)
        {
            if (!await FillAsync(cancellationToken))
            {
                throw new IOException($"The body ends before its {length} bytes: {Text()}");
            }
        }

        var all = _received.ToArray();
        _received.SetLength(0);
        _received.Write(all.AsSpan(end + 4 + length));
        return new RawAnswer(status, headers, all[(end + 4)..(end + 4 + length)]);
    }

    private string Text() => Encoding.Latin1.GetString(_received.GetBuffer(), 0, (int)_received.Length);

    private async Task<bool> FillAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[64 * 1024];
        int read;
        try
        {
            read = await _stream.ReadAsync(buffer, cancellationToken);
        }
        catch (IOException)
        {
            read = 0; // reset
        }

        _received.Write(buffer.AsSpan(0, read));
        return read > 0;
    }
}

/// <summary>An answer as it came. Bodies of HEAD cannot be told from missing ones: ask with other methods.</summary>
internal sealed record RawAnswer(int Status, ILookup<string, string> Headers, byte[] Content)
{
    public static RawAnswer Closed { get; } =
        new(0, Array.Empty<string>().ToLookup(name => name, StringComparer.OrdinalIgnoreCase), []);

    public string Body => Encoding.UTF8.GetString(Content);

    public bool IsClosed => Status == 0;

    /// <summary>The codes of the error envelope; empty when the answer is none of the registry's.</summary>
    public string[] Codes => Headers.Contains("X-Request-Id") && Body.Length > 0
        ? [.. JsonNode.Parse(Body)!["errors"]!.AsArray().Select(error => (string)error!["code"]!)]
        : [];

    /// <summary>
    /// A clear error in the envelope, or, where HTTP itself was broken, the server's own 4xx with the connection's end, or
    /// just that end. Nothing else: no success, no 5xx.
    /// </summary>
    public void ShouldBeRefused(params string[] codes)
    {
        if (IsClosed)
        {
            return;
        }

        Status.ShouldBeInRange(400, 499, Body);
        if (Headers.Contains("X-Request-Id"))
        {
            Codes.ShouldNotBeEmpty();
            if (codes.Length > 0)
            {
                codes.ShouldContain(Codes[0], Body);
            }

            return;
        }

        Body.ShouldBeEmpty();
        if (Status != 404) // an address outside /v2/ is the application's
        {
            Headers["Connection"].ShouldContain("close");
        }
    }
}
