using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// R1 and R3 for whatever clients may do: random histories of upload sessions on two replicas, each answer held against
/// a model of what it may be.
/// </summary>
public sealed class ModelTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Locks.Granted, Weaknesses.Slow)]
    [InlineData(Locks.Never, Weaknesses.Slow)]
    [InlineData(Locks.Granted, Weaknesses.All)]
    [InlineData(Locks.Never, Weaknesses.All)]
    public async Task Whatever_clients_do_and_whichever_replica_dies_no_acknowledged_byte_is_lost_or_wrong(
        Locks locks, Weaknesses weaknesses)
    {
        var seed = Seed.Next(output);
        var mayFail = (weaknesses & (Weaknesses.Failing | Weaknesses.Tearing)) != 0;
        using var storage = new ReplicaStorage();
        var weak = new WeakStorage(seed, weaknesses, secondsPerSecond: 0.002);
        await using (var replicas = new Replicas(storage, locks, weak))
        {
            await replicas.StartAsync(2);
            var certain = 0;
            for (var round = 0; round < Counts.Of(ci: 10, full: 300); round++)
            {
                // A seed that was given is repeated: the same requests meet each other at other moments.
                var own = Seed.IsGiven ? seed : unchecked(seed + round);
                var history = new UploadHistory(replicas, storage, own, mayCrash: own % 3 == 0, mayFail);
                try
                {
                    await history.RunAsync();
                }
                catch (Exception e)
                {
                    var logged = string.Join(Environment.NewLine, replicas.All.SelectMany(replica => replica.Registry.Log.Lines).TakeLast(3));
                    throw new InvalidOperationException(
                        $"OCI_REGISTRY_TEST_SEED={own}, {locks}, {weaknesses}:{Environment.NewLine}{history.Trace}"
                        + $"{Environment.NewLine}{logged}",
                        e);
                }

                certain += history.Certain;
            }

            output.WriteLine($"{certain} answers were certain, {replicas.Died} replicas died");
        }

        var time = new ManualTimeProvider();
        await using var sweeper = await FaultyRegistry.StartAsync(root: storage.Root, time: time);
        time.Advance(TimeSpan.FromDays(8));
        await sweeper.SweepAsync();
        sweeper.UploadFiles().ShouldBeEmpty();
        sweeper.AssertBlobsAreWhole();
    }
}
