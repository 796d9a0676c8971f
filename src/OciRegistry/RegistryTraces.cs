using System.Diagnostics;

namespace OciRegistry;

/// <summary>
/// What requests spend their time on, as activities of the source <c>OciRegistry</c>: calls of the storage, waits for locks,
/// calls to Redis. Any .NET activity listener hears them, OpenTelemetry's too; while nobody listens they cost nothing. They
/// are parts of a request, or of what else is traced: a sweep, which is neither, makes none.
/// </summary>
internal static class RegistryTraces
{
    internal const string SourceName = "OciRegistry";

    /// <summary>The attribute with the id that the error which the client saw has, and the log.</summary>
    internal const string RequestId = "oci_registry.request.id";

    private static readonly ActivitySource Source = new(SourceName, RegistryMetrics.Version);

    /// <summary>Whether an activity that begins now would be heard.</summary>
    public static bool AreWanted => Source.HasListeners() && Activity.Current is not null;

    /// <summary>Null when nobody listens. To be called in an async method alone, whose end takes it back for its caller.</summary>
    public static Activity? Start(string name, ActivityKind kind = ActivityKind.Internal) =>
        AreWanted ? Source.StartActivity(name, kind) : null;

    /// <summary>Says that it failed, and with what kind of exception: what the message says is for the log.</summary>
    public static void Fail(this Activity activity, Exception exception)
    {
        activity.SetStatus(ActivityStatusCode.Error);
        activity.SetTag("error.type", exception.GetType().FullName);
    }
}
