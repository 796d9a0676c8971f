using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R1.8, R3.2, R3.10 with three processes: one is held (SIGSTOP) while it works, and wakes when others have gone on.</summary>
public sealed class HeldReplicaTests(ITestOutputHelper output)
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_writer_that_is_held_for_longer_than_its_lease_is_fenced_when_it_wakes(Shared shared)
    {
        // R1.8, R3.2: held, the client gives up and repeats the same elsewhere; it wakes before, or after the close.
        await using var replicas = await ReplicaSet.StartAsync(shared);
        for (var round = 0; round < Counts.Of(ci: 2, full: 100); round++)
        {
            var content = RegistryClient.RandomBytes(300_000);
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            var held = replicas.Choose(3);
            using var first = await RawUpload.StartAsync(replicas[held].Http.BaseAddress!, "PATCH", location, content.Length);
            await first.SendAsync(RegistryClient.RandomBytes(200_000));
            await Until.TrueAsync(
                async () => await replicas[(held + 1) % 3].Http.OffsetAsync(location) > 0, "the first is on record");
            await replicas.PauseAsync(held);
            string end;
            using (var second = await replicas[(held + 1) % 3].Http.PatchAsync(location, content, chunked: true))
            {
                await second.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                end = second.Headers.Location!.ToString();
                end.ShouldEndWith("offset=300000");
            }

            var wakesBetween = round % 2 == 0;
            if (wakesBetween)
            {
                replicas[held].Resume();
            }

            using (var closed = await replicas[(held + 2) % 3].Http.CompleteAsync(end, Digest.Of(content).ToString()))
            {
                await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            }

            if (!wakesBetween)
            {
                replicas[held].Resume();
            }

            await first.SendAsync(RegistryClient.RandomBytes(100_000));
            (await first.StatusAsync()).ShouldBeOneOf(409, 404);
            await replicas.ShouldServeAsync(_repository, content);
        }

        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task No_push_of_a_client_with_short_patience_fails_while_replicas_are_held_now_and_then(Shared shared)
    {
        // R3.10: a client as Jib with a read time-out of two seconds, and replicas that do not answer for up to three.
        await using var replicas = await ReplicaSet.StartAsync(shared);
        using var done = new CancellationTokenSource();
        var holding = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                var held = replicas.Any;
                held.Pause();
                await Task.Delay(replicas.Choose(3_000));
                held.Resume();
                await Task.Delay(replicas.Choose(1_000));
            }
        });
        var repeated = 0;
        await Parallel.ForAsync(
            0,
            Counts.Of(ci: 4, full: 100),
            new ParallelOptions { MaxDegreeOfParallelism = 4 }, // the patience is for the whole request, this machine's load too
            async (_, _) =>
            {
                var client = new RetryingClient(replicas, RegistryClient.NewRepository(), TimeSpan.FromSeconds(2));
                await Task.WhenAll(Enumerable.Range(0, 8).Select(
                    _ => client.PushAsync(RegistryClient.RandomBytes(Counts.Of(ci: 200_000, full: 1_000_000)))));
                Interlocked.Add(ref repeated, client.Repeated);
            });
        await done.CancelAsync();
        await holding;
        output.WriteLine($"{repeated} requests were repeated.");
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_client_that_loses_patience_with_a_held_replica_is_served_by_another(Shared shared)
    {
        // R3.2 with Jib's own 20 s in the stress run: every request to the held replica is given up and sent to any.
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var patience = TimeSpan.FromSeconds(Counts.Of(ci: 2, full: 20));
        var clients = Enumerable.Range(0, 12).Select(_ => new RetryingClient(replicas, _repository, patience)).ToArray();
        var held = replicas[0];
        held.Pause();
        var pushing = clients.Select(client => client.PushAsync(RegistryClient.RandomBytes(2_000_000))).ToArray();
        await Task.Delay(patience * 1.5);
        held.Resume();
        await Task.WhenAll(pushing);
        clients.Sum(client => client.Repeated).ShouldBeGreaterThan(0);
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }
}
