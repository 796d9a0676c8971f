using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R1 with three processes: one is killed or stopped in mid-upload, and the others go on with its sessions.</summary>
public sealed class LostReplicaTests
{
    // Rounds spend their time waiting.
    private static readonly ParallelOptions Some = new() { MaxDegreeOfParallelism = 5 };

    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_session_whose_writer_is_killed_is_gone_on_with_by_another(Shared shared)
    {
        // R1.1, R1.3
        await using var replicas = await ReplicaSet.StartAsync(shared);
        for (var round = 0; round < Counts.Of(ci: 2, full: 50); round++)
        {
            var content = RegistryClient.RandomBytes(2_000_000);
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            var victim = replicas.Choose(3);
            var acknowledged = replicas.Choose(2) * 500_000;
            if (acknowledged > 0)
            {
                using var first = await replicas[victim].Http.PatchAsync(location, content[..acknowledged]);
                location = first.Headers.Location!.ToString();
            }

            using (var upload = await RawUpload.StartAsync(replicas[victim].Http.BaseAddress!, "PATCH", location, content.Length - acknowledged))
            {
                await upload.SendAsync(content.AsMemory(acknowledged, 1_000_000));
                var goesOn = replicas[(victim + 1) % 3];
                await Until.TrueAsync(async () => await goesOn.Http.OffsetAsync(location) > acknowledged, "some of it is on record");
                await replicas[victim].KillAsync();
            }

            var next = replicas[(victim + 2) % 3];
            using (var status = await next.Http.GetAsync(new Uri(location, UriKind.Relative)))
            {
                await status.ShouldHaveStatusAsync(HttpStatusCode.NoContent);
                location = status.Headers.Location!.ToString();
                acknowledged = RegistryClient.OffsetOf(status);
            }

            using (var rest = await next.Http.PatchAsync(location, content[acknowledged..]))
            {
                await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            }

            using (var closed = await replicas[(victim + 1) % 3].Http.CompleteAsync(location, Digest.Of(content).ToString()))
            {
                await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            }

            await replicas.StartAsync(victim);
            await replicas.ShouldServeAsync(_repository, content);
            await replicas.AssertNoLockIsHeldAsync();
        }

        (await replicas.Storage.RemainsAsync()).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_session_that_is_cancelled_elsewhere_ends_the_request_that_writes_to_it(Shared shared)
    {
        // R1.5
        await using var replicas = await ReplicaSet.StartAsync(shared);
        await Parallel.ForAsync(0, Counts.Of(ci: 3, full: 100), Some, async (_, end) =>
        {
            var location = await replicas[0].Http.NewUploadAsync(_repository);
            using var writing = await RawUpload.StartAsync(replicas[0].Http.BaseAddress!, "PATCH", location, 1_000_000);
            await writing.SendAsync(RegistryClient.RandomBytes(500_000));
            await Until.TrueAsync(async () => await replicas[1].Http.OffsetAsync(location) > 0, "it is on record");
            (await replicas[1].Http.DeleteAsync(location, end)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
            (await replicas[2].Http.DeleteAsync(location, end)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            await writing.SendAsync(RegistryClient.RandomBytes(500_000));
            (await writing.StatusAsync()).ShouldBeOneOf(404, 409);
            using var patched = await replicas[2].Http.PatchAsync(location, [1]);
            patched.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        });

        await replicas.AssertNothingRemainsAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task Abandoned_sessions_of_all_replicas_expire(Shared shared)
    {
        // R1.6; the one that a request is writing to does not.
        await using var replicas = await ReplicaSet.StartAsync(
            shared, "OciRegistry:Uploads:IdleExpiry=00:00:04", "OciRegistry:Uploads:SweepInterval=00:00:00.5");
        var alive = await replicas[0].Http.NewUploadAsync(_repository);
        using var slow = await RawUpload.StartAsync(replicas[0].Http.BaseAddress!, "PATCH", alive, 2_000);
        await slow.SendAsync(new byte[1_000]);
        await Parallel.ForAsync(0, Counts.Of(ci: 60, full: 2_000), async (_, _) =>
        {
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            using var patched = await replicas.Any.Http.PatchAsync(location, new byte[10_000]);
        });
        await Until.TrueAsync(
            async () => (await replicas.Storage.SessionsAsync()).Count == (shared.IsFolder() ? 2 : 1), // staged blocks are no blob yet
            "only the session that is being written to is left");
        await slow.SendAsync(new byte[1_000]);
        (await slow.StatusAsync()).ShouldBe(202);
        using var closed = await replicas[1].Http.CompleteAsync(alive, Digest.Of(new byte[2_000]).ToString());
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_Redis_that_forgets_everything_in_mid_push_costs_no_byte(Shared shared)
    {
        await using var replicas = await ReplicaSet.StartAsync(shared);
        await Parallel.ForAsync(0, Counts.Of(ci: 3, full: 100), Some, async (_, _) =>
        {
            var content = RegistryClient.RandomBytes(600_000);
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            using var writing = await RawUpload.StartAsync(replicas.Any.Http.BaseAddress!, "PATCH", location, 400_000);
            await writing.SendAsync(content.AsMemory(0, 200_000));
            await Until.TrueAsync(async () => await replicas.Any.Http.OffsetAsync(location) > 0, "it is on record");
            await replicas.Redis!.RunAsync("FLUSHALL");
            await writing.SendAsync(content.AsMemory(200_000, 200_000));
            (await writing.StatusAsync()).ShouldBe(202);
            using (var rest = await replicas.Any.Http.PatchAsync(location, content[400_000..], "400000-599999"))
            {
                await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            }

            await replicas.Redis.RunAsync("FLUSHALL");
            using var closed = await replicas.Any.Http.CompleteAsync(location, Digest.Of(content).ToString());
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            await replicas.ShouldServeAsync(_repository, content);
        });

        await replicas.AssertNoLockIsHeldAsync();
        (await replicas.Storage.RemainsAsync()).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_rolling_restart_fails_no_push_of_a_client_that_retries(Shared shared)
    {
        // R1.7: every replica in turn, while many push.
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var layer = RegistryClient.RandomBytes(Counts.Of(ci: 3, full: 200) * 1_000_000);
        using var done = new CancellationTokenSource();
        var pushing = Enumerable.Range(0, Counts.Of(ci: 6, full: 50)).Select(_ => Task.Run(async () =>
        {
            var pushed = 0;
            while (!done.IsCancellationRequested || pushed == 0)
            {
                await new RetryingClient(replicas, _repository).PushAsync(RegistryClient.RandomBytes(16), layer);
                pushed++;
            }

            return pushed;
        })).ToArray();
        for (var i = 0; i < 3; i++)
        {
            await replicas[i].StopAsync();
            await replicas.StartAsync(i);
        }

        await done.CancelAsync();
        (await Task.WhenAll(pushing)).ShouldAllBe(pushed => pushed > 0);
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }
}
