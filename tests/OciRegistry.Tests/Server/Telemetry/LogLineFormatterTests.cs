using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;
using OciRegistry.Server.Telemetry;

namespace OciRegistry.Tests.Server.Telemetry;

public sealed class LogLineFormatterTests
{
    private readonly LoggerExternalScopeProvider _scopes = new();

    [Fact]
    public void A_line_has_time_level_category_and_text() =>
        Written("text").ShouldBe("2026-01-01T00:00:00Z warn: Category[7] text\n");

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\rb")]
    [InlineData("a\u001bb")]
    [InlineData("a\u0085b")]
    [InlineData("a\0b")]
    public void Nothing_that_is_logged_begins_another_line_or_speaks_to_the_terminal(string text) =>
        Written(text, new InvalidOperationException(text)).ShouldBe(
            "2026-01-01T00:00:00Z warn: Category[7] a b System.InvalidOperationException: a b\n");

    [Fact]
    public void The_request_is_that_of_the_innermost_scope_that_names_one()
    {
        using var outer = _scopes.Push(Scope("RequestId", "outer"));
        using var inner = _scopes.Push(Scope("RequestId", "inner"));
        using var other = _scopes.Push(Scope("RequestPath", "/v2/"));
        using var text = _scopes.Push("RequestId");

        Written("text").ShouldEndWith(" text [request inner]\n");
        Written("text of inner").ShouldEndWith(" text of inner\n");
    }

    [Fact]
    public void A_trace_that_nobody_follows_is_not_named()
    {
        using var activity = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();
        Written("text").ShouldEndWith(" text\n");

        activity.ActivityTraceFlags = ActivityTraceFlags.Recorded;

        Written("text").ShouldEndWith($" text [trace {activity.TraceId}]\n");
    }

    [Fact]
    public void What_anybody_can_have_Kestrel_tell_as_its_error_is_left_out()
    {
        const string kestrel = "Microsoft.AspNetCore.Server.Kestrel";

        Written("text", new InvalidOperationException("a"), kestrel, 67).ShouldBeEmpty();
        Written("text", new InvalidOperationException("a"), kestrel, 13).ShouldNotBeEmpty();
        Written("text", new IOException("a"), kestrel, 67).ShouldNotBeEmpty();
    }

    private static KeyValuePair<string, object?>[] Scope(string name, string value) => [new(name, value)];

    private string Written(string message, Exception? exception = null, string category = "Category", int id = 7)
    {
        var formatter = new LogLineFormatter(
            new Settings(new SimpleConsoleFormatterOptions { TimestampFormat = "yyyy-MM-ddTHH:mm:ssZ ", UseUtcTimestamp = true }),
            new NewYear());
        using var text = new StringWriter();
        var entry = new LogEntry<string>(LogLevel.Warning, category, id, message, exception, static (state, _) => state);
        formatter.Write(entry, _scopes, text);
        return text.ToString();
    }

    private sealed class NewYear : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    }

    private sealed class Settings(SimpleConsoleFormatterOptions options) : IOptionsMonitor<SimpleConsoleFormatterOptions>
    {
        public SimpleConsoleFormatterOptions CurrentValue => options;

        public SimpleConsoleFormatterOptions Get(string? name) => options;

        public IDisposable? OnChange(Action<SimpleConsoleFormatterOptions, string?> listener) => null;
    }
}
