using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Benchmarks.Support;
using OciRegistry.Coordination;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>What it costs that the locks are in Redis instead of in the process, where nobody else wants them.</summary>
internal sealed class LockCost : IScenario
{
    private const int Patches = 2_000;
    private const int Pairs = 10_000;
    private const string Repository = "bench/lock";

    // Until its code has been compiled for good, the server spends more on that than on locks.
    private const int Warmup = 500;

    public string Name => "lock";

    public string Description => "what locks in a redis-server, started for it, add to a PATCH of 1 KiB; locks and unlocks per second";

    public double DiskGiB => 1;

    public async Task RunAsync(Bench bench)
    {
        await using var redis = await RedisServer.StartAsync();
        await MeasurePatchesAsync(bench, redis);
        await MeasureLocksAsync(bench, redis);
    }

    private static async Task MeasurePatchesAsync(Bench bench, RedisServer redis)
    {
        await using var alone = await bench.StartServerAsync("alone", redis: null);
        await using var locking = await bench.StartServerAsync("locking", redis);
        for (var i = 0; i < Warmup; i++)
        {
            await PatchAsync(alone, i);
            await PatchAsync(locking, i);
        }

        // In turns, so that whatever else the machine does falls on both.
        var without = new List<double>();
        var with = new List<double>();
        var before = await redis.CommandsAsync();
        for (var i = Warmup; i < Warmup + Patches; i++)
        {
            without.Add(await PatchAsync(alone, i));
            with.Add(await PatchAsync(locking, i));
        }

        var commands = await redis.CommandsAsync() - before;
        if (commands < Patches)
        {
            throw new InvalidOperationException($"{Patches} requests had {commands} commands carried out by Redis: it is not used.");
        }

        bench.Add("PATCH 1 KiB without Redis: median", Samples.Median(without), "ms");
        bench.Add("PATCH 1 KiB without Redis: p99", Samples.Percentile(without, 0.99), "ms");
        bench.Add("PATCH 1 KiB with Redis: median", Samples.Median(with), "ms");
        bench.Add("PATCH 1 KiB with Redis: p99", Samples.Percentile(with, 0.99), "ms");
        bench.Add("difference of the medians", Samples.Median(with) - Samples.Median(without), "ms");
    }

    /// <summary>A chunk on a session of its own, which stays open.</summary>
    private static async Task<double> PatchAsync(ServerProcess server, int index)
    {
        var location = await server.Client.StartUploadAsync(Repository);
        var started = Stopwatch.GetTimestamp();
        await server.Client.PatchAsync(location, new Noise(index, 1024));
        return Stopwatch.GetElapsedTime(started).TotalMilliseconds;
    }

    private static async Task MeasureLocksAsync(Bench bench, RedisServer redis)
    {
        var services = new ServiceCollection().AddLogging();
        services.AddOciRegistry(registry => registry.UseFileSystem(bench.StorageFolder()).UseRedisLocks(redis.Address));
        await using var provider = services.BuildServiceProvider();
        var locks = provider.GetRequiredService<IRegistryLocks>();
        foreach (var parallelism in (int[])[1, 8])
        {
            await LockManyAsync(locks, parallelism);
            var started = Stopwatch.GetTimestamp();
            await LockManyAsync(locks, parallelism);
            var rate = Pairs / Stopwatch.GetElapsedTime(started).TotalSeconds;
            bench.Add($"lock and unlock in Redis, different ones x {parallelism}", rate, "/s");
        }
    }

    private static Task LockManyAsync(IRegistryLocks locks, int parallelism) => Parallel.ForAsync(
        0,
        Pairs,
        new ParallelOptions { MaxDegreeOfParallelism = parallelism },
        async (i, _) =>
        {
            await using var held = await locks.TryAcquireAsync($"bench/{i}", TimeSpan.FromSeconds(1), CancellationToken.None)
                ?? throw new InvalidOperationException($"A lock was not to be had: {locks.Problem}");
        });
}
