using OpenTelemetry;
using OpenTelemetry.Context.Propagation;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace OciRegistry.Server.Telemetry;

/// <summary>
/// Sends traces and metrics to an OpenTelemetry collector where one is configured; else there is nothing of it in the process.
/// A span for each request with those of its calls to storage, Redis and upstreams below; what runs beside requests has none.
/// </summary>
internal static class OtlpExport
{
    // Asked every few seconds by machines; they would be most of what is exported.
    private static readonly PathString[] Unseen = ["/livez", "/readyz", "/startupz", "/metrics"];

    private static readonly string[] Meters =
    [
        RegistryMetrics.MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime",
    ];

    public static void Configure(WebApplicationBuilder builder)
    {
        var settings = new OtlpSettings(builder.Configuration);
        if (!settings.ExportsTraces && !settings.ExportsMetrics)
        {
            return;
        }

        // What a client says of a trace may go on to an upstream; what else it says must not.
        Sdk.SetDefaultTextMapPropagator(new TraceContextPropagator());
        var telemetry = builder.Services.AddOpenTelemetry().ConfigureResource(Describe);
        if (settings.ExportsTraces)
        {
            telemetry.WithTracing(tracing => tracing
                .AddAspNetCoreInstrumentation(server => server.Filter = context => !Unseen.Contains(context.Request.Path))
                .AddSource(RegistryTraces.SourceName)
                .AddHttpClientInstrumentation(client => client.FilterHttpRequestMessage = _ => IsPartOfSomething())
                .AddOtlpExporter());
        }

        if (settings.ExportsMetrics)
        {
            telemetry.WithMetrics(metrics => metrics.AddMeter(Meters).AddOtlpExporter());
        }

        builder.Services.AddHostedService<ExportProblems>();
    }

    // What the environment says counts more, and so comes last.
    private static void Describe(ResourceBuilder resource) => resource
        .Clear()
        .AddTelemetrySdk()
        .AddService(
            OtlpSettings.ServiceName,
            serviceVersion: RegistryMetrics.Version,
            autoGenerateServiceInstanceId: false,
            serviceInstanceId: Uploads.Turn.Replica) // as the timelines of uploads have it
        .AddEnvironmentVariableDetector();

    // A sweep of many thousand calls would make as many traces of one span each.
    private static bool IsPartOfSomething() =>
        System.Diagnostics.Activity.Current is { } own && (own.Parent is not null || own.HasRemoteParent);
}
