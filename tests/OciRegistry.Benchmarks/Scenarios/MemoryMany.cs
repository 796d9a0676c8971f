using System.Diagnostics;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>Memory grows with the number of connections, by little for each.</summary>
internal sealed class MemoryMany : IScenario
{
    private const int Count = 200;
    private const double AimMiB = 200;
    private const string Repository = "bench/many";

    public string Name => "memory-many";

    public string Description => "peak memory while 200 blobs of 20 MiB are pushed at once, then pulled at once";

    public double DiskGiB => 4.5;

    public async Task RunAsync(Bench bench)
    {
        var blobs = Enumerable.Range(0, Count).Select(i => new Noise(i, 20 << 20)).ToList();
        Digest[] digests;
        await using (var server = await bench.StartServerAsync())
        {
            var started = Stopwatch.GetTimestamp();
            digests = await Task.WhenAll(blobs.Select(blob => server.Client.PushByPatchAsync(Repository, blob)));
            bench.Add($"{Count} pushes at once: time", Stopwatch.GetElapsedTime(started).TotalSeconds, "s");
            bench.Add($"{Count} pushes at once: peak RSS", server.PeakMemoryMiB, "MiB", AimMiB);

            await PullAllAsync(server);
            bench.Add($"{Count} pushes, then {Count} pulls: peak RSS", server.PeakMemoryMiB, "MiB", AimMiB);
        }

        await using (var server = await bench.StartServerAsync())
        {
            var started = Stopwatch.GetTimestamp();
            await PullAllAsync(server);
            bench.Add($"{Count} pulls at once, fresh server: time", Stopwatch.GetElapsedTime(started).TotalSeconds, "s");
            bench.Add($"{Count} pulls at once, fresh server: peak RSS", server.PeakMemoryMiB, "MiB", AimMiB);
        }

        Task PullAllAsync(ServerProcess server) => Task.WhenAll(blobs.Zip(digests).Select(pair =>
            server.Client.PullAsync(Repository, pair.Second, pair.First.Length, verify: true)));
    }
}
