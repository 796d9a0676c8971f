using System.Text;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Tests.Support;

/// <summary>What a <see cref="FakeUpstream"/> answers, and how it gets onto the wire.</summary>
internal sealed record FakeAnswer(int Status, byte[] Body, string ContentType = "application/json")
{
    private const int Piece = 16 * 1024;

    public Dictionary<string, string> Headers { get; init; } = new(StringComparer.OrdinalIgnoreCase);

    public static FakeAnswer Error(int status, string code, params (string Name, string Value)[] headers) =>
        new(status, Encoding.UTF8.GetBytes($$"""{"errors":[{"code":"{{code}}","message":"of the fake"}]}"""))
        {
            Headers = headers.ToDictionary(header => header.Name, header => header.Value, StringComparer.OrdinalIgnoreCase),
        };

    public FakeAnswer With(UpstreamFault fault)
    {
        var changed = fault.RedirectsTo is { } to ? new FakeAnswer(fault.Status ?? 307, []) { Headers = { ["Location"] = to } }
            : fault.Status is { } status and not (>= 200 and < 300) ? Error(status, "FAULT")
            : this with { Status = fault.Status ?? Status };
        changed = changed with { Body = fault.Body ?? changed.Body };
        foreach (var (name, value) in fault.Headers)
        {
            changed.Headers[name] = value;
        }

        if (fault.RetryAfter is { } after)
        {
            changed.Headers["Retry-After"] = after;
        }

        return changed;
    }

    /// <summary>The part of it that the request asks for.</summary>
    public FakeAnswer Within(string? range)
    {
        if (Status != 200 || range?.Split('=', '-') is not ["bytes", var first, var last])
        {
            return this;
        }

        var start = first.Length > 0 ? long.Parse(first) : Math.Max(0, Body.Length - long.Parse(last));
        var end = first.Length > 0 && last.Length > 0 ? Math.Min(long.Parse(last), Body.Length - 1) : Body.Length - 1;
        return start > end
            ? Error(416, "RANGE_INVALID", ("Content-Range", $"bytes */{Body.Length}"))
            : this with
            {
                Status = 206,
                Body = Body[(int)start..((int)end + 1)],
                Headers = new(Headers, StringComparer.OrdinalIgnoreCase) { ["Content-Range"] = $"bytes {start}-{end}/{Body.Length}" },
            };
    }

    public async Task SendAsync(HttpContext context, UpstreamFault fault)
    {
        if (fault.CutsAfter < 0)
        {
            context.Abort();
            return;
        }

        var response = context.Response;
        var length = fault.ClaimsLength ?? Body.Length;
        response.StatusCode = Status;
        response.ContentType = ContentType;
        response.ContentLength = fault.IsChunked || Status is 304 ? null : length;
        foreach (var (name, value) in Headers)
        {
            response.Headers[name] = value;
        }

        if (HttpMethods.IsHead(context.Request.Method) || Status == 304)
        {
            return;
        }

        await response.Body.FlushAsync(context.RequestAborted); // the head
        for (long sent = 0; sent < length;)
        {
            await (fault.Paces?.Invoke(sent).WaitAsync(context.RequestAborted) ?? Task.CompletedTask);
            var end = Math.Min(length, fault.CutsAfter ?? length);
            var piece = PieceAt(sent, end);
            await response.Body.WriteAsync(piece, context.RequestAborted);
            await response.Body.FlushAsync(context.RequestAborted);
            sent += piece.Length;
            if (sent >= fault.CutsAfter)
            {
                // Kestrel sends what it has, and closes; an abort would take back what has not been read yet.
                throw new IOException("The fault that the test asked for.");
            }
        }
    }

    private ReadOnlyMemory<byte> PieceAt(long sent, long end)
    {
        if (Body.Length == 0)
        {
            return new byte[Math.Min(Piece, end - sent)];
        }

        var from = (int)(sent % Body.Length);
        return Body.AsMemory(from, (int)Math.Min(Math.Min(Piece, Body.Length - from), end - sent));
    }
}
