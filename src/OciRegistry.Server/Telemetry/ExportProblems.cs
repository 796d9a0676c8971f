using System.Diagnostics.Tracing;
using System.Globalization;

namespace OciRegistry.Server.Telemetry;

/// <summary>
/// Says now and then that the collector does not take what it is sent: by itself the library keeps that to itself. Nothing
/// else comes of it.
/// </summary>
internal sealed partial class ExportProblems(TimeProvider time, ILogger<ExportProblems> log) : IHostedService, IDisposable
{
    internal static readonly TimeSpan Silence = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private Listener? _listener;
    private long? _saidAt;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _listener = new Listener(Say);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _listener?.Dispose();

    internal void Say(string problem)
    {
        lock (_lock)
        {
            if (_saidAt is { } at && time.GetElapsedTime(at) < Silence)
            {
                return;
            }

            _saidAt = time.GetTimestamp();
        }

        LogProblem(log, problem.Split('\n')[0].Trim());
    }

    [LoggerMessage(
        LogLevel.Warning,
        "The OpenTelemetry collector does not take traces or metrics, which are lost meanwhile; the registry goes on. Check "
        + "OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL. {Problem}")]
    private static partial void LogProblem(ILogger logger, string problem);

    private sealed class Listener(Action<string> say) : EventListener
    {
        // Called from the base's constructor already, for sources that there are: it may use nothing of ours.
        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name.StartsWith("OpenTelemetry-Exporter-", StringComparison.Ordinal))
            {
                EnableEvents(eventSource, EventLevel.Warning);
            }
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData) => say(string.Format(
            CultureInfo.InvariantCulture, eventData.Message ?? eventData.EventName ?? "", [.. eventData.Payload ?? []]));
    }
}
