using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

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

    /// <summary>200, or 503 while the storage cannot be reached or written to; the body says what is wrong.</summary>
    public static async Task GetReady(HttpContext context, Readiness readiness)
    {
        var problem = await readiness.StorageProblemAsync();
        var status = problem is null ? "ready" : "unavailable";
        var storage = new JsonObject { ["status"] = status };
        if (problem is not null)
        {
            storage["message"] = problem;
            context.Response.Headers.RetryAfter = "5";
        }

        var body = new JsonObject { ["status"] = status, ["components"] = new JsonObject { ["storage"] = storage } };
        var code = problem is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        await WriteAsync(context, code, body);
    }

    public static Task GetMetrics(HttpContext context, PrometheusText metrics) =>
        WriteAsync(context, StatusCodes.Status200OK, PrometheusText.ContentType, metrics.Render());

    private static Task WriteAsync(HttpContext context, int status, JsonObject body) =>
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
