using System.Diagnostics;
using OciRegistry.Benchmarks.Support;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>
/// A client that has sent its last byte should not wait for long, whatever the size: many give up after some seconds.
/// Closing waits until the bytes are on the disk, so the disk's own time for that is printed beside.
/// </summary>
internal sealed class Gap : IScenario
{
    private const string Repository = "bench/gap";

    // Until its code has been compiled for good, the server spends more on that than on bytes.
    private const int Warmup = 300;

    private long _lastSeed;

    public string Name => "gap";

    public string Description => "time from the last byte of a PATCH and of the closing PUT to the answer; 1 MiB, 100 MiB, 2 GiB";

    public double DiskGiB => 8.5;

    public async Task RunAsync(Bench bench)
    {
        await MeasureAsync(bench, "1 MiB", 1L << 20, rounds: 50);
        await MeasureAsync(bench, "100 MiB", 100L << 20, rounds: 10);
        await MeasureAsync(bench, "2 GiB", 2L << 30, rounds: 3);
    }

    private async Task MeasureAsync(Bench bench, string size, long length, int rounds)
    {
        const string storage = "push";
        var patched = new List<double>();
        var closed = new List<double>();
        var synced = new List<double>();
        await using (var server = await bench.StartServerAsync(storage))
        {
            for (var i = 0; i < Warmup; i++)
            {
                await server.Client.PushByPatchAsync(Repository, NewNoise(1024));
            }

            await server.Client.PushByPatchAsync(Repository, NewNoise(100 << 20));
            using var connection = new TimedConnection(server.Address);
            for (var round = 0; round < rounds; round++)
            {
                var blob = NewNoise(length);
                var digest = blob.Digest();
                var patch = connection.Patch(await server.Client.StartUploadAsync(Repository), blob);
                patched.Add(patch.MillisecondsAfterLastByte);
                closed.Add(connection.Put(RegistryClient.Closing(patch.Location, digest)).MillisecondsAfterLastByte);
                synced.Add(SyncMilliseconds(bench, blob));
            }
        }

        Directory.Delete(bench.StorageFolder(storage), recursive: true);
        Add(bench, $"PATCH {size}", patched);
        Add(bench, $"closing PUT {size}", closed);
        Add(bench, $"the disk's own sync of {size}", synced);
    }

    private static void Add(Bench bench, string what, List<double> times)
    {
        bench.Add($"{what}: median", Samples.Median(times), "ms");
        bench.Add($"{what}: max", times.Max(), "ms");
    }

    /// <summary>How long the disk takes for bytes that were written a moment ago.</summary>
    private static double SyncMilliseconds(Bench bench, Noise noise)
    {
        var path = Path.Combine(bench.Folder, "written");
        var block = new byte[Noise.BlockSize];
        using var file = Posix.OpenReadWrite(path, create: true)!;
        for (long offset = 0; offset < noise.Length; offset += Noise.BlockSize)
        {
            RandomAccess.Write(file, block.AsSpan(0, noise.Read(block, offset)), offset);
        }

        var started = Stopwatch.GetTimestamp();
        Posix.Sync(file);
        var elapsed = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        File.Delete(path);
        return elapsed;
    }

    private Noise NewNoise(long length) => new(++_lastSeed, length);
}
