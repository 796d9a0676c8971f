using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Coordination;
using OciRegistry.Endpoints;
using OciRegistry.Operations;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

public sealed class OperationsEndpointsTests : IAsyncLifetime
{
    private readonly WebApplication _app;
    private readonly BrokenStorage _storage = new();
    private readonly BrokenLocks _locks = new();
    private readonly ManualTimeProvider _storeClock = new();
    private readonly StoreTimeOf _storeTime;
    private readonly LogCapture _log = new();
    private HttpClient _client = null!;

    public OperationsEndpointsTests()
    {
        _storeTime = new StoreTimeOf(_storeClock);
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseTestServer();
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(_log);
        builder.Services.AddSingleton<RegistryMetrics>().AddSingleton<IStorageProbe>(_storage).AddSingleton<IRegistryLocks>(_locks)
            .AddSingleton(TimeProvider.System).AddSingleton<Drain>()
            .AddSingleton<IStoreTime>(_storeTime).AddSingleton<StoreClock>()
            .AddSingleton<Readiness>().AddSingleton<Health>();
        _app = builder.Build();
        _app.MapOciRegistryOperations();
        _app.MapGet("/details", _app.Services.GetRequiredService<Health>().GetDetails); // as the admin API does, for operators
    }

    public async ValueTask InitializeAsync()
    {
        await _app.StartAsync();
        _client = _app.GetTestClient();
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _app.DisposeAsync();
    }

    [Fact]
    public async Task Live_is_200_without_asking_the_storage()
    {
        _storage.Problem = "The disk is full.";

        var response = await _client.GetAsync(new Uri("/livez", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
    }

    [Fact]
    public async Task Ready_is_200_and_names_its_components()
    {
        var response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
        response.Headers.RetryAfter.ShouldBeNull();
        response.Content.Headers.ContentType!.ToString().ShouldBe("application/json");
        (await response.Content.ReadAsStringAsync())
            .ShouldBe("""{"status":"ready","components":{"server":{"status":"ready"},"storage":{"status":"ready"},"locks":{"status":"ready"},"clock":{"status":"ready"}}}""");
    }

    [Fact]
    public async Task Ready_is_503_with_the_reason_while_the_storage_is_broken()
    {
        _storage.Problem = "\"/data\" is mounted read-only. Mount it for writing.";

        var response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        response.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(1, 30);
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("unavailable");
        ((string?)body["components"]!["storage"]!["status"]).ShouldBe("unavailable");
        await IsToldToOperatorsAloneAsync(response, "storage", _storage.Problem);
        (await _client.GetStringAsync(new Uri("/metrics", UriKind.Relative))).ShouldContain("oci_registry_ready 0\n");
    }

    [Fact]
    public async Task On_a_full_disk_it_is_degraded_and_serves_what_it_has()
    {
        (_storage.Problem, _storage.IsFull) = ("The disk of '/data' is full.", true);

        var response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("degraded");
        ((string?)body["components"]!["storage"]!["status"]).ShouldBe("degraded");
        await IsToldToOperatorsAloneAsync(response, "storage", _storage.Problem);
    }

    [Fact]
    public async Task Without_its_lock_service_it_is_degraded_and_goes_on()
    {
        _locks.Problem = "Redis does not answer.";

        var response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("degraded");
        ((string?)body["components"]!["storage"]!["status"]).ShouldBe("ready");
        ((string?)body["components"]!["locks"]!["status"]).ShouldBe("degraded");
        await IsToldToOperatorsAloneAsync(response, "locks", _locks.Problem);
    }

    [Theory]
    [InlineData(-3 * 24 * 60, "3.00:00:", "ahead of")]
    [InlineData(10, "0.00:", "behind")]
    public async Task Ready_is_degraded_and_200_when_the_clock_of_the_machine_is_off(int minutes, string offset, string direction)
    {
        var clock = _app.Services.GetRequiredService<StoreClock>();
        _storeClock.TurnBack(TimeSpan.FromMinutes(-minutes));
        await clock.MeasureAsync(CancellationToken.None);

        var response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        ((string?)body["status"]).ShouldBe("degraded");
        ((string?)body["components"]!["clock"]!["status"]).ShouldBe("degraded");
        await IsToldToOperatorsAloneAsync(response, "clock", clock.Problem.ShouldNotBeNull());
        clock.Problem.ShouldContain($"{direction} the storage's");
        clock.Problem.ShouldContain(offset);
        var told = PrometheusParser.Parse(await _client.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .Single(family => family.Name == "oci_registry_clock_offset_seconds")[[]];
        told.ShouldBe(-60 * minutes, tolerance: 60);

        // The clock is set right.
        _storeClock.TurnBack(TimeSpan.FromMinutes(minutes));
        await clock.MeasureAsync(CancellationToken.None);
        (await _client.GetStringAsync(new Uri("/readyz", UriKind.Relative))).ShouldContain("\"clock\":{\"status\":\"ready\"}");
    }

    [Fact]
    public async Task Started_is_200_once_everything_has_started()
    {
        var response = await _client.GetAsync(new Uri("/startupz", UriKind.Relative));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
        (await response.Content.ReadAsStringAsync()).ShouldBe("""{"status":"started"}""");
    }

    [Fact]
    public async Task Metrics_are_valid_Prometheus_text()
    {
        _app.Services.GetRequiredService<RegistryMetrics>().UploadStarted();

        var response = await _client.GetAsync(new Uri("/metrics", UriKind.Relative));

        response.Content.Headers.ContentType!.ToString().ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        var families = PrometheusParser.Parse(await response.Content.ReadAsStringAsync());
        families.Single(family => family.Name == "oci_registry_uploads_started_total")[[]].ShouldBe(1);
    }

    [Theory]
    [InlineData("/livez")]
    [InlineData("/readyz")]
    [InlineData("/startupz")]
    [InlineData("/metrics")]
    public async Task Head_is_answered_as_get_is(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, path);

        var response = await _client.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task The_storage_is_logged_when_its_state_changes_and_only_then()
    {
        for (var i = 0; i < 3; i++)
        {
            await ReadyAsync($"It has not answered for {i} s.");
        }

        _log.Lines.ShouldHaveSingleItem().ShouldStartWith("Warning: The storage is unavailable: It has not answered for 0 s.");
        await ReadyAsync(null);
        await ReadyAsync("It has gone again.");
        _log.Lines.Count.ShouldBe(2);

        // It is asked once a second.
        Task ReadyAsync(string? problem)
        {
            _storage.Problem = problem;
            return Until.TrueAsync(
                async () => (await _client.GetStringAsync(new Uri("/details", UriKind.Relative)))
                    .Contains(problem ?? "\"storage\":{\"status\":\"ready\"}", StringComparison.Ordinal),
                "it is asked again");
        }
    }

    /// <summary>Anybody may ask how it is; what is wrong names paths and addresses.</summary>
    private async Task IsToldToOperatorsAloneAsync(HttpResponseMessage ready, string component, string problem)
    {
        JsonNode.Parse(await ready.Content.ReadAsStringAsync())!["components"]![component]!.AsObject().Count.ShouldBe(1);
        var details = JsonNode.Parse(await _client.GetStringAsync(new Uri("/details", UriKind.Relative)))!;
        ((string?)details["components"]![component]!["message"]).ShouldBe(problem);
        if (component == "storage") // the others log theirs by themselves
        {
            _log.Lines.ShouldContain(line => line.Contains(problem, StringComparison.Ordinal));
        }
    }

    private sealed class BrokenLocks : IRegistryLocks
    {
        public string? Problem { get; set; }

        public ValueTask<IRegistryLock?> TryAcquireAsync(
            string name, TimeSpan wait, CancellationToken cancellationToken) => new((IRegistryLock?)null);

        public ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken) => default;
    }

    private sealed class BrokenStorage : IStorageProbe
    {
        public string? Problem { get; set; }

        public bool IsFull { get; set; }

        public ValueTask<StorageProblem?> ProblemAsync(CancellationToken cancellationToken) =>
            ValueTask.FromResult(Problem is { } problem ? new StorageProblem(problem) { IsFull = IsFull } : null);
    }
}
