using System.Diagnostics.Metrics;
using System.Reflection;
using Microsoft.AspNetCore.Http;

namespace OciRegistry;

/// <summary>
/// What this process counts, one method per event; the meter is called <c>OciRegistry</c>. Any .NET metrics listener can
/// read it, and <c>/metrics</c> does. No label takes its values from a client: a series, once made, stays for good.
/// </summary>
internal sealed class RegistryMetrics
{
    internal const string MeterName = "OciRegistry";

    // From a cached HEAD to a layer of some gigabytes on a slow line.
    private static readonly double[] DurationBuckets =
        [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

    private readonly Counter<long> _requests;
    private readonly Histogram<double> _requestDuration;
    private readonly Counter<long> _bytesReceived;
    private readonly Counter<long> _bytesSent;
    private readonly Counter<long> _uploadsStarted;
    private readonly Counter<long> _uploadsCompleted;
    private readonly Counter<long> _uploadsCancelled;
    private readonly Counter<long> _uploadsExpired;
    private readonly Counter<long> _uploadsReplayed;
    private readonly Counter<long> _uploadsFenced;
    private readonly Counter<long> _uploadsFailed;
    private readonly Counter<long> _integrityEvents;
    private readonly Counter<long> _contentRemoved;
    private readonly Counter<long> _storageFailures;
    private readonly Counter<long> _tokensGranted;
    private readonly Counter<long> _loginsFailed;
    private readonly Counter<long> _requestsDenied;
    private readonly Counter<long> _requestsLimited;
    private readonly Counter<long> _pulledExpired;
    private readonly Counter<long> _pulledExpiredBytes;
    private Uploads? _uploads;

    public RegistryMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _requests = meter.CreateCounter<long>(
            "oci_registry.requests", null, "Requests that were answered, by route, method and status.");
        _requestDuration = meter.CreateHistogram(
            "oci_registry.request.duration",
            "s",
            "Time from a request's headers to the last byte of its answer.",
            tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = DurationBuckets });
        _bytesReceived = meter.CreateCounter<long>(
            "oci_registry.received", "By", "Bytes of request bodies: blobs, chunks and manifests.");
        _bytesSent = meter.CreateCounter<long>(
            "oci_registry.sent", "By", "Bytes of answers: blobs and manifests.");
        _uploadsStarted = meter.CreateCounter<long>(
            "oci_registry.uploads.started", null, "Upload sessions that were started.");
        _uploadsCompleted = meter.CreateCounter<long>(
            "oci_registry.uploads.completed", null, "Upload sessions that became a blob.");
        _uploadsCancelled = meter.CreateCounter<long>(
            "oci_registry.uploads.cancelled", null, "Upload sessions that their client cancelled.");
        _uploadsExpired = meter.CreateCounter<long>(
            "oci_registry.uploads.expired", null, "Upload sessions that were abandoned and swept.");
        _uploadsReplayed = meter.CreateCounter<long>(
            "oci_registry.uploads.replayed", null, "Requests that sent bytes again which the session already had.");
        _uploadsFenced = meter.CreateCounter<long>(
            "oci_registry.uploads.fenced", null, "Writers that lost their session to a later request.");
        _uploadsFailed = meter.CreateCounter<long>(
            "oci_registry.uploads.failed", null, "Requests on upload sessions that failed, by reason.");
        _integrityEvents = meter.CreateCounter<long>(
            "oci_registry.integrity.events", null, "Stored content that was missing or not what it should be, by kind.");
        _contentRemoved = meter.CreateCounter<long>(
            "oci_registry.content.removed", null, "Blobs whose content was removed because no repository linked it.");
        _storageFailures = meter.CreateCounter<long>(
            "oci_registry.storage.failures", null, "Calls that the storage failed, by operation.");
        _tokensGranted = meter.CreateCounter<long>(
            "oci_registry.tokens.granted", null, "Tokens that the token service has issued.");
        _loginsFailed = meter.CreateCounter<long>(
            "oci_registry.logins.failed", null, "Names and passwords that were wrong.");
        _requestsDenied = meter.CreateCounter<long>(
            "oci_registry.requests.denied", null, "Requests of somebody who may not do that.");
        _requestsLimited = meter.CreateCounter<long>(
            "oci_registry.requests.limited", null, "Requests that were answered 429.");
        _pulledExpired = meter.CreateCounter<long>(
            "oci_registry.pulled.expired", null, "Blobs and manifests of upstreams that were removed because nobody pulled them, or for room.");
        _pulledExpiredBytes = meter.CreateCounter<long>(
            "oci_registry.pulled.expired.size", "By", "Bytes of those.");
        meter.CreateObservableGauge(
            "oci_registry.uploads.active",
            () => Observed(_uploads?.Active),
            null,
            "Upload sessions at the last sweep; only the replica that swept has it.");
        meter.CreateObservableGauge(
            "oci_registry.uploads.staged",
            () => Observed(_uploads?.StagedBytes),
            "By",
            "Bytes of the upload sessions at the last sweep; only the replica that swept has it.");
        meter.CreateObservableGauge(
            "oci_registry.build.info",
            static () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", Version)),
            null,
            "Always 1; the label names the version.");
    }

    internal static string Version =>
        typeof(RegistryMetrics).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];

    /// <summary>The route is its template, such as <c>/v2/{name}/blobs/{digest}</c>; never the path.</summary>
    public void RequestFinished(string route, string method, int status, TimeSpan duration)
    {
        var routeLabel = new KeyValuePair<string, object?>("route", route);
        var methodLabel = new KeyValuePair<string, object?>("method", Known(method));
        _requests.Add(1, routeLabel, methodLabel, new KeyValuePair<string, object?>("status", status));
        _requestDuration.Record(duration.TotalSeconds, routeLabel, methodLabel);
    }

    public void BytesReceived(long count) => _bytesReceived.Add(count);

    public void BytesSent(long count) => _bytesSent.Add(count);

    public void UploadStarted() => _uploadsStarted.Add(1);

    public void UploadCompleted() => _uploadsCompleted.Add(1);

    public void UploadCancelled() => _uploadsCancelled.Add(1);

    public void UploadExpired() => _uploadsExpired.Add(1);

    public void UploadReplayed() => _uploadsReplayed.Add(1);

    public void UploadFenced() => _uploadsFenced.Add(1);

    public void UploadFailed(string reason) =>
        _uploadsFailed.Add(1, new KeyValuePair<string, object?>("reason", reason));

    /// <summary>What the sweep has found, on the replica that did it.</summary>
    public void UploadsCounted(long active, long stagedBytes) => _uploads = new Uploads(active, stagedBytes);

    /// <summary>Another replica sweeps.</summary>
    public void ForgetUploads() => _uploads = null;

    public void IntegrityEvent(string kind) =>
        _integrityEvents.Add(1, new KeyValuePair<string, object?>("kind", kind));

    public void ContentRemoved(long count) => _contentRemoved.Add(count);

    public void StorageFailed(string operation) =>
        _storageFailures.Add(1, new KeyValuePair<string, object?>("operation", operation));

    public void TokenGranted() => _tokensGranted.Add(1);

    public void LoginFailed() => _loginsFailed.Add(1);

    public void RequestDenied() => _requestsDenied.Add(1);

    public void RequestLimited() => _requestsLimited.Add(1);

    public void PulledContentExpired(long bytes)
    {
        _pulledExpired.Add(1);
        _pulledExpiredBytes.Add(bytes);
    }

    /// <summary>
    /// Makes the counters without labels visible at 0: a rate over a counter that appears with its first event misses
    /// that event.
    /// </summary>
    internal void StartAtZero()
    {
        Counter<long>[] counters =
        [
            _bytesReceived, _bytesSent, _uploadsStarted, _uploadsCompleted, _uploadsCancelled, _uploadsExpired,
            _uploadsReplayed, _uploadsFenced, _contentRemoved, _tokensGranted, _loginsFailed, _requestsDenied, _requestsLimited,
            _uploadsReplayed, _uploadsFenced, _tokensGranted, _loginsFailed, _requestsDenied, _requestsLimited,
            _pulledExpired, _pulledExpiredBytes,
        ];
        foreach (var counter in counters)
        {
            counter.Add(0);
        }
    }

    // The method is the client's: anything goes, "X-1" to "X-1000000" too.
    private static string Known(string method) =>
        HttpMethods.IsGet(method) ? HttpMethods.Get
        : HttpMethods.IsHead(method) ? HttpMethods.Head
        : HttpMethods.IsPost(method) ? HttpMethods.Post
        : HttpMethods.IsPut(method) ? HttpMethods.Put
        : HttpMethods.IsPatch(method) ? HttpMethods.Patch
        : HttpMethods.IsDelete(method) ? HttpMethods.Delete
        : "other";

    private static IEnumerable<Measurement<long>> Observed(long? value) =>
        value is { } known ? [new Measurement<long>(known)] : [];

    private sealed record Uploads(long Active, long StagedBytes);
}
