using System.Diagnostics;

namespace OciRegistry.Server.Telemetry;

/// <summary>
/// W3C trace context, and nothing else: a client's baggage, which may say anything of anybody, is not taken and not passed on
/// to upstreams.
/// </summary>
internal sealed class TraceContextOnly : DistributedContextPropagator
{
    private static readonly DistributedContextPropagator W3C = CreateW3CPropagator();

    public static void Configure(WebApplicationBuilder builder)
    {
        var propagator = new TraceContextOnly();
        Current = propagator; // of outgoing calls
        builder.Services.AddSingleton<DistributedContextPropagator>(propagator); // of incoming ones
    }

    public override IReadOnlyCollection<string> Fields { get; } = ["traceparent", "tracestate"];

    public override void Inject(Activity? activity, object? carrier, PropagatorSetterCallback? setter)
    {
        if (setter is not null)
        {
            W3C.Inject(activity, carrier, (to, name, value) =>
            {
                if (Fields.Contains(name))
                {
                    setter(to, name, value);
                }
            });
        }
    }

    public override void ExtractTraceIdAndState(
        object? carrier, PropagatorGetterCallback? getter, out string? traceId, out string? traceState) =>
        W3C.ExtractTraceIdAndState(carrier, getter, out traceId, out traceState);

    public override IEnumerable<KeyValuePair<string, string?>>? ExtractBaggage(
        object? carrier, PropagatorGetterCallback? getter) => null;
}
