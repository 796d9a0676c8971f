using System.Diagnostics;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>What a GiB and a request cost the server in processor time; the client's share is not counted.</summary>
internal sealed class Cpu : IScenario
{
    private const int Parallelism = 4;
    private const int Rounds = 3;
    private const double GiB = 1 << 30;
    private const string Repository = "bench/cpu";

    private long _lastSeed;

    public string Name => "cpu";

    public string Description => "CPU time of the server per GiB pushed and pulled, and per manifest";

    public double DiskGiB => 8;

    public async Task RunAsync(Bench bench)
    {
        bench.Add("the machine's own write and sync of 1 GiB: CPU", MachineFloors.WriteAndSync(bench.Folder).KernelCpuPerGiB, "s/GiB");
        await MeasureFreshAsync(bench, "push, PATCH chunked 128 MiB x 4", 8, 128 << 20, (c, b) => c.PushByPatchAsync(Repository, b));
        await MeasureFreshAsync(
            bench, "push, PATCH sized 128 MiB x 4", 8, 128 << 20, (c, b) => c.PushByPatchAsync(Repository, b, isChunked: false));
        await MeasureFreshAsync(bench, "push, PUT 10 MiB x 4", 100, 10 << 20, (c, b) => c.PushByPutAsync(Repository, b));

        await using var server = await bench.StartServerAsync();
        await MeasurePullsAsync(bench, server);
        await MeasureManifestsAsync(bench, server);
    }

    /// <summary>Pushes blobs in a server of its own, whose storage goes away afterwards.</summary>
    private async Task MeasureFreshAsync(
        Bench bench, string what, int count, int length, Func<RegistryClient, Noise, Task> push)
    {
        const string storage = "push";
        await using (var server = await bench.StartServerAsync(storage))
        {
            // Until its code has been compiled for good, the server spends more on that than on bytes.
            await RunAsync(300, () => push(server.Client, new Noise(Interlocked.Increment(ref _lastSeed), 1024)));
            await MeasureAsync(bench, server, what, count, length, () => push(server.Client, new Noise(Interlocked.Increment(ref _lastSeed), length)));
        }

        Directory.Delete(bench.StorageFolder(storage), recursive: true);
    }

    private static async Task MeasurePullsAsync(Bench bench, ServerProcess server)
    {
        var blobs = Enumerable.Range(1, Parallelism).Select(i => new Noise(-i, 100 << 20)).ToList();
        var digests = new List<Digest>();
        foreach (var blob in blobs)
        {
            digests.Add(await server.Client.PushByPatchAsync(Repository, blob));
        }

        var next = 0;
        await MeasureAsync(bench, server, "pull, GET 100 MiB x 4", 20, 100 << 20, () =>
            server.Client.PullAsync(Repository, digests[Interlocked.Increment(ref next) % Parallelism], blobs[0].Length, verify: false));
    }

    private static async Task MeasureAsync(
        Bench bench, ServerProcess server, string what, int count, long length, Func<Task> transfer)
    {
        await RunAsync(Parallelism, transfer);
        var cpu = new List<CpuTime>();
        var rates = new List<double>();
        for (var round = 0; round < Rounds; round++)
        {
            var (spent, seconds) = await TimeAsync(server, () => RunAsync(count, transfer));
            cpu.Add(spent);
            rates.Add(count * length / 1e6 / seconds);
        }

        bench.Add($"{what}: CPU", Samples.Median(cpu.Select(c => c.Total)) / (count * length / GiB), "s/GiB");
        bench.Add($"{what}: CPU without kernel", Samples.Median(cpu.Select(c => c.Program)) / (count * length / GiB), "s/GiB");
        bench.Add($"{what}: rate", Samples.Median(rates), "MB/s");
    }

    private static async Task MeasureManifestsAsync(Bench bench, ServerProcess server)
    {
        var layer = new Noise(Seed: -100, Length: 1024);
        var digest = await server.Client.PushByPutAsync(Repository, layer);
        var manifest = ArtifactManifest.Of(digest, layer.Length, digest, layer.Length);
        await server.Client.PutManifestAsync(Repository, "latest", manifest);

        foreach (var reference in (string[])["latest", Digest.Of(manifest).ToString()])
        {
            const int count = 20_000;
            Task GetAsync() => server.Client.GetAsync($"/v2/{Repository}/manifests/{reference}");
            await RunAsync(count, GetAsync);
            var cpu = new List<double>();
            var rates = new List<double>();
            for (var round = 0; round < Rounds; round++)
            {
                var (spent, seconds) = await TimeAsync(server, () => RunAsync(count, GetAsync));
                cpu.Add(spent.Total * 1_000 / count);
                rates.Add(count / seconds);
            }

            var what = reference == "latest" ? "manifest by tag x 4" : "manifest by digest x 4";
            bench.Add($"{what}: CPU", Samples.Median(cpu), "ms");
            bench.Add($"{what}: rate", Samples.Median(rates), "/s");
        }
    }

    private static Task RunAsync(int count, Func<Task> action) => Parallel.ForAsync(
        0, count, new ParallelOptions { MaxDegreeOfParallelism = Parallelism }, async (_, _) => await action());

    private static async Task<(CpuTime Cpu, double Elapsed)> TimeAsync(ServerProcess server, Func<Task> action)
    {
        var cpu = server.Cpu;
        var started = Stopwatch.GetTimestamp();
        await action();
        return (server.Cpu - cpu, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }
}
