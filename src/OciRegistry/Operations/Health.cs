using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OciRegistry.Coordination;
using OciRegistry.Endpoints;
using OciRegistry.Storage;

namespace OciRegistry.Operations;

/// <summary>The state of each component, as <c>/readyz</c> and the admin API return it.</summary>
/// <remarks>
/// What is wrong names paths and addresses, so <c>/readyz</c>, which anybody may ask, has each component's state alone. The sentence
/// goes to the log, when the state changes, and to operators.
/// </remarks>
internal sealed partial class Health(
    Readiness readiness, IRegistryLocks locks, StoreClock clock, Drain drain, RegistryMetrics metrics, ILogger<Health> log)
{
    private const string Ready = "ready";
    private const string Degraded = "degraded";
    private const string Unavailable = "unavailable";
    private const string Draining = "draining";

    private string _logged = Ready;

    /// <summary>
    /// 503 while the storage cannot be reached or written to, or the server is stopping, else 200: also while the lock service
    /// does not work, which is <c>degraded</c>, for requests go on without locks. Likewise while this machine's clock is off:
    /// what is deleted by age uses the storage's clock, and a storage whose clock is wrong would take all replicas out at once.
    /// </summary>
    public async Task GetReady(HttpContext context)
    {
        var (status, code, components) = await LookAsync();
        metrics.ReadinessTold(code == StatusCodes.Status200OK);
        if (status == Unavailable)
        {
            context.Response.Headers.RetryAfter = "5";
        }

        await WriteAsync(context, code, status, components, withProblems: false);
    }

    /// <summary>The same with what is wrong, and what to do about it. 200 in any state.</summary>
    public async Task GetDetails(HttpContext context)
    {
        var (status, _, components) = await LookAsync();
        await WriteAsync(context, StatusCodes.Status200OK, status, components, withProblems: true);
    }

    private async ValueTask<(string Status, int Code, Component[] Components)> LookAsync()
    {
        var storage = await readiness.StorageProblemAsync();
        var server = drain.IsDraining
            ? $"The server was told to stop. Requests that run: {drain.Running}. Send new ones to another replica."
            : null;
        var found = new Component(
            "storage", storage is null ? Ready : storage.IsFull ? Degraded : Unavailable, storage?.Message);
        Component[] components =
        [
            new("server", server is null ? Ready : Draining, server),
            found,
            new("locks", locks.Problem is null ? Ready : Degraded, locks.Problem),
            new("clock", clock.Problem is null ? Ready : Degraded, clock.Problem),
        ];
        LogChange(found); // the others log theirs by themselves
        var status = server is not null ? Draining
            : components.Any(component => component.Status == Unavailable) ? Unavailable
            : components.Any(component => component.Status != Ready) ? Degraded
            : Ready;
        return (status, status is Ready or Degraded ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, components);
    }

    private void LogChange(Component storage)
    {
        if (Interlocked.Exchange(ref _logged, storage.Status) == storage.Status)
        {
            return;
        }

        if (storage.Problem is null)
        {
            LogReady(log);
        }
        else
        {
            LogProblem(log, storage.Status, storage.Problem);
        }
    }

    private static Task WriteAsync(HttpContext context, int code, string status, Component[] components, bool withProblems)
    {
        var shown = new JsonObject();
        foreach (var component in components)
        {
            shown[component.Name] = new JsonObject { ["status"] = component.Status };
            if (withProblems && component.Problem is not null)
            {
                shown[component.Name]!["message"] = component.Problem;
            }
        }

        return OperationsEndpoints.WriteAsync(context, code, new JsonObject { ["status"] = status, ["components"] = shown });
    }

    /// <param name="Name">As in the answer.</param>
    /// <param name="Status">As in the answer.</param>
    /// <param name="Problem">What is wrong and what to do about it; null when it is ready.</param>
    private sealed record Component(string Name, string Status, string? Problem);

    [LoggerMessage(LogLevel.Warning, "The storage is {Status}: {Problem}", EventName = "StorageImpaired")]
    private static partial void LogProblem(ILogger logger, string status, string problem);

    [LoggerMessage(LogLevel.Information, "The storage is ready again.", EventName = "StorageRecovered")]
    private static partial void LogReady(ILogger logger);
}
