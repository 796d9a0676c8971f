using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace OciRegistry.Endpoints;

/// <summary>
/// Ends the requests when the server is told to stop: it is announced, they go on, and those that still run at the deadline
/// break off as if their client had left. What an upload has is on record then, before its connection is reset.
/// </summary>
/// <remarks>
/// The host stops its services in this order: <see cref="StoppingAsync"/>, which returns when the announcement is over; the
/// server, which accepts nothing more and waits for what runs; then all others. A host whose time is up earlier aborts the
/// connections itself, which the requests take for clients that have left.
/// </remarks>
internal sealed partial class Drain(
    IOptions<OciRegistryOptions> options, RegistryMetrics metrics, TimeProvider time, ILogger<Drain> log)
    : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _deadline = new(); // or the end of somebody's patience
    private ITimer? _timer;
    private volatile bool _isStopping;

    /// <summary>Whether the server was told to stop.</summary>
    public bool IsDraining => _isStopping;

    /// <summary>Requests that run.</summary>
    public long Running => metrics.RequestsRunning;

    /// <summary>To be disposed at the end of the request, which the deadline ends until then.</summary>
    public Request Begin(HttpContext context) => new(this, context);

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (_isStopping)
        {
            return; // a host may be stopped twice
        }

        _isStopping = true;
        var (announce, deadline) = (options.Value.Drain.Announce, options.Value.Drain.Deadline);
        if (announce > TimeSpan.Zero)
        {
            LogAnnounced(log, announce);
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _deadline.Token);
            await Task.Delay(announce, time, ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (Running > 0)
        {
            LogWaiting(log, Running, deadline);
        }

        _timer = time.CreateTimer(static drain => ((Drain)drain!).EndAll(), this, deadline, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Ends the announcement and all requests that run, deadline or not, once.</summary>
    public void EndAll()
    {
        if (!_deadline.IsCancellationRequested)
        {
            if (Running > 0)
            {
                LogEnded(log, Running);
            }

            _deadline.Cancel();
        }
    }

    // The source of the deadline has nothing to dispose of, and may still be cancelled by whoever is impatient.
    public void Dispose() => _timer?.Dispose();

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(LogLevel.Information, "Stopping: not ready any more. Requests are still accepted for {Announce}.")]
    private static partial void LogAnnounced(ILogger logger, TimeSpan announce);

    [LoggerMessage(LogLevel.Information, "Stopping: the requests that run, {Running} of them, may go on for {Deadline}.")]
    private static partial void LogWaiting(ILogger logger, long running, TimeSpan deadline);

    [LoggerMessage(
        LogLevel.Warning,
        "Stopping: the requests that still run, {Running} of them, are ended. What has arrived of uploads is recorded; then the connections are reset.")]
    private static partial void LogEnded(ILogger logger, long running);

    /// <summary>One that runs.</summary>
    internal readonly struct Request : IDisposable
    {
        private readonly HttpContext _context;
        private readonly CancellationTokenRegistration _abort;
        private readonly CancellationTokenSource? _ending;
        private readonly CancellationToken _left;

        public Request(Drain drain, HttpContext context)
        {
            _context = context;
            if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method))
            {
                // Nothing to record; and whoever waits for a slow reader waits in the connection.
                _abort = drain._deadline.Token.UnsafeRegister(static context => ((HttpContext)context!).Abort(), context);
            }
            else
            {
                // Whatever is done when a client leaves is done, and after it the connection is reset.
                _left = context.RequestAborted;
                _ending = CancellationTokenSource.CreateLinkedTokenSource(_left, drain._deadline.Token);
                context.RequestAborted = _ending.Token;
            }
        }

        public void Dispose()
        {
            _abort.Dispose();
            if (_ending is not null)
            {
                _context.RequestAborted = _left;
                _ending.Dispose();
            }
        }
    }
}
