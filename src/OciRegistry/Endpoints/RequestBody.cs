using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;

namespace OciRegistry.Endpoints;

/// <summary>The bodies of requests, which may be layers.</summary>
internal static class RequestBody
{
    // The answer to a refused chunk of an image's layer is to be seen by clients that send it to its end first.
    private const long MostRefused = 32 * 1024 * 1024;

    private static readonly TimeSpan RefusedPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Linger = TimeSpan.FromSeconds(2);

    /// <summary>For who may pause for some time, and not for ever.</summary>
    public static MinDataRate PatientRate { get; } = new(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(100));

    /// <summary>Layers have no size limit, and clients may pause: a disk behind them, a suspended laptop.</summary>
    public static void LiftLimits(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            // In HTTP/2 the rate belongs to the connection: a request can only be let off it.
            rate.MinDataRate = HasConnectionOfItsOwn(context.Request)
                ? PatientRate
                : null;
        }
    }

    /// <summary>
    /// Whether nothing else uses the connection while this request is being answered: HTTP/1.x. In HTTP/2 and later a
    /// request must not change what holds for the connection, because it changes that for other requests.
    /// </summary>
    public static bool HasConnectionOfItsOwn(HttpRequest request) =>
        HttpProtocol.IsHttp11(request.Protocol) || HttpProtocol.IsHttp10(request.Protocol);

    /// <summary>A small body as JSON; false when it cannot be read, and the request has been answered with why.</summary>
    /// <param name="context">The request.</param>
    /// <param name="type">What it is to be.</param>
    /// <param name="maxBytes">How much it may have.</param>
    /// <param name="problem">What is wrong then, as in "The robot is not described by JSON that can be read".</param>
    public static async ValueTask<(bool IsRead, T? Value)> ReadJsonAsync<T>(
        HttpContext context, JsonTypeInfo<T> type, int maxBytes, string problem)
    {
        var bodies = context.RequestServices.GetRequiredService<BufferedBodies>();
        if (await bodies.ReadAsync(context, maxBytes, TooLarge(maxBytes)) is not { } content)
        {
            return (false, default);
        }

        try
        {
            return (true, JsonSerializer.Deserialize(content.Span, type));
        }
        catch (JsonException e)
        {
            await context.WriteErrorAsync(OciError.Unsupported($"{problem}: {e.Message}"));
            return (false, default);
        }
    }

    public static OciError TooLarge(int limit) => OciError.Unsupported(
        $"The body is larger than the {limit} bytes that are read here.", StatusCodes.Status413PayloadTooLarge);

    /// <summary>
    /// Reads all that is left of it: many clients read no answer before they have sent everything, and Kestrel itself closes the
    /// connection after 5 s of that.
    /// </summary>
    public static async ValueTask DrainAsync(HttpContext context)
    {
        LiftLimits(context);
        await DrainAsync(context, long.MaxValue, context.RequestAborted);
    }

    /// <summary>
    /// The same for who is refused: at most 32 MiB, for at most 30 s. Whoever sends more is closed on; whoever asks for something
    /// has no body to send.
    /// </summary>
    public static async ValueTask DrainRefusedAsync(HttpContext context)
    {
        if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }

        LiftLimits(context);
        var time = context.RequestServices.GetRequiredService<TimeProvider>();
        using var patience = new CancellationTokenSource(RefusedPatience, time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, patience.Token);
        try
        {
            if (await DrainAsync(context, MostRefused, ending.Token))
            {
                return;
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // as with too many bytes
        }

        CloseAfter(context);
    }

    /// <summary>
    /// Ends the connection behind the answer, with nothing more read from it than what fits into its buffers: the client has some
    /// seconds to see the answer. In HTTP/2 only the stream ends, which needs nothing.
    /// </summary>
    public static void CloseAfter(HttpContext context)
    {
        if (!HasConnectionOfItsOwn(context.Request))
        {
            return;
        }

        context.Response.Headers.Connection = "close";
        context.Response.OnCompleted(static async state =>
        {
            // Kestrel would read on for 5 s, as fast as the client sends.
            var context = (HttpContext)state;
            var time = context.RequestServices.GetRequiredService<TimeProvider>();
            await Task.Delay(Linger, time, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            context.Abort();
        }, context);
    }

    /// <returns>Whether its end has come.</returns>
    private static async ValueTask<bool> DrainAsync(HttpContext context, long most, CancellationToken cancellationToken)
    {
        var body = context.Request.BodyReader;
        for (var drained = 0L; drained <= most;)
        {
            var read = await body.ReadAsync(cancellationToken);
            drained += read.Buffer.Length;
            body.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return true;
            }
        }

        return false;
    }
}
