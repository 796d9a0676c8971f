using Microsoft.Extensions.Configuration;
using OciRegistry.Server.Telemetry;

namespace OciRegistry.Tests.Server.Telemetry;

public sealed class OtlpSettingsTests
{
    private const string Collector = "http://collector:4317";

    [Theory]
    [InlineData("", false, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=", false, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=" + Collector, true, true)]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + Collector, true, false)]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + Collector, false, true)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=" + Collector + " OTEL_METRICS_EXPORTER=none", true, false)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=" + Collector + " OTEL_TRACES_EXPORTER=none", false, true)]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=" + Collector + " OTEL_SDK_DISABLED=true", false, false)]
    [InlineData("OTEL_SERVICE_NAME=x OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, false)]
    public void What_has_an_endpoint_is_exported(string settings, bool traces, bool metrics)
    {
        var otlp = new OtlpSettings(Configuration(settings));
        otlp.ExportsTraces.ShouldBe(traces);
        otlp.ExportsMetrics.ShouldBe(metrics);
        OtlpSettings.Problems(Configuration(settings)).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "otel:4317", "OTEL_EXPORTER_OTLP_ENDPOINT is no address.")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/metrics", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is no address.")]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no address.")]
    [InlineData("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL is none that the registry speaks.")]
    [InlineData("OTEL_EXPORTER_OTLP_HEADERS", "secret", "OTEL_EXPORTER_OTLP_HEADERS has something that is no header.")]
    [InlineData("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT is no time.")]
    [InlineData("OTEL_TRACES_SAMPLER", "sometimes", "OTEL_TRACES_SAMPLER is no sampler.")]
    [InlineData("OTEL_TRACES_SAMPLER_ARG", "10%", "OTEL_TRACES_SAMPLER_ARG is no share of the requests.")]
    public void What_is_wrong_is_said_in_a_sentence_that_repeats_no_value(string key, string value, string problem)
    {
        var said = OtlpSettings.Problems(Configuration(
            $"OTEL_EXPORTER_OTLP_ENDPOINT={Collector} OTEL_TRACES_SAMPLER=parentbased_traceidratio {key}={value}")).ShouldHaveSingleItem();

        said.ShouldStartWith(problem);
        said.ShouldNotContain(value);
    }

    [Fact]
    public void What_is_right_is_no_problem() => OtlpSettings.Problems(Configuration(
        $"OTEL_EXPORTER_OTLP_ENDPOINT={Collector} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_TIMEOUT=5000 "
        + "OTEL_EXPORTER_OTLP_HEADERS=a=b,c=d== OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0.25")).ShouldBeEmpty();

    [Fact]
    public void Where_nothing_is_exported_nothing_is_wrong() =>
        OtlpSettings.Problems(Configuration("OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_TRACES_SAMPLER=sometimes")).ShouldBeEmpty();

    [Fact]
    public async Task The_program_does_not_start_on_a_wrong_endpoint()
    {
        await using var server = ServerProcess.Start(
            "--urls=http://127.0.0.1:0", environment: [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]);

        var (code, errors) = await server.UntilExitAsync();

        code.ShouldBe(1);
        errors.ShouldContain("  * OTEL_EXPORTER_OTLP_ENDPOINT is no address. Set it to that of an OpenTelemetry collector");
    }

    private static IConfiguration Configuration(string settings) => new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(setting => setting.Split('=', 2)).GroupBy(pair => pair[0], pair => (string?)pair[1])
            .Select(values => KeyValuePair.Create(values.Key, values.Last())))
        .Build();
}
