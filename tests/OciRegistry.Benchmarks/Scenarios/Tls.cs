using System.Diagnostics;
using System.Net;
using OciRegistry.Benchmarks.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>What a GiB costs over plain HTTP/1.1, TLS and HTTP/2, beside docker-registry, in turns.</summary>
internal sealed class Tls : IScenario
{
    private const string Repository = "bench/tls";
    private const int Parallelism = 4;
    private const int Rounds = 5;

    // Until its code has been compiled for good, ours spends more on that than on bytes.
    private const int RoundsBefore = 3;

    private const int Pulls = 12;
    private const int PulledLength = 100 << 20;
    private const int Pushes = 40;
    private const int PushedLength = 10 << 20;
    private const double GiB = 1 << 30;

    // Most of docker-registry's CPU time that ours may take.
    private const double Aim = 0.8;

    private long _lastSeed;

    public string Name => "tls";

    public string Description => "CPU time per GiB pulled and pushed over HTTP/1.1, TLS and HTTP/2, beside docker-registry";

    public double DiskGiB => 12;

    public async Task RunAsync(Bench bench)
    {
        var certificate = await TestCertificate.WriteAsync(bench.Folder);
        await MeasureAsync(bench, "HTTP/1.1", HttpVersion.Version11, null);
        await MeasureAsync(bench, "TLS HTTP/1.1", HttpVersion.Version11, certificate);
        await MeasureAsync(bench, "TLS HTTP/2", HttpVersion.Version20, certificate);
    }

    private async Task MeasureAsync(
        Bench bench, string protocol, Version version, (string Certificate, string Key)? certificate)
    {
        const string oursAt = "ours", theirsAt = "theirs";
        await using (var ours = certificate is { } files
            ? await bench.StartTlsServerAsync(oursAt, files)
            : await bench.StartServerAsync(oursAt))
        await using (var theirs = await ServerProcess.StartDistributionAsync(bench.StorageFolder(theirsAt), certificate))
        {
            using var ourClient = new RegistryClient(ours.Address, version: version);
            using var theirClient = new RegistryClient(theirs.Address, version: version);
            Side[] sides = [new("ours", ours, ourClient), new("docker-registry", theirs, theirClient)];
            var blobs = Enumerable.Range(1, Parallelism).Select(i => new Noise(-i, PulledLength)).ToArray();
            var digests = blobs.Select(blob => blob.Digest()).ToArray();
            foreach (var side in sides)
            {
                await RunAsync(300, _ => side.Client.PushByPatchAsync(Repository, new Noise(Interlocked.Increment(ref _lastSeed), 1024)));
                foreach (var blob in blobs)
                {
                    await side.Client.PushByPatchAsync(Repository, blob);
                }
            }

            await CompareAsync(bench, $"GET 100 MiB x 4, {protocol}", sides, Pulls, PulledLength, (client, i) =>
                client.PullAsync(Repository, digests[i % Parallelism], PulledLength, verify: false));
            await CompareAsync(bench, $"PATCH 10 MiB x 4, {protocol}", sides, Pushes, PushedLength, (client, _) =>
                client.PushByPatchAsync(Repository, new Noise(Interlocked.Increment(ref _lastSeed), PushedLength)));
        }

        Directory.Delete(bench.StorageFolder(oursAt), recursive: true);
        Directory.Delete(bench.StorageFolder(theirsAt), recursive: true);
    }

    private static async Task CompareAsync(
        Bench bench, string what, Side[] sides, int count, long length, Func<RegistryClient, int, Task> transfer)
    {
        foreach (var side in sides)
        {
            await RunAsync(RoundsBefore * count, i => transfer(side.Client, i));
        }

        var figures = sides.Select(_ => (Cpu: new List<double>(), Rate: new List<double>())).ToArray();
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var (side, figure) in sides.Zip(figures))
            {
                var cpu = side.Server.Cpu;
                var started = Stopwatch.GetTimestamp();
                await RunAsync(count, i => transfer(side.Client, i));
                figure.Rate.Add(count * length / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds);
                figure.Cpu.Add((side.Server.Cpu - cpu).Total / (count * length / GiB));
            }
        }

        foreach (var (side, figure) in sides.Zip(figures))
        {
            bench.Add($"{what}, {side.Name}: rate", Samples.Median(figure.Rate), "MB/s");
            bench.Add($"{what}, {side.Name}: CPU", Samples.Median(figure.Cpu), "s/GiB");
        }

        var ratios = figures[0].Cpu.Zip(figures[1].Cpu, (ours, theirs) => ours / theirs);
        bench.Add($"{what}: our CPU is", Samples.Median(ratios), "of theirs", Aim);
    }

    private static Task RunAsync(int count, Func<int, Task> action) => Parallel.ForAsync(
        0, count, new ParallelOptions { MaxDegreeOfParallelism = Parallelism }, async (i, _) => await action(i));

    private sealed record Side(string Name, ServerProcess Server, RegistryClient Client);
}
