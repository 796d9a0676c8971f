using System.Diagnostics;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>
/// Over Azurite: pushes and pulls beside what its own client library puts and gets alone, in the same blocks; what a client
/// waits for after its last byte; and memory.
/// </summary>
internal sealed class AzureBlobs : IScenario
{
    private const string Repository = "bench/azure";
    private const int BlockSize = 8 << 20;
    private const int AtOnce = 4;
    private const long Length = 256L << 20;

    private long _lastSeed = 1_000_000;

    public string Name => "azure";

    public string Description => "over Azurite: push and pull beside its own put and get, the gap after the last byte, memory of 50 pushes";

    public double DiskGiB => 16;

    public async Task RunAsync(Bench bench)
    {
        await using var azurite = await AzuriteServer.StartAsync(bench.StorageFolder("azurite"));
        await using (var server = await bench.StartServerAsync(azurite, "speed"))
        {
            await SpeedAsync(bench, azurite, server);
            await GapAsync(bench, server, "1 MiB", 1L << 20, rounds: 20);
            await GapAsync(bench, server, "100 MiB", 100L << 20, rounds: 5);
            await GapAsync(bench, server, "1 GiB", 1L << 30, rounds: 2);
        }

        await using (var server = await bench.StartServerAsync(azurite, "memory"))
        {
            var blobs = Enumerable.Range(0, 50).Select(_ => NewNoise(100 << 20)).ToList();
            var started = Stopwatch.GetTimestamp();
            await Task.WhenAll(blobs.Select(blob => server.Client.PushByPatchAsync(Repository, blob)));
            bench.Add("50 pushes of 100 MiB at once: time", Stopwatch.GetElapsedTime(started).TotalSeconds, "s");
            bench.Add("50 pushes of 100 MiB at once: peak RSS", server.PeakMemoryMiB, "MiB", 250);
        }
    }

    private async Task SpeedAsync(Bench bench, AzuriteServer azurite, ServerProcess server)
    {
        var container = new BlobContainerClient(azurite.ConnectionString, "raw");
        await container.CreateAsync();
        var (put, get, push, pull) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < 4; round++)
        {
            var blob = container.GetBlockBlobClient($"{round}");
            var noise = NewNoise(Length);
            var (putSpeed, getSpeed) = (await SpeedAsync(() => PutAsync(blob, noise)), await SpeedAsync(() => GetAsync(blob)));
            Digest digest = default;
            var pushed = NewNoise(Length);
            var pushSpeed = await SpeedAsync(async () => digest = await server.Client.PushByPatchAsync(Repository, pushed, isChunked: false));
            var pullSpeed = await SpeedAsync(() => server.Client.PullAsync(Repository, digest, Length, verify: false));
            if (round > 0) // the first compiles
            {
                put.Add(putSpeed);
                get.Add(getSpeed);
                push.Add(pushSpeed);
                pull.Add(pullSpeed);
            }
        }

        bench.Add("put by the client library alone", Samples.Median(put), "MB/s");
        bench.Add("push", Samples.Median(push), "MB/s");
        bench.Add("push: share of put", Samples.Median(push) / Samples.Median(put), "");
        bench.Add("get by the client library alone", Samples.Median(get), "MB/s");
        bench.Add("pull", Samples.Median(pull), "MB/s");
        bench.Add("pull: share of get", Samples.Median(pull) / Samples.Median(get), "");
    }

    private async Task GapAsync(Bench bench, ServerProcess server, string size, long length, int rounds)
    {
        var (patched, closed) = (new List<double>(), new List<double>());
        using var connection = new TimedConnection(server.Address);
        for (var round = 0; round < rounds; round++)
        {
            var blob = NewNoise(length);
            var digest = blob.Digest();
            var patch = connection.Patch(await server.Client.StartUploadAsync(Repository), blob);
            patched.Add(patch.MillisecondsAfterLastByte);
            closed.Add(connection.Put(RegistryClient.Closing(patch.Location, digest)).MillisecondsAfterLastByte);
        }

        bench.Add($"PATCH {size}, last byte to answer: median", Samples.Median(patched), "ms");
        bench.Add($"closing PUT {size}: median", Samples.Median(closed), "ms");
    }

    /// <summary>As the registry does it: blocks with checksums, some at once, and a list.</summary>
    private static async Task PutAsync(BlockBlobClient blob, Noise noise)
    {
        var ids = Enumerable.Range(0, (int)(Length / BlockSize)).Select(i => Convert.ToBase64String(BitConverter.GetBytes(i))).ToArray();
        var options = new BlockBlobStageBlockOptions
        {
            TransferValidation = new UploadTransferValidationOptions { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 },
        };
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = AtOnce };
        await Parallel.ForAsync(0, ids.Length, parallel, async (i, cancellation) =>
        {
            var block = new byte[BlockSize];
            for (var offset = 0; offset < BlockSize; offset += Noise.BlockSize)
            {
                noise.Read(block.AsSpan(offset, Noise.BlockSize), ((long)i * BlockSize) + offset);
            }

            await blob.StageBlockAsync(ids[i], new MemoryStream(block), options, cancellation);
        });
        await blob.CommitBlockListAsync(ids);
    }

    private static async Task GetAsync(BlockBlobClient blob)
    {
        using var content = (await blob.DownloadStreamingAsync()).Value.Content;
        var buffer = new byte[64 * 1024];
        while (await content.ReadAsync(buffer) > 0)
        {
            // As a client that only takes it.
        }
    }

    private static async Task<double> SpeedAsync(Func<Task> transfer)
    {
        var started = Stopwatch.GetTimestamp();
        await transfer();
        return Length / 1e6 / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private Noise NewNoise(long length) => new(++_lastSeed, length);
}
