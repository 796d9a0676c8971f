using System.Diagnostics;
using System.Security.Cryptography;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>A page of a long list costs what the page has, not what the list has.</summary>
internal sealed class TagsPage : IScenario
{
    private const int Tags = 100_000;
    private const int Repositories = 10_000;
    private const int Requests = 1_000;
    private const double AimMs = 20;

    public string Name => "tags-page";

    public string Description => "pages of 100 of 100,000 tags and of 10,000 repositories, at random positions";

    public double DiskGiB => 2;

    public async Task RunAsync(Bench bench)
    {
        using (var store = new PreparedStore(bench.StorageFolder()))
        {
            await store.AddAsync("bench/many-tags", Tags);
            await Parallel.ForEachAsync(
                Enumerable.Range(0, Repositories), async (i, _) => await store.AddAsync(RepositoryOf(i), tags: 1));
        }

        await Task.Delay(TimeSpan.FromSeconds(2)); // a folder that has just changed is not remembered
        await using var server = await bench.StartServerAsync();
        await MeasureAsync(
            bench, server, $"tags/list of {Tags}",
            () => $"/v2/bench/many-tags/tags/list?n=100&last={PreparedStore.TagName(RandomNumberGenerator.GetInt32(Tags))}");
        await MeasureAsync(
            bench, server, $"_catalog of {Repositories}",
            () => $"/v2/_catalog?n=100&last={RepositoryOf(RandomNumberGenerator.GetInt32(Repositories))}");
        bench.Add("peak RSS", server.PeakMemoryMiB, "MiB");
    }

    private static string RepositoryOf(int index) => $"bench/repository-{index:d5}";

    private static async Task MeasureAsync(Bench bench, ServerProcess server, string what, Func<string> path)
    {
        bench.Add($"{what}: first read", await TimeAsync(server, path()), "ms");
        var times = new List<double>();
        for (var i = 0; i < Requests; i++)
        {
            times.Add(await TimeAsync(server, path()));
        }

        bench.Add($"{what}: p50", Samples.Median(times), "ms");
        bench.Add($"{what}: p99", Samples.Percentile(times, 0.99), "ms", AimMs);
    }

    private static async Task<double> TimeAsync(ServerProcess server, string path)
    {
        var started = Stopwatch.GetTimestamp();
        await server.Client.GetAsync(path);
        return Stopwatch.GetElapsedTime(started).TotalMilliseconds;
    }
}
