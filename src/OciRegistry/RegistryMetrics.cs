using System.Collections.Concurrent;
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

    // From a document in the page cache to a large blob that a network store puts together.
    private static readonly double[] StoreBuckets = [0.0005, 0.002, 0.01, 0.05, 0.2, 1, 5, 30];

    // From a lock that nobody wants to the longest wait for a chunk that is running.
    private static readonly double[] WaitBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30];

    // As OpenTelemetry advises for calls to databases.
    private static readonly double[] DatabaseBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

    private static readonly string[] Methods =
        [HttpMethods.Get, HttpMethods.Head, HttpMethods.Post, HttpMethods.Put, HttpMethods.Patch, HttpMethods.Delete];

    private readonly List<ObservedCache> _caches = [];
    private readonly ConcurrentDictionary<string, bool> _rejected = [];
    private readonly ConcurrentDictionary<string, ObservedKeys> _issuers = [];
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
    private readonly Counter<long> _connectionsRefused;
    private readonly Counter<long> _bodiesRefused;
    private readonly Histogram<double> _storeDuration;
    private readonly Counter<long> _storeRetries;
    private readonly Counter<long> _confirmationRetries;
    private readonly Histogram<double> _lockWait;
    private readonly Counter<long> _locksLost;
    private readonly Histogram<double> _databaseDuration;
    private readonly Counter<long> _sweeps;
    private readonly Counter<long> _pulledExpired;
    private readonly Counter<long> _pulledExpiredBytes;
    private Uploads? _uploads;
    private Func<bool>? _areLocksDegraded;
    private Func<long?>? _availableBytes;
    private ClockOffset? _clockOffset;
    private Func<DateTimeOffset?>? _certificateExpiry;
    private long _running;
    private long? _ready;

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
        _connectionsRefused = meter.CreateCounter<long>(
            "oci_registry.connections.refused", null, "Connections that were closed because there were too many, by limit.");
        _bodiesRefused = meter.CreateCounter<long>(
            "oci_registry.bodies.refused", null, "Requests that were answered 503 because too many bodies were held in memory.");
        _storeDuration = meter.CreateHistogram(
            "oci_registry.store.duration",
            "s",
            "Time that calls of the storage took, with their retries, by store, operation and outcome.",
            tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = StoreBuckets });
        _storeRetries = meter.CreateCounter<long>(
            "oci_registry.store.retries", null, "Attempts that a storage over a network failed, or throttled, and that were made again.");
        _confirmationRetries = meter.CreateCounter<long>(
            "oci_registry.confirmation.retries", null, "Times that new content was looked for again, because the storage did not show it yet.");
        _lockWait = meter.CreateHistogram(
            "oci_registry.lock.wait",
            "s",
            "Time that was waited for a lock, by where locks are kept and what came of it.",
            tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = WaitBuckets });
        _locksLost = meter.CreateCounter<long>(
            "oci_registry.locks.lost", null, "Locks that were no longer surely held before they were released.");
        _databaseDuration = meter.CreateHistogram(
            "db.client.operation.duration",
            "s",
            "Time that calls to Redis took.",
            tags: null,
            new InstrumentAdvice<double> { HistogramBucketBoundaries = DatabaseBuckets });
        _sweeps = meter.CreateCounter<long>(
            "oci_registry.sweeps", null, "Sweeps that this replica has done, by what they look for and outcome.");
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
        meter.CreateObservableUpDownCounter(
            "oci_registry.requests.running", () => RequestsRunning, null, "Requests that are being answered.");
        meter.CreateObservableCounter(
            "oci_registry.cache.hits", () => Cached(cache => cache.Hits), null, "What was asked for and in a cache, by cache.");
        meter.CreateObservableCounter(
            "oci_registry.cache.misses", () => Cached(cache => cache.Misses), null, "What was asked for and not in a cache, by cache.");
        meter.CreateObservableGauge(
            "oci_registry.ready",
            () => Observed(_ready),
            null,
            "What /readyz said last: 1 for ready, 0 for not; nothing before it was asked.");
        meter.CreateObservableGauge(
            "oci_registry.locks.degraded",
            () => Observed(_areLocksDegraded is { } ask ? ask() ? 1 : 0 : null),
            null,
            "Whether the lock service does not work, so that requests go on without locks.");
        meter.CreateObservableGauge(
            "oci_registry.storage.available",
            () => Observed(_availableBytes?.Invoke()),
            "By",
            "Bytes that can still be written where a registry stores in a folder.");
        meter.CreateObservableGauge(
            "oci_registry.clock.offset",
            () => Volatile.Read(ref _clockOffset) is { } offset ? (Measurement<double>[])[new(offset.Seconds)] : [],
            "s",
            "How far this machine's clock is ahead of the storage's; negative when it is behind.");
        meter.CreateObservableGauge(
            "oci_registry.settings.rejected",
            () => _rejected.Select(one => new Measurement<int>(one.Value ? 1 : 0, new KeyValuePair<string, object?>("file", one.Key))),
            null,
            "Whether a file has changed into something that cannot be used, so that its former content is in effect, by kind of file.");
        meter.CreateObservableGauge(
            "oci_registry.certificate.expiry.timestamp",
            () => Observed(_certificateExpiry?.Invoke()?.ToUnixTimeSeconds()),
            "s",
            "When the first of the certificates expires that the server shows, as Unix time.");
        meter.CreateObservableGauge(
            "oci_registry.issuer.keys.age",
            () => _issuers.SelectMany(one => Of(one.Key, one.Value.Age()?.TotalSeconds)),
            "s",
            "Time since the keys of an issuer were read; nothing before the first time.");
        meter.CreateObservableGauge(
            "oci_registry.issuer.keys.failing",
            () => _issuers.SelectMany(one => Of(one.Key, one.Value.AreFailing() ? 1 : 0)),
            null,
            "Whether the keys of an issuer could not be read the last time that the registry tried.");
        meter.CreateObservableGauge(
            "oci_registry.build.info",
            static () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", Version)),
            null,
            "Always 1; the label names the version.");
    }

    internal static string Version =>
        typeof(RegistryMetrics).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];

    /// <summary>Whether anybody listens to how long stores take: to find out costs a little.</summary>
    public bool AreStoresMeasured => _storeDuration.Enabled;

    /// <summary>Requests that are being answered.</summary>
    public long RequestsRunning => Interlocked.Read(ref _running);

    public void RequestStarted() => Interlocked.Increment(ref _running);

    /// <summary>The route is its template, such as <c>/v2/{name}/blobs/{digest}</c>; never the path.</summary>
    public void RequestFinished(string route, string method, int status, TimeSpan duration)
    {
        Interlocked.Decrement(ref _running);
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

    /// <summary>A request failed with the storage.</summary>
    public void StorageFailed(string method) =>
        _storageFailures.Add(1, new KeyValuePair<string, object?>("operation", Known(method)));

    /// <summary>A request failed because the storage is full.</summary>
    public void StorageWasFull() => _storageFailures.Add(1, new KeyValuePair<string, object?>("operation", "full"));

    /// <summary>A call of a store has ended; the labels are <see cref="Storage.StoreOperation"/>'s.</summary>
    public void StoreCalled(TimeSpan duration, ReadOnlySpan<KeyValuePair<string, object?>> labels) =>
        _storeDuration.Record(duration.TotalSeconds, labels);

    public void StoreRetried() => _storeRetries.Add(1);

    public void ConfirmationRetried() => _confirmationRetries.Add(1);

    /// <param name="duration">For how long.</param>
    /// <param name="kind">Where the locks are: <c>process</c> or <c>shared</c>.</param>
    /// <param name="outcome">One of a few words.</param>
    public void LockWaitedFor(TimeSpan duration, string kind, string outcome) => _lockWait.Record(
        duration.TotalSeconds,
        new KeyValuePair<string, object?>("kind", kind),
        new KeyValuePair<string, object?>("outcome", outcome));

    public void LockLost() => _locksLost.Add(1);

    /// <param name="duration">To the answer, or until it was given up.</param>
    /// <param name="operation">What was done, such as <c>acquire</c>.</param>
    /// <param name="hasFailed">Whether there was no answer.</param>
    public void RedisCalled(TimeSpan duration, string operation, bool hasFailed) => _databaseDuration.Record(
        duration.TotalSeconds,
        new KeyValuePair<string, object?>("db.system.name", "redis"),
        new KeyValuePair<string, object?>("db.operation.name", operation),
        new KeyValuePair<string, object?>("outcome", hasFailed ? "failed" : "ok"));

    /// <param name="sweep">What it looks for: <c>uploads</c> or <c>pulled</c>.</param>
    /// <param name="hasFailed">Whether it ended before its time.</param>
    public void Swept(string sweep, bool hasFailed) => _sweeps.Add(
        1,
        new KeyValuePair<string, object?>("sweep", sweep),
        new KeyValuePair<string, object?>("outcome", hasFailed ? "failed" : "ok"));

    /// <summary>Has a cache looked at with the metrics. What is counted is the cache's own: it may be asked very often.</summary>
    public void Observe(string cache, Func<long> hits, Func<long> misses) => _caches.Add(new ObservedCache(cache, hits, misses));

    /// <summary>What an orchestrator was told.</summary>
    public void ReadinessTold(bool isReady) => _ready = isReady ? 1 : 0;

    /// <summary>Has the lock service looked at with the metrics.</summary>
    public void ObserveLocks(Func<bool> areDegraded) => _areLocksDegraded = areDegraded;

    /// <summary>Has the folder looked at with the metrics.</summary>
    public void ObserveStorage(Func<long?> availableBytes) => _availableBytes = availableBytes;

    /// <summary>A file was read, or has changed into something that cannot be used.</summary>
    /// <param name="file">Its kind: <c>settings</c>, <c>users</c>, <c>policies</c>, <c>signing_keys</c>, <c>client_authorities</c> or <c>certificates</c>.</param>
    /// <param name="isRejected">Whether its former content stays in effect.</param>
    public void FileRead(string file, bool isRejected) => _rejected[file] = isRejected;

    /// <summary>Has the server's certificates looked at with the metrics.</summary>
    public void ObserveCertificates(Func<DateTimeOffset?> expiry) => _certificateExpiry = expiry;

    /// <summary>Has an issuer's keys looked at with the metrics; the name is that of the settings.</summary>
    public void ObserveIssuer(string issuer, Func<TimeSpan?> age, Func<bool> areFailing) => _issuers[issuer] = new ObservedKeys(age, areFailing);

    /// <summary>This machine's clock was compared with the storage's: how far it is ahead.</summary>
    public void ClockMeasured(TimeSpan offset) => Volatile.Write(ref _clockOffset, new ClockOffset(offset.TotalSeconds));

    public void TokenGranted() => _tokensGranted.Add(1);

    public void LoginFailed() => _loginsFailed.Add(1);

    public void RequestDenied() => _requestsDenied.Add(1);

    public void RequestLimited() => _requestsLimited.Add(1);

    /// <summary>Of a request, or of an answer.</summary>
    public void BodyRefused() => _bodiesRefused.Add(1);

    /// <param name="limit">Which one: <c>total</c>, <c>address</c> or <c>memory</c>.</param>
    public void ConnectionRefused(string limit) =>
        _connectionsRefused.Add(1, new KeyValuePair<string, object?>("limit", limit));

    public void PulledContentExpired(long bytes)
    {
        _pulledExpired.Add(1);
        _pulledExpiredBytes.Add(bytes);
    }

    /// <summary>
    /// Makes the counters whose labels are known visible at 0: a rate over a counter that appears with its first event
    /// misses that event.
    /// </summary>
    internal void StartAtZero()
    {
        Counter<long>[] counters =
        [
            _bytesReceived, _bytesSent, _uploadsStarted, _uploadsCompleted, _uploadsCancelled, _uploadsExpired,
            _uploadsReplayed, _uploadsFenced, _contentRemoved, _tokensGranted, _loginsFailed, _requestsDenied, _requestsLimited,
            _storeRetries, _confirmationRetries, _locksLost, _pulledExpired, _pulledExpiredBytes,
        ];
        foreach (var counter in counters)
        {
            counter.Add(0);
        }

        foreach (var sweep in (string[])["uploads", "pulled"])
        {
            _sweeps.Add(0, new KeyValuePair<string, object?>("sweep", sweep), new KeyValuePair<string, object?>("outcome", "ok"));
            _sweeps.Add(0, new KeyValuePair<string, object?>("sweep", sweep), new KeyValuePair<string, object?>("outcome", "failed"));
        }

        Start(_uploadsFailed, "reason", "digest", "size", "full");
        Start(_integrityEvents, "kind", "staged", "blob_missing", "blob_size", "manifest");
        Start(_storageFailures, "operation", [.. Methods, "full"]);

        static void Start(Counter<long> counter, string label, params ReadOnlySpan<string> values)
        {
            foreach (var value in values)
            {
                counter.Add(0, new KeyValuePair<string, object?>(label, value));
            }
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

    private static IEnumerable<Measurement<double>> Of(string issuer, double? value) =>
        value is { } known ? [new Measurement<double>(known, new KeyValuePair<string, object?>("issuer", issuer))] : [];

    private IEnumerable<Measurement<long>> Cached(Func<ObservedCache, Func<long>> count) =>
        _caches.Select(cache => new Measurement<long>(count(cache)(), new KeyValuePair<string, object?>("cache", cache.Name)));

    private sealed record ObservedCache(string Name, Func<long> Hits, Func<long> Misses);

    private sealed record ObservedKeys(Func<TimeSpan?> Age, Func<bool> AreFailing);

    private sealed record ClockOffset(double Seconds);

    private sealed record Uploads(long Active, long StagedBytes);
}
