using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace OciRegistry.Operations;

/// <summary>What an orchestrator and a monitor ask. None of it may be cached.</summary>
internal static class OperationsEndpoints
{
    /// <summary>
    /// 200 whenever the process answers at all, whatever its storage does: a restart mends no storage, and ends the
    /// uploads that wait for it.
    /// </summary>
    public static Task GetLive(HttpContext context) =>
        WriteAsync(context, StatusCodes.Status200OK, new JsonObject { ["status"] = "live" });

    /// <summary>200 once everything has started, 503 until then.</summary>
    public static Task GetStarted(HttpContext context, IHostApplicationLifetime lifetime) =>
        lifetime.ApplicationStarted.IsCancellationRequested
            ? WriteAsync(context, StatusCodes.Status200OK, new JsonObject { ["status"] = "started" })
            : WriteAsync(context, StatusCodes.Status503ServiceUnavailable, new JsonObject { ["status"] = "starting" });

    public static Task GetMetrics(HttpContext context, PrometheusText metrics) =>
        WriteAsync(context, StatusCodes.Status200OK, PrometheusText.ContentType, metrics.Render());

    public static Task WriteAsync(HttpContext context, int status, JsonObject body) =>
        WriteAsync(context, status, "application/json", body.ToJsonString());

    private static Task WriteAsync(HttpContext context, int status, string contentType, string body)
    {
        var bytes = Encoding.UTF8.GetBytes(body);
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        context.Response.ContentLength = bytes.Length;
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }
}
