using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>A large blob must pass through, not pile up.</summary>
internal sealed class MemoryLarge : IScenario
{
    private const double AimMiB = 120;

    public string Name => "memory-large";

    public string Description => "peak memory while one blob of 2 GiB is pushed and pulled";

    public double DiskGiB => 2.5;

    public async Task RunAsync(Bench bench)
    {
        var blob = new Noise(Seed: 1, Length: 2L << 30);
        await using var server = await bench.StartServerAsync();
        bench.Add("peak RSS after the start", server.PeakMemoryMiB, "MiB");

        var digest = await server.Client.PushByPatchAsync("bench/large", blob);
        bench.Add("peak RSS, 2 GiB pushed", server.PeakMemoryMiB, "MiB", AimMiB);

        await server.Client.PullAsync("bench/large", digest, blob.Length, verify: true);
        bench.Add("peak RSS, 2 GiB pushed and pulled", server.PeakMemoryMiB, "MiB", AimMiB);
    }
}
