using System.Text;
using OciRegistry.Coordination;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// R3.9: R0 to R4 over a storage that is late, failing, slow and tearing, shared by two replicas. What keeps them is
/// confirmation and compare-and-swap, not luck.
/// </summary>
public sealed class WeakStorageTests(ITestOutputHelper output)
{
    /// <summary>Shorter than Jib's 20 s, so that clients repeat requests that still run.</summary>
    private static readonly TimeSpan ReadTimeout = TimeSpan.FromSeconds(6);

    [Theory]
    [InlineData(Weaknesses.Late, Locks.Granted)]
    [InlineData(Weaknesses.Late, Locks.Never)]
    [InlineData(Weaknesses.Failing, Locks.Granted)]
    [InlineData(Weaknesses.Failing, Locks.Never)]
    [InlineData(Weaknesses.Slow, Locks.Granted)]
    [InlineData(Weaknesses.Slow, Locks.Never)]
    [InlineData(Weaknesses.Tearing, Locks.Granted)]
    [InlineData(Weaknesses.Tearing, Locks.Never)]
    [InlineData(Weaknesses.All, Locks.Granted)]
    [InlineData(Weaknesses.All, Locks.Never)]
    public async Task Every_push_ends_in_201_and_is_whole_for_everybody_from_then_on(Weaknesses weaknesses, Locks locks)
    {
        var seed = Seed.Next(output);
        var random = new Random(seed);
        var weak = new WeakStorage(seed, weaknesses);
        var lockService = new InProcessLocks(TimeProvider.System);
        var folder = Directory.CreateTempSubdirectory("oci-registry-").FullName;
        try
        {
            var replicas = new List<FaultyRegistry>();
            for (var i = 0; i < 2; i++)
            {
                replicas.Add(await FaultyRegistry.StartAsync(
                    locks, Settings, root: folder, weak: weak, lockService: lockService));
            }

            var mayFail = (weaknesses & (Weaknesses.Failing | Weaknesses.Tearing)) != 0;
            PatientClient NewClient() =>
                new(replicas, random.Next(), ReadTimeout * WeakStorage.DefaultSecondsPerSecond, mayFail);
            var clients = new List<PatientClient>();
            var pushes = new List<Task>();
            for (var i = 0; i < Counts.Of(ci: 8, full: 60); i++)
            {
                clients.Add(NewClient());
                pushes.Add(clients[^1].PushBlobAsync(RegistryClient.NewRepository(), NewContent(random)));
            }

            for (var i = 0; i < Counts.Of(ci: 2, full: 20); i++)
            {
                clients.Add(NewClient());
                byte[][] layers = [.. Enumerable.Range(0, 3).Select(_ => NewContent(random))];
                var config = Encoding.UTF8.GetBytes($$"""{"architecture":"amd64","os":"linux","id":"{{Guid.NewGuid()}}"}""");
                pushes.Add(clients[^1].PushImageAsync(RegistryClient.NewRepository(), "v1", config, layers));
            }

            await Task.WhenAll(pushes);
            output.WriteLine(
                $"{clients.Sum(client => client.TimedOut)} timed out, {clients.Sum(client => client.Repeated)} repeated");

            foreach (var replica in replicas)
            {
                await replica.AssertNoLockIsHeldAsync();
                await replica.DisposeAsync(); // it waits for the requests whose clients have gone
                replica.Log.Lines.ShouldNotContain(line => line.Contains("no longer has", StringComparison.Ordinal));
            }

            await AssertNothingIsLeftAsync(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Settings(UploadOptions uploads)
    {
        uploads.OrderWait = TimeSpan.FromSeconds(10) * WeakStorage.DefaultSecondsPerSecond;
        uploads.FenceWait = TimeSpan.FromSeconds(1) * WeakStorage.DefaultSecondsPerSecond;
        uploads.CommitWait = TimeSpan.FromSeconds(55);
    }

    /// <summary>A few reads of the body: each is a call that may be slow, fail or tear.</summary>
    private static byte[] NewContent(Random random) => RegistryClient.RandomBytes(random.Next(0, 40_000));

    /// <summary>A week later, on a replica whose storage is well.</summary>
    private static async Task AssertNothingIsLeftAsync(string folder)
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(root: folder, time: time);
        time.Advance(TimeSpan.FromDays(8));
        await registry.SweepAsync();
        registry.UploadFiles().ShouldBeEmpty();
        registry.AssertBlobsAreWhole();
        await registry.AssertNoLockIsHeldAsync();
    }
}
