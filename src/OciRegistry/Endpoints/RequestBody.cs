using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace OciRegistry.Endpoints;

/// <summary>The bodies of requests, which may be layers.</summary>
internal static class RequestBody
{
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
    /// <param name="maxBytes">How much of it is read.</param>
    /// <param name="problem">What is wrong then, as in "The robot is not described by JSON that can be read".</param>
    public static async ValueTask<(bool IsRead, T? Value)> ReadJsonAsync<T>(
        HttpContext context, JsonTypeInfo<T> type, long maxBytes, string problem)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = maxBytes;
        }

        try
        {
            return (true, await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted));
        }
        catch (JsonException e)
        {
            await context.WriteErrorAsync(OciError.Unsupported($"{problem}: {e.Message}"));
            return (false, default);
        }
    }

    /// <summary>
    /// Reads what is left of it: many clients read no answer before they have sent everything, and Kestrel itself closes the
    /// connection after 5 s of that.
    /// </summary>
    public static async ValueTask DrainAsync(HttpContext context)
    {
        LiftLimits(context);
        var body = context.Request.BodyReader;
        for (var finished = false; !finished;)
        {
            var read = await body.ReadAsync(context.RequestAborted);
            body.AdvanceTo(read.Buffer.End);
            finished = read.IsCompleted;
        }
    }
}
