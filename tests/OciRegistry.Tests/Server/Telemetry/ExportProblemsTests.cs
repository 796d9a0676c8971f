using Microsoft.Extensions.Logging;
using OciRegistry.Server.Telemetry;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server.Telemetry;

public sealed class ExportProblemsTests
{
    [Fact]
    public void A_collector_that_is_away_is_said_now_and_then()
    {
        var time = new ManualTimeProvider();
        using var log = new LogCapture();
        using var logs = new LoggerFactory([log]);
        using var problems = new ExportProblems(time, logs.CreateLogger<ExportProblems>());

        for (var i = 0; i < 100; i++)
        {
            problems.Say("Connection refused\n   at a stack trace");
        }

        log.Lines.ShouldHaveSingleItem().ShouldContain("OTEL_EXPORTER_OTLP_PROTOCOL. Connection refused");
        log.Lines.Single().ShouldNotContain("stack trace");

        time.Advance(ExportProblems.Silence);
        problems.Say("Connection refused");

        log.Lines.Count.ShouldBe(2);
    }
}
