using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// Stands between registries and Azurite: counts what they ask for, and does to it what networks and busy services do.
/// </summary>
internal sealed class AzuriteProxy : IAsyncDisposable
{
    private static readonly string[] Hop = ["Connection", "Transfer-Encoding", "Keep-Alive", "Host"];

    private readonly ConcurrentDictionary<string, DateTimeOffset> _visible = [];
    private readonly ConcurrentQueue<StoreRequest> _requests = [];
    private readonly List<HeldCall> _held = [];
    private readonly HttpClient _azurite;
    private readonly WebApplication _app;

    private AzuriteProxy(AzuriteServer server)
    {
        _azurite = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false })
        {
            BaseAddress = new Uri($"http://127.0.0.1:{server.Port}"),
            Timeout = Timeout.InfiniteTimeSpan,
        };
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Limits.MaxRequestBodySize = null;
        });
        _app = builder.Build();
        _app.Run(ForwardAsync);
    }

    /// <summary>What happens to a request; null for nothing. Called for one after the other.</summary>
    public Func<StoreRequest, StoreFault?>? Faults { get; set; }

    /// <summary>How long after it was written new content is not found; null for at once.</summary>
    public Func<TimeSpan>? HidesNewContentFor { get; set; }

    /// <summary>What answers say the time is; null for the truth.</summary>
    public DateTimeOffset? Date { get; set; }

    public string ConnectionString => AzuriteServer.ConnectionStringAt(Port);

    public int Port => new Uri(_app.Urls.Single()).Port;

    /// <summary>
    /// Holds the first call that matches, until it is released: then it reaches the storage, whether its client still
    /// waits or has long made it again.
    /// </summary>
    public HeldCall Hold(Func<StoreRequest, bool> which)
    {
        var held = new HeldCall(which);
        lock (_requests)
        {
            _held.Add(held);
        }

        return held;
    }

    /// <summary>All requests since it was last asked.</summary>
    public List<StoreRequest> TakeRequests()
    {
        var taken = new List<StoreRequest>();
        while (_requests.TryDequeue(out var request))
        {
            taken.Add(request);
        }

        return taken;
    }

    public static async Task<AzuriteProxy> StartAsync(AzuriteServer? server = null)
    {
        var proxy = new AzuriteProxy(server ?? await AzuriteServer.SharedAsync());
        await proxy._app.StartAsync();
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _azurite.Dispose();
    }

    private async Task ForwardAsync(HttpContext context)
    {
        var request = StoreRequest.Of(context.Request);
        StoreFault fault;
        HeldCall? held;
        lock (_requests)
        {
            _requests.Enqueue(request);
            held = _held.Find(call => call.TryTake(request));
            fault = Faults?.Invoke(request) ?? new StoreFault();
        }

        await Task.Delay(fault.Delay, context.RequestAborted);
        if (fault.Status is { } status)
        {
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            Answer(context, status, fault.Code);
            return;
        }

        if (request is { Operation: "Get Blob" or "Get Blob Properties" } && IsHidden(request.Blob))
        {
            Answer(context, StatusCodes.Status404NotFound, "BlobNotFound");
            return;
        }

        var body = context.Request.Body;
        if (held is not null)
        {
            body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            body.Position = 0;
            await held.WaitAsync(request);
        }

        using var forwarded = new HttpRequestMessage(
            new HttpMethod(context.Request.Method),
            context.Features.Get<IHttpRequestFeature>()!.RawTarget)
        {
            Content = context.Request.ContentLength is null ? null : new StreamContent(body),
        };
        foreach (var (name, value) in context.Request.Headers.Where(header => !Hop.Contains(header.Key)))
        {
            if (!forwarded.Headers.TryAddWithoutValidation(name, [.. value]))
            {
                forwarded.Content?.Headers.TryAddWithoutValidation(name, [.. value]);
            }
        }

        // What it does it does, whoever waits for it.
        using var answer = await _azurite.SendAsync(forwarded, HttpCompletionOption.ResponseHeadersRead, CancellationToken.None);
        held?.Land((int)answer.StatusCode);
        if (request is { IsContent: true, Operation: "Put Blob" or "Put Block List" }
            && answer.IsSuccessStatusCode
            && HidesNewContentFor is { } hides)
        {
            _visible.TryAdd(request.Blob, DateTimeOffset.UtcNow + hides());
        }

        if (fault.After is { } after)
        {
            await after();
        }

        if (fault.LosesAnswer)
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = (int)answer.StatusCode;
        foreach (var (name, value) in answer.Headers.Concat(answer.Content.Headers).Where(header => !Hop.Contains(header.Key)))
        {
            context.Response.Headers[name] = value.ToArray();
        }

        if (Date is { } date)
        {
            context.Response.Headers.Date = date.ToString("R", CultureInfo.InvariantCulture);
        }

        await using var answered = await answer.Content.ReadAsStreamAsync();
        if (fault.BreaksAfter is not { } limit)
        {
            await answered.CopyToAsync(context.Response.Body, context.RequestAborted);
            return;
        }

        var buffer = new byte[64 * 1024];
        while (limit > 0 && await answered.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, limit))) is > 0 and var read)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
            limit -= read;
        }

        await context.Response.Body.FlushAsync();
        context.Abort();
    }

    private bool IsHidden(string blob) => _visible.TryGetValue(blob, out var from) && DateTimeOffset.UtcNow < from;

    private static void Answer(HttpContext context, int status, string code)
    {
        context.Response.StatusCode = status;
        context.Response.Headers["x-ms-error-code"] = code;
        context.Response.Headers["x-ms-request-id"] = Guid.NewGuid().ToString();
        context.Response.Headers.ContentLength = 0;
    }
}
