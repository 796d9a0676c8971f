using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace OciRegistry.Server.Telemetry;

/// <summary>
/// One line for each thing that is logged, as <c>simple</c> writes it, and which request it is about: its id, as the client
/// has it, and that of its trace, if it is part of one that somebody follows. Nothing that a client sends makes a second line.
/// </summary>
internal sealed class LogLineFormatter(IOptionsMonitor<SimpleConsoleFormatterOptions> options, TimeProvider time) : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "line";

    // Kestrel tells it as an error when it reads on behind an answer and finds a trailer whose bytes are no text: anybody can send that.
    private const int UnreadableTrailer = 67;

    private const string RequestId = "RequestId"; // of the framework's scope around each request

    public static void Configure(WebApplicationBuilder builder) =>
        builder.Logging.AddConsoleFormatter<LogLineFormatter, SimpleConsoleFormatterOptions>();

    public override void Write<TState>(
        in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        if (logEntry is { Category: "Microsoft.AspNetCore.Server.Kestrel", EventId.Id: UnreadableTrailer, Exception: InvalidOperationException })
        {
            return;
        }

        var message = logEntry.Formatter(logEntry.State, logEntry.Exception);
        if (options.CurrentValue is { TimestampFormat: { } format } at)
        {
            var now = at.UseUtcTimestamp ? time.GetUtcNow() : time.GetLocalNow();
            textWriter.Write(now.ToString(format, CultureInfo.InvariantCulture));
        }

        textWriter.Write(LevelOf(logEntry.LogLevel));
        textWriter.Write(": ");
        textWriter.Write(logEntry.Category);
        textWriter.Write($"[{logEntry.EventId.Id}] ");
        WriteOnOneLine(textWriter, message);
        WriteOrigin(textWriter, message, scopeProvider);
        if (logEntry.Exception is { } exception)
        {
            textWriter.Write(' ');
            WriteOnOneLine(textWriter, exception.ToString());
        }

        textWriter.Write('\n');
    }

    private static void WriteOrigin(TextWriter text, string message, IExternalScopeProvider? scopes)
    {
        // The audit log's lines have it in them.
        var request = RequestOf(scopes) is { } id && !message.Contains(id, StringComparison.Ordinal) ? $"request {id}" : null;
        var trace = Activity.Current is { } activity && (activity.Recorded || activity.HasRemoteParent)
            ? $"trace {activity.TraceId}"
            : null;
        var origin = string.Join(' ', new[] { request, trace }.OfType<string>());
        if (origin.Length > 0)
        {
            text.Write($" [{origin}]");
        }
    }

    private static string? RequestOf(IExternalScopeProvider? scopes)
    {
        var found = new Found();
        scopes?.ForEachScope(
            static (scope, found) =>
            {
                if (scope is IReadOnlyList<KeyValuePair<string, object?>> values)
                {
                    found.Id = values.FirstOrDefault(value => value.Key == RequestId).Value?.ToString() ?? found.Id;
                }
            },
            found);
        return found.Id;
    }

    private static void WriteOnOneLine(TextWriter text, string message)
    {
        foreach (var c in message)
        {
            text.Write(char.IsControl(c) ? ' ' : c);
        }
    }

    private static string LevelOf(LogLevel level) => level switch
    {
        LogLevel.Trace => "trce",
        LogLevel.Debug => "dbug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };

    private sealed class Found
    {
        public string? Id { get; set; }
    }
}
