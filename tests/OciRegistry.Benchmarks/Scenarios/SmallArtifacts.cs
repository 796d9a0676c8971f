using System.Diagnostics;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>Artifacts of a few bytes cost what the disk takes to keep them: its own speed is printed beside.</summary>
internal sealed class SmallArtifacts : IScenario
{
    private const int Artifacts = 400;

    // Until its code has been compiled for good, the server spends more on that than on artifacts.
    private const int Warmup = 200;

    public string Name => "small-artifacts";

    public string Description => "blob, config and manifest of 1 KiB each, pushed in one repository and in different ones";

    public double DiskGiB => 1;

    public async Task RunAsync(Bench bench)
    {
        foreach (var parallelism in (int[])[1, 8])
        {
            bench.Add($"the disk's own durable renames x {parallelism}", await MachineFloors.DurableRenamesAsync(bench.Folder, parallelism), "/s");
            await MeasureAsync(bench, parallelism, "one repository", _ => "bench/one");
            await MeasureAsync(bench, parallelism, "different repositories", i => $"bench/different-{parallelism}/repository-{i}");
        }
    }

    private static async Task MeasureAsync(Bench bench, int parallelism, string what, Func<int, string> repository)
    {
        await using var server = await bench.StartServerAsync($"{what}-{parallelism}");
        await PushManyAsync(server.Client, parallelism, 0, Warmup, repository);
        var before = server.Cpu;
        var started = Stopwatch.GetTimestamp();
        await PushManyAsync(server.Client, parallelism, Warmup, Artifacts, repository);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        bench.Add($"artifacts x {parallelism}, {what}: rate", Artifacts / seconds, "/s");
        var cpu = server.Cpu - before;
        bench.Add($"artifacts x {parallelism}, {what}: CPU", cpu.Total * 1_000 / Artifacts, "ms");
        bench.Add($"artifacts x {parallelism}, {what}: CPU without kernel", cpu.Program * 1_000 / Artifacts, "ms");
    }

    private static Task PushManyAsync(
        RegistryClient client, int parallelism, int first, int count, Func<int, string> repository) => Parallel.ForAsync(
        first,
        first + count,
        new ParallelOptions { MaxDegreeOfParallelism = parallelism },
        async (i, _) => await PushAsync(client, repository(i), i));

    private static async Task PushAsync(RegistryClient client, string repository, int index)
    {
        var layer = new Noise(Seed: index * 2L, Length: 1024);
        var config = new Noise(Seed: (index * 2L) + 1, Length: 1024);
        var layerDigest = await client.PushByPutAsync(repository, layer);
        var configDigest = await client.PushByPutAsync(repository, config);
        var manifest = ArtifactManifest.Of(configDigest, config.Length, layerDigest, layer.Length);
        await client.PutManifestAsync(repository, $"tag-{index}", manifest);
    }
}
