using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>A start must not depend on what is stored.</summary>
internal sealed class Start : IScenario
{
    private const int Repositories = 10_000;
    private const int TagsOfEach = 10;
    private const int Starts = 7;
    private const double AimMs = 1_500;

    public string Name => "start";

    public string Description => "time to the first answers, empty and with 10,000 repositories and 100,000 tags";

    public double DiskGiB => 2;

    public async Task RunAsync(Bench bench)
    {
        using (var store = new PreparedStore(bench.StorageFolder()))
        {
            await Parallel.ForEachAsync(
                Enumerable.Range(0, Repositories),
                async (i, _) => await store.AddAsync($"bench/group-{i % 100}/repository-{i}", TagsOfEach));
        }

        await MeasureAsync(bench, "empty", "empty storage");
        await MeasureAsync(bench, "data", "10,000 repositories, 100,000 tags");
    }

    private static async Task MeasureAsync(Bench bench, string storage, string what)
    {
        var answered = new List<double>();
        var ready = new List<double>();
        for (var i = 0; i < Starts; i++)
        {
            await using var server = await bench.StartServerAsync(storage);
            answered.Add(server.TimeToAnswer.TotalMilliseconds);
            ready.Add(server.TimeToReady.TotalMilliseconds);
        }

        bench.Add($"{what}: first answer to /v2/", Samples.Median(answered), "ms", AimMs);
        bench.Add($"{what}: then to /readyz", Samples.Median(ready), "ms", AimMs);
    }
}
