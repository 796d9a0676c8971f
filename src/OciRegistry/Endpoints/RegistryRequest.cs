using System.Diagnostics;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using OciRegistry.Auth;
using OciRegistry.PullThrough;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>What a request does, for switches and policies.</summary>
internal enum RegistryAction
{
    Pull,
    Push,

    /// <summary>Looks where an upload session stands: possible where nothing may change, for who may push.</summary>
    Status,

    /// <summary>Gives up an upload session: possible where nothing may be deleted, not where nothing may change.</summary>
    Cancel,
    Delete,
}

/// <summary>
/// What every request goes through, whatever its endpoint: its id, who may, the switches, and the one place where what went
/// wrong becomes an answer.
/// </summary>
internal sealed partial class RegistryRequest(
    CurrentOptions options, AccessControl access, Drain drain, AuditLog audit, RegistryMetrics metrics, ILogger<RegistryRequest> log)
{
    public const string IdHeader = "X-Request-Id";

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    // The head of one has up to 32 KiB, which are twice as many in memory, and one HTTP/2 connection has a hundred. So heads take no more
    // than half of the memory.
    internal static readonly long MostAtOnce = Math.Max(1_000, ProcessMemory.Available / (128 * 1024));

    public bool IsAllowed(RegistryAction action) =>
        action is RegistryAction.Pull or RegistryAction.Status
        || (!options.Value.ReadOnly && (action != RegistryAction.Delete || options.Value.Deletes.Enabled));

    public async Task InvokeAsync(
        HttpContext context,
        string route,
        RegistryAction action,
        Access needs,
        IEnumerable<string> allowedMethods,
        RequestDelegate handle)
    {
        options.Hold();
        var started = Stopwatch.GetTimestamp();
        var response = context.Response;
        WriteHeaders(context);
        using var running = drain.Begin(context);
        CloseWhenDraining(context);
        metrics.RequestStarted();
        if (RegistryTraces.AreWanted)
        {
            context.Features.Get<IHttpActivityFeature>()?.Activity.SetTag(RegistryTraces.RequestId, context.TraceIdentifier);
        }

        try
        {
            if (metrics.RequestsRunning > MostAtOnce)
            {
                context.Response.Headers.RetryAfter = "5";
                await context.WriteErrorAsync(OciError.Unavailable("The registry is answering as many requests as it can. Try again in a few seconds."));
            }
            else if (CrossSite.IsForeignChange(context, options.Value.Hosts, OriginsFor(needs)))
            {
                LogCrossSite(log, context.Request.Method, context.Request.Path, context.Request.Headers.Origin.ToString());
                await context.WriteErrorAsync(OciError.Denied(
                    "A page of another site may not change anything in this registry. If it is a page of yours, its operator must add the "
                    + "host of its address to the setting Hosts, or its origin to Cors:Origins."));
            }
            else if (!await access.AllowsAsync(context, needs))
            {
                // answered
            }
            else if (IsAllowed(action))
            {
                await handle(context);
            }
            else
            {
                await RefuseAsync(context, allowedMethods);
            }
        }
        catch (Exception e) when (
            context.RequestAborted.IsCancellationRequested || e is OperationCanceledException || IsOfConnection(e))
        {
            // The client has left, or is to come again: clients repeat a request that was reset, but not one that was
            // answered with an error status.
            LogClientLeft(log, context.Request.Method, context.Request.Path);
            context.Abort();
        }
        catch (Exception e) when (!response.HasStarted)
        {
            await AnswerAsync(context, e);
        }
        catch (UpstreamBrokeOffException e)
        {
            // Whoever fetches has said why, once for all who read.
            LogBrokeOff(log, context.Request.Method, context.Request.Path, e.Message);
            context.Abort();
        }
        catch (Exception e)
        {
            // A body that is cut off must not look complete (R0.4).
            LogCutOff(log, e, context.Request.Method, context.Request.Path);
            context.Abort();
        }
        finally
        {
            if (action == RegistryAction.Pull && needs.Kind == AccessKind.Repository && HttpMethods.IsGet(context.Request.Method))
            {
                audit.Pulled(context, needs.Repository); // also what was cut off on its way
            }

            metrics.RequestFinished(route, context.Request.Method, response.StatusCode, Stopwatch.GetElapsedTime(started));
        }
    }

    /// <summary>405, with what is allowed here and now.</summary>
    public Task RefuseAsync(HttpContext context, IEnumerable<string> allowedMethods, string? because = null)
    {
        var allowed = string.Join(", ", allowedMethods);
        context.Response.Headers.Allow = allowed;
        var reason = because is not null ? because
            : options.Value.ReadOnly && !HttpMethods.IsGet(context.Request.Method)
            ? "This registry is read-only."
            : HttpMethods.IsDelete(context.Request.Method) && !options.Value.Deletes.Enabled
                ? "Deleting is switched off in this registry."
                : $"There is no {Printable(context.Request.Method)} here.";
        return context.WriteErrorAsync(
            OciError.Unsupported(
                allowed.Length == 0 ? reason : $"{reason} Allowed: {allowed}.", StatusCodes.Status405MethodNotAllowed));
    }

    // A page of another site may use the registry, not administer it.
    private IList<string> OriginsFor(Access needs) =>
        needs.Kind is AccessKind.Admin or AccessKind.Operator ? [] : options.Value.Cors.Origins;

    private static void WriteHeaders(HttpContext context)
    {
        context.Response.Headers[IdHeader] = context.TraceIdentifier;
        if (context.Request.Path.StartsWithSegments("/v2", StringComparison.Ordinal))
        {
            // Old docker clients look for it before they believe that it is a registry, and that what asks for a login is one.
            context.Response.Headers["Docker-Distribution-Api-Version"] = "registry/2.0";
        }
    }

    // HTTP/1.1 has no other way to tell a client that its next request had better go elsewhere; HTTP/2 has GOAWAY.
    private void CloseWhenDraining(HttpContext context)
    {
        if (drain.IsDraining && RequestBody.HasConnectionOfItsOwn(context.Request))
        {
            context.Response.Headers.Connection = "close";
        }
    }

    // The connection may have failed before the request is told: Kestrel says so within what a read or a write throws.
    private static bool IsOfConnection(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is ConnectionResetException or ConnectionAbortedException)
            {
                return true;
            }
        }

        return false;
    }

    private static string Printable(string method) => method.Length <= 32 ? method : method[..32];

    private Task AnswerAsync(HttpContext context, Exception exception)
    {
        context.Response.Clear();
        WriteHeaders(context);
        CloseWhenDraining(context);
        switch (exception)
        {
            case BadHttpRequestException bad:
                return context.WriteErrorAsync(OciError.Unsupported(bad.Message, bad.StatusCode));

            // What Kestrel throws for the size of a chunk that fits into no number.
            case IOException { InnerException: OverflowException }:
                return context.WriteErrorAsync(OciError.Unsupported(exception.Message));

            // What Kestrel throws for a value of a trailer whose bytes are no text.
            case InvalidOperationException when exception.StackTrace?.Contains(".OnTrailer(", StringComparison.Ordinal) == true:
                RequestBody.CloseAfter(context); // else Kestrel reads on, and tells the same as an error of its own
                return context.WriteErrorAsync(OciError.Unsupported(
                    "The body ends with a trailer whose bytes are no text. Send none: trailers are not read here."));

            // A body that breaks HTTP/2, as one with less than its Content-Length: the type of what says so is Kestrel's own.
            case IOException { InnerException: { } broken }
                when broken.GetType().Namespace?.StartsWith("Microsoft.AspNetCore.Server.Kestrel", StringComparison.Ordinal) == true:
                return context.WriteErrorAsync(OciError.Unsupported(exception.Message));

            case StorageException { IsFull: true }:
                metrics.StorageWasFull();
                LogStorageFailed(log, exception, context.Request.Method, context.Request.Path);
                context.Response.Headers.RetryAfter = "30";
                return context.WriteErrorAsync(OciError.Unavailable(
                    "The registry's storage is full. Ask its operator to make room, then try again.",
                    StatusCodes.Status507InsufficientStorage));

            case StorageException { IsRefused: true }:
                metrics.StorageFailed(context.Request.Method);
                LogStorageFailed(log, exception, context.Request.Method, context.Request.Path);
                return Unavailable(
                    context, "The registry's storage refuses access. Its operator must give the registry permission to write to it.");

            case StorageException { IsDamaged: true }:
                metrics.StorageFailed(context.Request.Method);
                LogStorageFailed(log, exception, context.Request.Method, context.Request.Path);
                return Unavailable(context, exception.Message);

            case StorageException:
                metrics.StorageFailed(context.Request.Method);
                LogStorageFailed(log, exception, context.Request.Method, context.Request.Path);
                return Unavailable(context, "The registry's storage does not answer. Try again in a few seconds.");

            case UpstreamBrokeOffException:
                return Unavailable(context, $"The content could not be fetched from where it comes: {exception.Message}");

            case IssuerDownException:
                return Unavailable(context, exception.Message);

            default:
                LogUnexpected(log, exception, context.Request.Method, context.Request.Path);
                return Unavailable(
                    context,
                    "The registry failed on this request. Try again; if it persists, give its operator the request id.");
        }
    }

    private static Task Unavailable(HttpContext context, string message)
    {
        context.Response.Headers.RetryAfter =
            ((int)RetryAfter.TotalSeconds).ToString(System.Globalization.CultureInfo.InvariantCulture);
        return context.WriteErrorAsync(OciError.Unavailable(message));
    }

    [LoggerMessage(LogLevel.Debug, "{Method} {Path}: the connection was closed before the answer.")]
    private static partial void LogClientLeft(ILogger logger, string method, PathString path);

    [LoggerMessage(LogLevel.Information, "{Method} {Path} rejected: a browser sent it for a page of another site, '{Origin}'.")]
    private static partial void LogCrossSite(ILogger logger, string method, PathString path, string origin);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} was cut off while it was being answered.")]
    private static partial void LogCutOff(ILogger logger, Exception exception, string method, PathString path);

    [LoggerMessage(LogLevel.Warning, "{Method} {Path} was cut off with what it was fetched from: {Problem}")]
    private static partial void LogBrokeOff(ILogger logger, string method, PathString path, string problem);

    [LoggerMessage(LogLevel.Error, "{Method} {Path}: the storage failed.")]
    private static partial void LogStorageFailed(ILogger logger, Exception exception, string method, PathString path);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed.")]
    private static partial void LogUnexpected(ILogger logger, Exception exception, string method, PathString path);
}
