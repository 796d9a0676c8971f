using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using OciRegistry.Coordination;
using OciRegistry.Endpoints;
using OciRegistry.Storage;

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

    /// <summary>
    /// 503 while the storage cannot be reached or written to, or the server is stopping, else 200: also while the lock service
    /// does not work, which is <c>degraded</c>, for requests go on without locks. Likewise while this machine's clock is off:
    /// what is deleted by age uses the storage's clock, and a storage whose clock is wrong would take all replicas out at once.
    /// The body says what is wrong with which component.
    /// </summary>
    public static async Task GetReady(
        HttpContext context, Readiness readiness, IRegistryLocks locks, StoreClock clock, Drain drain, RegistryMetrics metrics)
    {
        var server = drain.IsDraining
            ? $"The server was told to stop. Requests that run: {drain.Running}. Send new ones to another replica."
            : null;
        var storage = await readiness.StorageProblemAsync();
        var lockService = locks.Problem;
        var clocks = clock.Problem;
        var status = (lockService ?? clocks ?? storage?.Message) is null ? "ready" : "degraded";
        var code = StatusCodes.Status200OK;
        if (storage is { IsFull: false })
        {
            (status, code) = ("unavailable", StatusCodes.Status503ServiceUnavailable);
            context.Response.Headers.RetryAfter = "5";
        }

        if (server is not null)
        {
            (status, code) = ("draining", StatusCodes.Status503ServiceUnavailable);
        }

        metrics.ReadinessTold(code == StatusCodes.Status200OK);
        var components = new JsonObject
        {
            ["server"] = Component(server, "draining"),
            ["storage"] = Component(storage?.Message, storage is { IsFull: true } ? "degraded" : "unavailable"),
            ["locks"] = Component(lockService, "degraded"),
            ["clock"] = Component(clocks, "degraded"),
        };
        await WriteAsync(context, code, new JsonObject { ["status"] = status, ["components"] = components });
    }

    public static Task GetMetrics(HttpContext context, PrometheusText metrics) =>
        WriteAsync(context, StatusCodes.Status200OK, PrometheusText.ContentType, metrics.Render());

    private static JsonObject Component(string? problem, string statusThen) => problem is null
        ? new JsonObject { ["status"] = "ready" }
        : new JsonObject { ["status"] = statusThen, ["message"] = problem };

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
