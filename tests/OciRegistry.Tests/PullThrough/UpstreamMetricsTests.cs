using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What <c>/metrics</c> says of the upstreams.</summary>
public sealed class UpstreamMetricsTests
{
    private const string Start = "oci_registry_upstream_";

    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task Every_upstream_has_its_series_from_the_start()
    {
        await using var registry = await PulledRegistry.StartAsync(options: options => options.PullThrough.Upstreams.Add(
            new UpstreamOptions { Prefix = "other", Url = "http://127.0.0.1:1" }));

        var families = (await MetricsAsync(registry.Http)).ToDictionary(family => family.Name);

        families.Values.Select(family => $"{family.Name[Start.Length..]} {family.Type}").ShouldBe(
            [
                "hits_total counter", "misses_total counter", "stale_served_total counter", "received_bytes_total counter",
                "requests_total counter", "saved_bytes_total counter", "kept_bytes gauge", "fetching gauge", "breaker_open gauge", "rate_limit_remaining gauge",
            ],
            ignoreOrder: true);
        foreach (var family in families.Values)
        {
            if (family.Name is Start + "kept_bytes" or Start + "rate_limit_remaining")
            {
                family.Samples.ShouldBeEmpty(); // nobody has swept, and nobody has told
                continue;
            }

            family.Samples.ShouldAllBe(sample => sample.Value == 0);
            if (family.Name == Start + "requests_total")
            {
                family.Samples.Count.ShouldBe(2 * 6); // by outcome as well
                continue;
            }

            family.Samples.Select(sample => sample.Labels.ShouldHaveSingleItem()).ShouldBe(
                [new("upstream", "other"), new("upstream", "up")], ignoreOrder: true);
        }
    }

    [Fact]
    public async Task Pulls_are_counted()
    {
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        registry.Upstream.RateLimitRemaining = 76;
        var content = RegistryClient.RandomBytes(1_000);
        var digest = registry.Upstream.AddBlob("a", content);
        for (var i = 0; i < 4; i++)
        {
            using var pulled = await registry.Http.GetBlobAsync("up/a", digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }

        var image = registry.Upstream.AddImage("a", "1");
        using (await registry.Http.GetManifestAsync("up/a", "1"))
        {
            await registry.SweepAsync();
        }

        _time.Advance(TimeSpan.FromHours(1));
        registry.Upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using (await registry.Http.GetManifestAsync("up/a", "1"))
        {
        }

        await ShouldBeAsync("hits_total", 4); // what may be old is from here as well
        await ShouldBeAsync("misses_total", 2);
        await ShouldBeAsync("stale_served_total", 1);
        await ShouldBeAsync("received_bytes_total", 1_000 + image.Manifest.Length);
        await ShouldBeAsync("saved_bytes_total", 3_000 + image.Manifest.Length);
        await ShouldBeAsync("kept_bytes", 1_000 + image.Manifest.Length);
        await ShouldBeAsync("rate_limit_remaining", 75);

        async Task ShouldBeAsync(string name, long value) => (await ValueAsync(registry, name)).ShouldBe(value, name);
    }

    [Fact]
    public async Task What_is_being_fetched_is_there_until_it_is_here()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", RegistryClient.RandomBytes(100));
        var rest = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Before = () => rest.Task };
        var pulling = registry.Http.GetBlobAsync("up/a", digest);
        await Until.TrueAsync(async () => await ValueAsync(registry, "fetching") == 1, "the blob is being fetched");
        rest.SetResult();
        using var pulled = await Until.DoneAsync(pulling);
        await Until.TrueAsync(async () => await ValueAsync(registry, "fetching") == 0, "it is not any more");
    }

    [Theory]
    [InlineData(429, "60", 1)]
    [InlineData(503, null, 3)]
    public async Task An_upstream_that_is_left_alone_is_seen_until_it_is_not(int status, string? retryAfter, int requests)
    {
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        registry.Upstream.Faults = _ => new UpstreamFault { Status = status, RetryAfter = retryAfter };
        for (var i = 0; i < requests; i++)
        {
            (await ValueAsync(registry, "breaker_open")).ShouldBe(0);
            using var failed = await registry.Http.GetManifestAsync("up/a", $"{i}");
        }

        (await ValueAsync(registry, "breaker_open")).ShouldBe(1);
        _time.Advance(TimeSpan.FromMinutes(1));
        (await ValueAsync(registry, "breaker_open")).ShouldBe(0);
    }

    [Fact]
    public async Task Without_upstreams_there_are_none()
    {
        await using var registry = await RegistryApp.StartAsync();
        (await MetricsAsync(registry.Http)).ShouldBeEmpty();
    }

    private static async Task<double> ValueAsync(PulledRegistry registry, string name) =>
        (await MetricsAsync(registry.Http)).Single(family => family.Name == Start + name)[("upstream", "up")];

    private static async Task<PrometheusParser.Family[]> MetricsAsync(HttpClient http) =>
    [
        .. PrometheusParser.Parse(await http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .Where(family => family.Name.StartsWith(Start, StringComparison.Ordinal)),
    ];
}
