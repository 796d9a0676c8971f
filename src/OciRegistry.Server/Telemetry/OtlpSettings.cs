using System.Globalization;

namespace OciRegistry.Server.Telemetry;

/// <summary>
/// Where traces and metrics go, by OpenTelemetry's own keys, in the environment or in <c>appsettings.json</c>; nowhere, unless
/// an endpoint is named. What is wrong with them is said at the start: the library would use its defaults instead.
/// </summary>
/// <remarks>https://opentelemetry.io/docs/specs/otel/protocol/exporter/</remarks>
internal sealed class OtlpSettings(IConfiguration configuration)
{
    public const string ServiceName = "oci-registry";

    private const string Exporter = "OTEL_EXPORTER_OTLP_";
    private const string Endpoint = "ENDPOINT";
    private const string Traces = "TRACES_";
    private const string Metrics = "METRICS_";
    private const string Sampler = "OTEL_TRACES_SAMPLER";
    private const string SamplerArgument = "OTEL_TRACES_SAMPLER_ARG";

    private static readonly string[] Signals = ["", Traces, Metrics];
    private static readonly string[] Protocols = ["grpc", "http/protobuf"];
    private static readonly string[] Samplers =
    [
        "always_on", "always_off", "traceidratio",
        "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
    ];

    public bool ExportsTraces => Exports(Traces, "OTEL_TRACES_EXPORTER");

    public bool ExportsMetrics => Exports(Metrics, "OTEL_METRICS_EXPORTER");

    /// <summary>Everything that is wrong; no value is repeated, for an address or a header may have a secret in it.</summary>
    public static IEnumerable<string> Problems(IConfiguration configuration)
    {
        var settings = new OtlpSettings(configuration);
        return settings.IsDisabled ? []
            : !Signals.Any(signal => settings.Has(Exporter + signal + Endpoint)) ? []
            : [.. Signals.SelectMany(settings.ExporterProblems), .. settings.SamplerProblems()];
    }

    private bool IsDisabled => bool.TryParse(configuration["OTEL_SDK_DISABLED"], out var isDisabled) && isDisabled;

    private bool Exports(string signal, string exporter) =>
        !IsDisabled
        && !string.Equals(configuration[exporter], "none", StringComparison.OrdinalIgnoreCase)
        && (Has(Exporter + Endpoint) || Has(Exporter + signal + Endpoint));

    private IEnumerable<string> ExporterProblems(string signal)
    {
        if (Value(signal + Endpoint) is { } endpoint
            && !(Uri.TryCreate(endpoint, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"))
        {
            yield return $"{Exporter}{signal}{Endpoint} is no address. Set it to that of an OpenTelemetry collector, such as "
                + "http://collector:4317, or leave it out.";
        }

        if (Value(signal + "PROTOCOL") is { } protocol && !Protocols.Contains(protocol))
        {
            yield return $"{Exporter}{signal}PROTOCOL is none that the registry speaks. Set it to {string.Join(" or ", Protocols)}.";
        }

        if (Value(signal + "HEADERS") is { } headers && headers.Split(',').Any(header => header.IndexOf('=') < 1))
        {
            yield return $"{Exporter}{signal}HEADERS has something that is no header. Write name=value, separated by commas.";
        }

        if (Value(signal + "TIMEOUT") is { } timeout
            && !(int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds) && milliseconds > 0))
        {
            yield return $"{Exporter}{signal}TIMEOUT is no time. Set it to a number of milliseconds, such as 10000.";
        }
    }

    private IEnumerable<string> SamplerProblems()
    {
        if (!Has(Sampler))
        {
            yield break;
        }

        var sampler = configuration[Sampler]!;
        if (!Samplers.Contains(sampler))
        {
            yield return $"{Sampler} is no sampler. Set it to one of {string.Join(", ", Samplers)}.";
        }
        else if (sampler.EndsWith("traceidratio", StringComparison.Ordinal)
            && Has(SamplerArgument)
            && !(double.TryParse(configuration[SamplerArgument], CultureInfo.InvariantCulture, out var ratio) && ratio is >= 0 and <= 1))
        {
            yield return $"{SamplerArgument} is no share of the requests. Set it to a number from 0 to 1, such as 0.1.";
        }
    }

    private string? Value(string name) => Has(Exporter + name) ? configuration[Exporter + name] : null;

    private bool Has(string key) => !string.IsNullOrWhiteSpace(configuration[key]);
}
