using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Operations;

namespace OciRegistry.Tests.Operations;

public sealed class PrometheusTextTests : IDisposable
{
    private const string Route = "/v2/{name}/blobs/{digest}";

    private readonly ServiceProvider _services;
    private readonly IMeterFactory _meters;
    private readonly RegistryMetrics _metrics;
    private readonly PrometheusText _text;

    public PrometheusTextTests()
    {
        _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        _meters = _services.GetRequiredService<IMeterFactory>();
        _metrics = new RegistryMetrics(_meters);
        _text = new PrometheusText(_meters, _metrics);
    }

    public void Dispose()
    {
        _text.Dispose();
        _services.Dispose();
    }

    [Fact]
    public void Requests_are_counted_by_route_method_and_status()
    {
        _metrics.RequestFinished(Route, "GET", 200, TimeSpan.FromMilliseconds(3));
        _metrics.RequestFinished(Route, "GET", 200, TimeSpan.FromMilliseconds(3));
        _metrics.RequestFinished(Route, "HEAD", 404, TimeSpan.FromMilliseconds(1));

        var requests = Family("oci_registry_requests_total");
        requests.Type.ShouldBe("counter");
        requests[("route", Route), ("method", "GET"), ("status", "200")].ShouldBe(2);
        requests[("route", Route), ("method", "HEAD"), ("status", "404")].ShouldBe(1);
    }

    [Fact]
    public void A_method_that_a_client_made_up_gets_no_series_of_its_own()
    {
        for (var i = 0; i < 10; i++)
        {
            _metrics.RequestFinished(Route, $"X-{i}", 405, TimeSpan.Zero);
        }

        Family("oci_registry_requests_total").Samples.ShouldHaveSingleItem().Labels["method"].ShouldBe("other");
    }

    [Fact]
    public void Durations_are_a_histogram_in_seconds()
    {
        foreach (var milliseconds in (int[])[5, 6, 400, 400_000])
        {
            _metrics.RequestFinished(Route, "GET", 200, TimeSpan.FromMilliseconds(milliseconds));
        }

        var duration = Family("oci_registry_request_duration_seconds");
        duration.Type.ShouldBe("histogram");
        Bucket("0.005").ShouldBe(1); // a bound belongs to its bucket
        Bucket("0.01").ShouldBe(2);
        Bucket("0.25").ShouldBe(2);
        Bucket("0.5").ShouldBe(3);
        Bucket("300").ShouldBe(3);
        Bucket("+Inf").ShouldBe(4);
        duration.Samples.Single(sample => sample.Name.EndsWith("_sum", StringComparison.Ordinal))
            .Value.ShouldBe(400.411, 0.000001);

        double Bucket(string bound) => duration[("route", Route), ("method", "GET"), ("le", bound)];
    }

    [Fact]
    public void What_runs_and_what_is_cached_is_asked_for_with_the_text()
    {
        _metrics.RequestStarted();
        _metrics.RequestStarted();
        _metrics.RequestFinished(Route, "GET", 200, TimeSpan.Zero);
        var hits = 3;
        _metrics.Observe("documents", () => hits, () => 1);
        _metrics.Observe("pointers", () => 0, () => 0);
        _metrics.ObserveStorage(() => 4_096);

        Family("oci_registry_requests_running")[[]].ShouldBe(1);
        Family("oci_registry_cache_hits_total")[("cache", "documents")].ShouldBe(3);
        Family("oci_registry_cache_misses_total")[("cache", "documents")].ShouldBe(1);
        Family("oci_registry_cache_hits_total")[("cache", "pointers")].ShouldBe(0);
        Family("oci_registry_storage_available_bytes")[[]].ShouldBe(4_096);
    }

    [Fact]
    public void Of_the_runtime_there_is_what_tells_of_memory_threads_and_collections()
    {
        GC.Collect(0);

        Family("dotnet_gc_collections_total").Samples.Select(sample => sample.Labels["gc_heap_generation"]).ShouldContain("gen0");
        Family("dotnet_gc_pause_time_seconds_total")[[]].ShouldBeGreaterThan(0);
        Family("dotnet_gc_heap_allocated_bytes_total")[[]].ShouldBeGreaterThan(1_000);
        Family("dotnet_gc_last_collection_heap_size_bytes").Samples.Sum(sample => sample.Value).ShouldBeGreaterThan(1_000);
        Family("dotnet_thread_pool_threads")[[]].ShouldBeGreaterThan(0);
    }

    [Fact]
    public void Counters_whose_labels_are_known_are_there_from_the_start()
    {
        Family("oci_registry_integrity_events_total")[("kind", "blob_missing")].ShouldBe(0);
        Family("oci_registry_storage_failures_total")[("operation", "full")].ShouldBe(0);
        Family("oci_registry_uploads_failed_total")[("reason", "digest")].ShouldBe(0);
        Family("oci_registry_uploads_started_total")[[]].ShouldBe(0);
        Family("oci_registry_received_bytes_total")[[]].ShouldBe(0);
    }

    [Fact]
    public void Every_event_has_its_counter()
    {
        _metrics.BytesReceived(5_000_000_000);
        _metrics.BytesSent(7);
        _metrics.UploadStarted();
        _metrics.UploadCompleted();
        _metrics.UploadCancelled();
        _metrics.UploadExpired();
        _metrics.UploadReplayed();
        _metrics.UploadFenced();
        _metrics.UploadFailed("digest");
        _metrics.IntegrityEvent("missing");
        _metrics.StorageFailed("PUT");
        _metrics.StorageFailed("X-1");
        _metrics.StorageWasFull();
        _metrics.StoreRetried();
        _metrics.ConfirmationRetried();
        _metrics.Swept("uploads", hasFailed: true);
        _metrics.RedisCalled(TimeSpan.FromMilliseconds(2), "acquire", hasFailed: false);

        Family("oci_registry_received_bytes_total")[[]].ShouldBe(5_000_000_000);
        Family("oci_registry_sent_bytes_total")[[]].ShouldBe(7);
        foreach (var name in (string[])["started", "completed", "cancelled", "expired", "replayed", "fenced"])
        {
            Family($"oci_registry_uploads_{name}_total")[[]].ShouldBe(1, name);
        }

        Family("oci_registry_uploads_failed_total")[("reason", "digest")].ShouldBe(1);
        Family("oci_registry_integrity_events_total")[("kind", "missing")].ShouldBe(1);
        foreach (var operation in (string[])["PUT", "other", "full"])
        {
            Family("oci_registry_storage_failures_total")[("operation", operation)].ShouldBe(1, operation);
        }

        Family("oci_registry_store_retries_total")[[]].ShouldBe(1);
        Family("oci_registry_confirmation_retries_total")[[]].ShouldBe(1);
        Family("oci_registry_sweeps_total")[("sweep", "uploads"), ("outcome", "failed")].ShouldBe(1);
        Family("db_client_operation_duration_seconds")[
            ("db_system_name", "redis"), ("db_operation_name", "acquire"), ("outcome", "ok"), ("le", "0.005")].ShouldBe(1);
    }

    [Theory]
    [InlineData("a\"b")]
    [InlineData(@"a\b")]
    [InlineData("a\nb")]
    [InlineData(@"\n")]
    [InlineData("ü, {x=\"y\"} 1")]
    [InlineData("")]
    public void Label_values_are_escaped(string value)
    {
        _metrics.IntegrityEvent(value);

        Family("oci_registry_integrity_events_total")[("kind", value)].ShouldBe(1);
    }

    [Fact]
    public void Gauges_are_read_when_the_text_is_asked_for()
    {
        var value = 1.5;
        var meter = _meters.Create(RegistryMetrics.MeterName);
        meter.CreateObservableGauge("oci_registry.test.gauge", () => value, "s", "A \\ test\ngauge");
        meter.CreateObservableCounter("oci_registry.test.seen", () => 7L);
        Family("oci_registry_test_gauge_seconds")[[]].ShouldBe(1.5);

        value = double.NegativeInfinity;

        Family("oci_registry_test_gauge_seconds")[[]].ShouldBe(double.NegativeInfinity);
        Family("oci_registry_test_gauge_seconds").Type.ShouldBe("gauge");
        Family("oci_registry_test_seen_total")[[]].ShouldBe(7); // not 21: it reports totals
    }

    [Fact]
    public void An_up_down_counter_is_a_gauge()
    {
        var counter = _meters.Create(RegistryMetrics.MeterName).CreateUpDownCounter<int>("oci_registry.test.open");
        counter.Add(3);
        counter.Add(-1);

        Family("oci_registry_test_open")[[]].ShouldBe(2);
        Family("oci_registry_test_open").Type.ShouldBe("gauge");
    }

    [Fact]
    public void Another_registry_in_the_same_process_is_not_counted()
    {
        using var others = new ServiceCollection().AddMetrics().BuildServiceProvider();
        new RegistryMetrics(others.GetRequiredService<IMeterFactory>()).UploadStarted();

        Family("oci_registry_uploads_started_total")[[]].ShouldBe(0);
    }

    [Fact]
    public void The_process_tells_its_start_its_memory_and_its_processor_time()
    {
        var now = (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds;
        Family("process_start_time_seconds")[[]].ShouldBeInRange(now - 3600, now + 1);
        Family("process_resident_memory_bytes")[[]].ShouldBeGreaterThan(1_000_000);
        Family("process_cpu_seconds_total")[[]].ShouldBeGreaterThan(0);
    }

    [Fact]
    public void The_version_is_a_label() =>
        Family("oci_registry_build_info").Samples.ShouldHaveSingleItem().Labels["version"].ShouldMatch(@"^\d+\.\d+\.\d+");

    [Fact]
    public void No_event_is_lost_between_threads()
    {
        Parallel.For(0, 10_000, i => _metrics.RequestFinished(Route, "GET", 200 + (i % 2), TimeSpan.Zero));

        Family("oci_registry_requests_total").Samples.Sum(sample => sample.Value).ShouldBe(10_000);
    }

    [Theory]
    [InlineData("# HELP a b\n# TYPE a gauge\na 1")]
    [InlineData("a 1\n")]
    [InlineData("# HELP a b\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a counter\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\nb 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na 1\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na{x=\"1\",} 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na{x=\"\\t\"} 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na{x.y=\"1\"} 1\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\na 1,5\n")]
    [InlineData("# HELP a b\n# TYPE a gauge\n\na 1\n")]
    [InlineData("# HELP a b\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 1\n")]
    [InlineData("# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n")]
    public void The_parser_of_these_tests_is_strict(string text) =>
        Should.Throw<Exception>(() => PrometheusParser.Parse(text));

    private PrometheusParser.Family Family(string name) =>
        PrometheusParser.Parse(_text.Render()).Single(family => family.Name == name);
}
