using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>What it costs to know who asks, where he has been known before; and how many tokens there are to be had.</summary>
internal sealed class AuthCost : IScenario
{
    private const int Rounds = 15;
    private const int MostConnections = 16;
    private const double AimMicroseconds = 50;
    private const double AimTokens = 1_000;
    private const string Repository = "bench/auth";
    private const string User = "bench";
    private const string Password = "bench";

    // Until its code has been compiled for good, a server spends more on that than on small requests.
    private static readonly TimeSpan WarmupDuration = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan RoundDuration = TimeSpan.FromSeconds(1);

    public string Name => "auth";

    public string Description => "what a known token adds to a manifest GET, against an open server; tokens issued per second";

    public double DiskGiB => 1;

    public async Task RunAsync(Bench bench)
    {
        var basic = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{User}:{Password}")));
        var users = Path.Combine(bench.Folder, "htpasswd");
        await File.WriteAllTextAsync(users, $"{User}:{BCrypt.Net.BCrypt.HashPassword(Password)}");
        await using var open = await bench.StartServerAsync("open");
        await using var closed = await bench.StartServerAsync(
            "closed",
            basic,
            $"OciRegistry:Auth:Htpasswd={users}",
            "OciRegistry:Auth:Tokens:Lifetime=01:00:00",
            $"OciRegistry:Auth:Policies:0:Subjects:0=user:{User}",
            "OciRegistry:Auth:Policies:0:Repositories:0=**",
            "OciRegistry:Auth:Policies:0:Actions:0=pull",
            "OciRegistry:Auth:Policies:0:Actions:1=push");

        await MeasureReadsAsync(bench, open, closed, connections: 1);
        await MeasureReadsAsync(bench, open, closed, MostConnections);
        MeasureTokens(bench, closed, basic);
    }

    private static async Task MeasureReadsAsync(Bench bench, ServerProcess open, ServerProcess closed, int connections)
    {
        var answer = JsonNode.Parse(await closed.Client.GetAsync($"/token?scope=repository:{Repository}:pull"))!;
        var without = await PrepareAsync(open, "");
        var with = await PrepareAsync(closed, $"Authorization: Bearer {answer["token"]}\r\n");
        Run(without, connections, WarmupDuration);
        Run(with, connections, WarmupDuration);

        // In turns, so that whatever else the machine does falls on both.
        var (opens, closeds) = (new List<Measurement>(), new List<Measurement>());
        for (var round = 0; round < Rounds; round++)
        {
            opens.Add(Run(without, connections, RoundDuration));
            closeds.Add(Run(with, connections, RoundDuration));
        }

        var what = $"manifest GET × {connections}";
        bench.Add($"{what}, open: p50", 1_000 * Samples.Median(opens.Select(round => round.P50)), "µs");
        bench.Add($"{what}, with a token: p50", 1_000 * Samples.Median(closeds.Select(round => round.P50)), "µs");
        bench.Add($"{what}: ratio of rates, pair by pair", Pairwise((with, without) => with.PerSecond / without.PerSecond), "");
        bench.Add(
            $"{what}: a token adds to the p50, pair by pair",
            Pairwise((with, without) => 1_000 * (with.P50 - without.P50)), "µs", AimMicroseconds);
        bench.Add(
            $"{what}: a token adds to the CPU time, pair by pair",
            Pairwise((with, without) => 1_000 * (with.CpuMilliseconds - without.CpuMilliseconds)), "µs", AimMicroseconds);

        double Pairwise(Func<Measurement, Measurement, double> figure) => Samples.Median(closeds.Zip(opens, figure));
    }

    private static void MeasureTokens(Bench bench, ServerProcess server, AuthenticationHeaderValue basic)
    {
        var peer = new Peer("ours", server.Address, server.Id, HasManyTags: false);
        var request = Request.To(
            peer, "GET", $"/token?service=oci-registry&scope=repository:{Repository}:pull", headers: $"Authorization: {basic}\r\n");
        Run((peer, request), MostConnections, WarmupDuration);
        var rounds = Enumerable.Range(0, Rounds).Select(_ => Run((peer, request), MostConnections, RoundDuration)).ToList();
        bench.AddAtLeast($"tokens × {MostConnections}", Samples.Median(rounds.Select(round => round.PerSecond)), "/s", AimTokens);
        bench.Add($"tokens × {MostConnections}: p50", Samples.Median(rounds.Select(round => round.P50)), "ms");
        bench.Add($"tokens × {MostConnections}: CPU each", Samples.Median(rounds.Select(round => round.CpuMilliseconds)), "ms");
    }

    private static async Task<(Peer Peer, Request Request)> PrepareAsync(ServerProcess server, string headers)
    {
        var blob = new Noise(1, 1024);
        var digest = await server.Client.PushByPutAsync(Repository, blob);
        await server.Client.PutManifestAsync(Repository, "latest", ArtifactManifest.Of(digest, blob.Length, digest, blob.Length));
        var peer = new Peer("ours", server.Address, server.Id, HasManyTags: false);
        return (peer, Request.To(peer, "GET", $"/v2/{Repository}/manifests/latest", headers: headers));
    }

    private static Measurement Run((Peer Peer, Request Request) target, int connections, TimeSpan duration)
    {
        Operation operation = (connection, _) => connection.Exchange(target.Request);
        var load = new Load { Name = "auth", Connections = connections, NextRound = (_, _) => operation };
        var round = new Round(target.Peer, load, operation, count: null, duration);
        var measured = round.Run();
        return measured.Errors == 0
            ? measured
            : throw new InvalidOperationException($"{measured.Errors} requests failed: {round.FirstError}");
    }
}
