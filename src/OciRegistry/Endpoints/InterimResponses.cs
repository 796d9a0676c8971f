using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// Sends <c>100 Continue</c> every 5 s while a push is in progress, so that a client with a read timeout does not repeat a request that
/// waits for the storage. Only Jib gets it: see <c>Uploads/README.md</c> for the clients and proxies that it would break.
/// </summary>
/// <remarks>
/// Kestrel has no means to send it, so the bytes go to the pipe that Kestrel itself writes the response to: above TLS, if there is any.
/// They cannot meet the response:
///
///   (1) HTTP/1.1 only          the connection has no other response in progress
///   (2) no Expect header       Kestrel writes nothing but the response
///   (3) OnStarting             Kestrel awaits the last interim response before the first byte of the response
///   (4) finally                covers a response that Kestrel makes itself, which calls no OnStarting
/// </remarks>
internal sealed class InterimResponses(CurrentOptions options, TimeProvider time)
{
    // A quarter of Jib's read timeout.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    private static readonly byte[] Continue = "HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray();

    // nginx takes an interim response for the final one. What proxies add, and what ASP.NET Core renames it to.
    private static readonly string[] ProxyHeaders = ["Via", "Forwarded", "X-Forwarded-", "X-Original-", "X-Real-IP", "X-Envoy-"];

    /// <summary>Runs a handler of a push, with interim responses if its client bears them.</summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate handle) =>
        OutputTo(context) is { } output ? InvokeAsync(context, output, handle) : handle(context);

    private async Task InvokeAsync(HttpContext context, PipeWriter output, RequestDelegate handle)
    {
        using var timer = new PeriodicTimer(Interval, time);
        var sending = SendAsync(context, output, timer);
        context.Response.OnStarting(StopAsync);
        try
        {
            await handle(context);
        }
        finally
        {
            await StopAsync();
        }

        Task StopAsync()
        {
            timer.Dispose();
            return sending;
        }
    }

    private async Task SendAsync(HttpContext context, PipeWriter output, PeriodicTimer timer)
    {
        while (await timer.WaitForNextTickAsync() && !context.RequestAborted.IsCancellationRequested)
        {
            using var patience = new CancellationTokenSource(RequestBody.PatientRate.GracePeriod, time);
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, patience.Token);
            try
            {
                await output.WriteAsync(Continue, ending.Token);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or InvalidOperationException)
            {
                context.Abort(); // a part of it may have been sent: nothing may follow
                return;
            }
        }
    }

    /// <summary>The pipe to the client; null if the client gets no interim responses.</summary>
    private PipeWriter? OutputTo(HttpContext context)
    {
        var request = context.Request;
        return request.Headers.UserAgent.ToString().StartsWith("jib ", StringComparison.OrdinalIgnoreCase)
            && HttpProtocol.IsHttp11(request.Protocol)
            && request.Headers.Expect.Count == 0
            && options.Value.Uploads.InterimResponses
            && !request.Headers.Keys.Any(name => ProxyHeaders.Any(begin => name.StartsWith(begin, StringComparison.OrdinalIgnoreCase)))
            ? context.Features.Get<IConnectionTransportFeature>()?.Transport.Output
            : null;
    }
}
