using System.Diagnostics.Metrics;

namespace OciRegistry.PullThrough;

/// <summary>The upstreams' metrics, read with every scrape. The labels are the upstream's prefix and, of requests, the outcome.</summary>
internal static class UpstreamMetrics
{
    /// <summary>Puts the upstreams on the registry's meter; without any, nothing.</summary>
    public static void Observe(IMeterFactory meters, IReadOnlyList<Upstream> upstreams)
    {
        if (upstreams.Count == 0)
        {
            return;
        }

        var meter = meters.Create(RegistryMetrics.MeterName);
        Counter("hits", null, one => one.Traffic.Hits, "Requests for content of an upstream that was here.");
        Counter("misses", null, one => one.Traffic.Misses, "Requests for content of an upstream that had to be fetched, or waited for.");
        Counter(
            "stale.served",
            null,
            one => one.Traffic.Stale,
            "Requests that were answered with what may be old, because the upstream did not answer.");
        Counter("received", "By", one => one.Traffic.Received, "Bytes of content that the upstream has sent.");
        Counter("saved", "By", one => one.Traffic.Saved, "Bytes of content that the upstream would have sent without this cache.");
        meter.CreateObservableCounter(
            "oci_registry.upstream.requests",
            () => upstreams.SelectMany(one => UpstreamClient.OutcomeNames.Select((outcome, i) => new Measurement<long>(
                one.Client.Requests(i),
                new KeyValuePair<string, object?>("upstream", one.Options.Prefix),
                new KeyValuePair<string, object?>("outcome", outcome)))),
            null,
            "Requests that were sent to the upstream, by outcome.");
        Gauge(
            "kept",
            "By",
            one => one.Traffic.KeptBytes,
            "Bytes of the upstream's content at the last sweep; only a replica that swept has it.");
        Gauge("fetching", null, one => one.Traffic.Fetching, "Blobs that are being fetched.");
        Gauge(
            "breaker.open",
            null,
            one => one.Client.Health.State is UpstreamState.Open or UpstreamState.Limited ? 1 : 0,
            "Whether the upstream is left alone because it is broken, or has asked for it.");
        Gauge(
            "rate_limit.remaining",
            null,
            one => one.Client.RateLimitRemaining,
            "Pulls that the upstream still allows, where it says so.");

        void Counter(string name, string? unit, Func<Upstream, long> value, string description) => meter.CreateObservableCounter(
            $"oci_registry.upstream.{name}", () => upstreams.Select(one => Measured(one, value(one))), unit, description);

        void Gauge(string name, string? unit, Func<Upstream, long?> value, string description) => meter.CreateObservableGauge(
            $"oci_registry.upstream.{name}",
            () => upstreams.Where(one => value(one) is not null).Select(one => Measured(one, value(one)!.Value)),
            unit,
            description);
    }

    private static Measurement<long> Measured(Upstream upstream, long value) =>
        new(value, new KeyValuePair<string, object?>("upstream", upstream.Options.Prefix));
}
