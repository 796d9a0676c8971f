using System.Diagnostics;
using System.Globalization;
using System.Text;
using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>
/// An image that many clients pull through at once and that is not here yet: what the upstream sees of it, how long each waits
/// for its first byte, and what it costs to have it here. The upstream is a server of the same kind.
/// </summary>
internal sealed class PulledThrough : IScenario
{
    private const int Clients = 64;
    private const int Layers = 8;
    private const long LayerSize = 128L * 1024 * 1024;
    private const int Parallel = 3; // what docker pulls at a time
    private const int Rounds = 15;
    private const double AimMilliseconds = 100;
    private const double AimMiB = 200;
    private const string Repository = "bench/image";
    private const string Here = $"up/{Repository}";

    private static readonly TimeSpan WarmupDuration = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan RoundDuration = TimeSpan.FromSeconds(1);

    public string Name => "pull-through";

    public string Description => "64 clients pull a cold image of 8 layers, 1 GiB, through; warm pulls beside those of our own content";

    public double DiskGiB => 4;

    public async Task RunAsync(Bench bench)
    {
        await using var upstream = await bench.StartServerAsync("upstream", []);
        await using var server = await bench.StartServerAsync(
            "server",
            [
                "OciRegistry:PullThrough:Upstreams:0:Prefix=up",
                $"OciRegistry:PullThrough:Upstreams:0:Url={upstream.Address}",
            ]);
        var config = new Noise(0, 1_000);
        var configDigest = await upstream.Client.PushByPutAsync(Repository, config);
        var layers = new List<Digest>();
        for (var i = 0; i < Layers; i++)
        {
            layers.Add(await upstream.Client.PushByPutAsync(Repository, new Noise(i + 1, LayerSize)));
        }

        var manifest = ArtifactManifest.Of(configDigest, config.Length, layers.Select(layer => (layer, LayerSize)));
        await upstream.Client.PutManifestAsync(Repository, "latest", manifest);
        await WarmUpAsync(upstream, server);

        var direct = await FirstBytesAsync(upstream.Address, Repository, layers, clients: 1);
        var before = await BlobGetsAsync(upstream);
        var started = Stopwatch.GetTimestamp();
        var cpu = server.Cpu;
        var cold = await FirstBytesAsync(server.Address, Here, layers, Clients);
        Tell(bench, "cold", Stopwatch.GetElapsedTime(started), (server.Cpu - cpu).Total);
        bench.Add("upstream blob GETs for 8 layers", await BlobGetsAsync(upstream) - before, "");
        bench.Add("peak memory", server.PeakMemoryMiB, "MiB", AimMiB);

        started = Stopwatch.GetTimestamp();
        cpu = server.Cpu;
        var warm = await FirstBytesAsync(server.Address, Here, layers, Clients);
        Tell(bench, "warm", Stopwatch.GetElapsedTime(started), (server.Cpu - cpu).Total);
        bench.Add("first byte, one client at the upstream itself: p50", Samples.Median(direct), "ms");
        bench.Add($"first byte × {Clients}, warm (what the machine gives): p50", Samples.Median(warm), "ms");
        bench.Add($"first byte × {Clients}, warm: the last", warm.Max(), "ms");
        bench.Add($"first byte × {Clients}, cold: p50", Samples.Median(cold), "ms", Samples.Median(direct) + AimMilliseconds);
        bench.Add($"first byte × {Clients}, cold: the last", cold.Max(), "ms", direct.Max() + AimMilliseconds);

        await CompareWarmAsync(bench, server, manifest, config, layers[0]);
    }

    private static void Tell(Bench bench, string what, TimeSpan took, double cpuSeconds)
    {
        var gib = Clients * Layers * LayerSize / (double)(1 << 30);
        bench.Add($"{Clients} × 1 GiB {what}: rate", gib * 1024 / took.TotalSeconds, "MiB/s");
        bench.Add($"{Clients} × 1 GiB {what}: CPU", cpuSeconds / gib, "s/GiB");
    }

    /// <summary>A server compiles its code with the first requests.</summary>
    private static async Task WarmUpAsync(ServerProcess upstream, ServerProcess server)
    {
        for (var i = 0; i < 50; i++)
        {
            var small = new Noise(100 + i, 300_000);
            var digest = await upstream.Client.PushByPutAsync("bench/small", small);
            await server.Client.PullAsync("up/bench/small", digest, small.Length, verify: true);
        }
    }

    /// <summary>Pulls all layers with each client; milliseconds from each request to the first byte of its body.</summary>
    private static async Task<IReadOnlyList<double>> FirstBytesAsync(
        Uri address, string repository, IReadOnlyList<Digest> layers, int clients)
    {
        var all = await Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(async () =>
        {
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = address };
            http.Timeout = TimeSpan.FromMinutes(10);
            await http.GetByteArrayAsync(new Uri($"/v2/{repository}/manifests/latest", UriKind.Relative));
            using var turns = new SemaphoreSlim(Parallel);
            return await Task.WhenAll(layers.Select(layer => PullAsync(http, repository, layer, turns)));
        })));
        return [.. all.SelectMany(times => times)];
    }

    private static async Task<double> PullAsync(HttpClient http, string repository, Digest digest, SemaphoreSlim turns)
    {
        await turns.WaitAsync();
        try
        {
            var started = Stopwatch.GetTimestamp();
            using var response = await http.GetAsync(
                new Uri($"/v2/{repository}/blobs/{digest}", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
            await using var body = await response.EnsureSuccessStatusCode().Content.ReadAsStreamAsync();
            var buffer = new byte[64 * 1024];
            var total = (long)await body.ReadAsync(buffer);
            var first = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            while (await body.ReadAsync(buffer) is > 0 and var read)
            {
                total += read;
            }

            return total == LayerSize ? first : throw new InvalidOperationException($"{digest} was pulled with {total} bytes.");
        }
        finally
        {
            turns.Release();
        }
    }

    private static async Task<double> BlobGetsAsync(ServerProcess server)
    {
        var lines = Encoding.UTF8.GetString(await server.Client.GetAsync("/metrics")).Split('\n');
        return lines
            .Where(line => line.StartsWith("oci_registry_requests_total{", StringComparison.Ordinal)
                && line.Contains("blobs/{digest}", StringComparison.Ordinal) && line.Contains("\"GET\"", StringComparison.Ordinal))
            .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }

    /// <summary>What was pulled through, and is here, beside what was pushed here: in turns, so that all else falls on both.</summary>
    private static async Task CompareWarmAsync(Bench bench, ServerProcess server, byte[] manifest, Noise config, Digest layer)
    {
        var peer = new Peer("ours", server.Address, server.Id, HasManyTags: false);
        foreach (var noise in Enumerable.Range(1, Layers).Select(i => new Noise(i, LayerSize)).Prepend(config))
        {
            await server.Client.PushByPutAsync(Repository, noise);
        }

        await server.Client.PutManifestAsync(Repository, "latest", manifest);
        foreach (var (what, path, connections) in new[]
        {
            ("manifest GET", "manifests/latest", 1), ("manifest GET", "manifests/latest", 16), ("128 MiB blob GET", $"blobs/{layer}", 1),
        })
        {
            var local = Request.To(peer, "GET", $"/v2/{Repository}/{path}");
            var pulled = Request.To(peer, "GET", $"/v2/{Here}/{path}");
            Run(peer, local, connections, WarmupDuration);
            Run(peer, pulled, connections, WarmupDuration);
            var (locals, pulleds) = (new List<Measurement>(), new List<Measurement>());
            for (var round = 0; round < Rounds; round++)
            {
                locals.Add(Run(peer, local, connections, RoundDuration));
                pulleds.Add(Run(peer, pulled, connections, RoundDuration));
            }

            bench.Add($"{what} × {connections}, our own: p50", Samples.Median(locals.Select(round => round.P50)), "ms");
            bench.Add($"{what} × {connections}, pulled through, warm: p50", Samples.Median(pulleds.Select(round => round.P50)), "ms");
            bench.Add(
                $"{what} × {connections}: ratio of rates, pair by pair",
                Samples.Median(pulleds.Zip(locals, (through, ours) => through.PerSecond / ours.PerSecond)), "");
            bench.Add(
                $"{what} × {connections}: ratio of CPU, pair by pair",
                Samples.Median(pulleds.Zip(locals, (through, ours) => through.CpuMilliseconds / ours.CpuMilliseconds)), "");
        }
    }

    private static Measurement Run(Peer peer, Request request, int connections, TimeSpan duration)
    {
        Operation operation = (connection, _) => connection.Exchange(request);
        var load = new Load { Name = "pull-through", Connections = connections, NextRound = (_, _) => operation };
        var round = new Round(peer, load, operation, count: null, duration);
        var measured = round.Run();
        return measured.Errors == 0
            ? measured
            : throw new InvalidOperationException($"{measured.Errors} requests failed: {round.FirstError}");
    }
}
