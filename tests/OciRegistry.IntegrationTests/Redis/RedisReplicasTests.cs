using System.Collections.Concurrent;
using System.Globalization;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>Two replicas of a registry, and one Redis between them.</summary>
public sealed class RedisReplicasTests : IAsyncLifetime
{
    private const string Name = "uploads/1";
    private const string Key = "oci-registry:{uploads/1}:lock";
    private const string Queue = "oci-registry:{uploads/1}:queue";
    private static readonly TimeSpan LongWait = Until.Patience;
    private static readonly TimeSpan ShortLease = TimeSpan.FromSeconds(2);

    private readonly List<RedisReplica> _replicas = [];
    private RedisServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await RedisServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        foreach (var replica in _replicas)
        {
            await replica.DisposeAsync();
        }

        await _server.DisposeAsync();
    }

    [Fact]
    public async Task Many_who_contend_on_two_replicas_are_never_two_inside()
    {
        RedisReplica[] replicas = [await ReplicaAsync(), await ReplicaAsync()];
        var rounds = Counts.Of(ci: 50, full: 2_000);
        var inside = 0;
        var done = 0;
        await Until.DoneAsync(Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            for (var round = 0; round < rounds; round++)
            {
                await using var held = await replicas[i % 2].AcquireAsync(Name);
                Interlocked.Increment(ref inside).ShouldBe(1);
                await Task.Yield();
                Interlocked.Decrement(ref inside).ShouldBe(0);
                Interlocked.Increment(ref done);
            }
        }))));

        done.ShouldBe(8 * rounds);
        await IsEmptyAsync();
    }

    [Fact]
    public async Task Nobody_waits_while_others_have_several_turns()
    {
        var greedy = await ReplicaAsync();
        var waiter = await ReplicaAsync();
        for (var round = 0; round < Counts.Of(ci: 5, full: 200); round++)
        {
            // Those on the holder's own replica need no message to know that it is free.
            var held = await greedy.AcquireAsync(Name);
            var waiting = waiter.AcquireAsync(Name);
            await InQueueAsync();
            var turns = 0;
            var others = Enumerable.Range(0, 4).Select(_ => TakeTurnsAsync()).ToArray();
            await held.DisposeAsync();
            await using (await waiting)
            {
                Volatile.Read(ref turns).ShouldBe(0);
            }

            await Until.DoneAsync(Task.WhenAll(others));

            async Task TakeTurnsAsync()
            {
                for (var turn = 0; turn < 5; turn++)
                {
                    await using var taken = await greedy.AcquireAsync(Name);
                    Interlocked.Increment(ref turns);
                }
            }
        }
    }

    [Fact]
    public async Task First_come_is_first_served_across_replicas()
    {
        RedisReplica[] replicas = [await ReplicaAsync(), await ReplicaAsync(), await ReplicaAsync()];
        var held = await replicas[0].AcquireAsync(Name);
        var order = new ConcurrentQueue<int>();
        var waiting = new List<Task>();
        foreach (var i in (int[])[2, 1, 0])
        {
            waiting.Add(EnterAsync(i));
            var queued = i == 0 ? 2 : waiting.Count; // those of the holder's own replica wait in its process
            await Until.TrueAsync(async () => await _server.RunAsync("ZCARD", Queue) == $"{queued}", "it is in the queue");
        }

        await held.DisposeAsync();
        await Until.DoneAsync(Task.WhenAll(waiting));
        order.ShouldBe([2, 1, 0]);

        async Task EnterAsync(int i)
        {
            await using var entered = await replicas[i].AcquireAsync(Name);
            order.Enqueue(i);
        }
    }

    [Fact]
    public async Task A_waiter_is_woken_by_the_release()
    {
        // The waiter's time stands still: it looks once, and never again by itself.
        var holder = await ReplicaAsync();
        var waiter = await ReplicaAsync(time: new ManualTimeProvider());
        await SubscribedAsync(2);
        var held = await holder.AcquireAsync(Name);
        var waiting = waiter.AcquireAsync(Name);
        await Until.TrueAsync(() => waiter.Locks.InFlight == 0, "it has looked");
        waiting.IsCompleted.ShouldBeFalse();

        await held.DisposeAsync();
        await using var next = await waiting;
    }

    [Fact]
    public async Task A_waiter_that_hears_of_no_release_looks_by_itself()
    {
        var holder = await ReplicaAsync();
        var waiter = await ReplicaAsync();
        await using var held = await holder.AcquireAsync(Name);
        var waiting = waiter.AcquireAsync(Name);
        await InQueueAsync();
        (await _server.RunAsync("DEL", Key)).ShouldBe("1");
        await using var next = await waiting;
    }

    [Fact]
    public async Task The_holder_on_another_replica_is_asked_to_release_and_nobody_else()
    {
        var first = await ReplicaAsync();
        var second = await ReplicaAsync();
        await SubscribedAsync(2);
        await using var held = await first.AcquireAsync(Name);
        await using var other = await first.AcquireAsync("another");
        var waiting = second.AcquireAsync(Name);
        await second.Locks.RequestReleaseAsync(Name, default);
        await Until.TrueAsync(() => held.ReleaseRequested.IsCancellationRequested, "the holder is asked");
        other.ReleaseRequested.IsCancellationRequested.ShouldBeFalse();

        await held.DisposeAsync();
        await using var next = await waiting;
        next.ReleaseRequested.IsCancellationRequested.ShouldBeFalse();
    }

    [Fact]
    public async Task Who_does_not_want_to_wait_is_answered_at_once_and_leaves_nothing()
    {
        var first = await ReplicaAsync();
        var second = await ReplicaAsync();
        await using (var held = await first.AcquireAsync(Name))
        {
            (await second.TryAsync(Name)).ShouldBeNull();
            (await _server.RunAsync("EXISTS", Queue)).ShouldBe("0");
            (await second.TryAsync(Name, TimeSpan.FromMilliseconds(300))).ShouldBeNull();
            (await _server.RunAsync("EXISTS", Queue)).ShouldBe("0");
        }

        await IsEmptyAsync();
    }

    [Fact]
    public async Task Who_is_cancelled_while_waiting_leaves_the_queue()
    {
        var first = await ReplicaAsync();
        var second = await ReplicaAsync();
        await using (var held = await first.AcquireAsync(Name))
        {
            using var cancellation = new CancellationTokenSource();
            var waiting = second.Locks.TryAcquireAsync(Name, LongWait, cancellation.Token).AsTask();
            await InQueueAsync();
            await cancellation.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(Until.DoneAsync(waiting));
            (await _server.RunAsync("EXISTS", Queue)).ShouldBe("0");
        }

        await IsEmptyAsync();
    }

    [Fact]
    public async Task A_lock_that_is_extended_outlives_its_lease()
    {
        var replica = await ReplicaAsync(ShortLease);
        await using var held = await replica.AcquireAsync(Name);
        var token = await _server.RunAsync("GET", Key);
        token.ShouldNotBeEmpty();

        // It was extended when it has more time left than it can have otherwise.
        for (var left = long.MaxValue; ;)
        {
            var now = long.Parse(await _server.RunAsync("PTTL", Key), CultureInfo.InvariantCulture);
            now.ShouldBeInRange(1, 2000);
            if (now > left)
            {
                break;
            }

            left = now;
        }

        (await _server.RunAsync("GET", Key)).ShouldBe(token);
        held.Lost.IsCancellationRequested.ShouldBeFalse();
    }

    [Fact]
    public async Task A_holder_that_is_killed_keeps_the_lock_for_its_lease_and_no_longer()
    {
        var first = await ReplicaAsync(ShortLease);
        var second = await ReplicaAsync(ShortLease);
        await first.AcquireAsync(Name);
        var waiting = second.AcquireAsync(Name);
        await InQueueAsync();
        waiting.IsCompleted.ShouldBeFalse();

        await first.DisposeAsync();
        await using var next = await waiting;
    }

    [Fact]
    public async Task A_waiter_that_is_killed_holds_up_nobody()
    {
        var holder = await ReplicaAsync();
        var dead = await ReplicaAsync();
        var waiter = await ReplicaAsync();
        var held = await holder.AcquireAsync(Name);
        _ = dead.TryAsync(Name, LongWait);
        await InQueueAsync();
        var waiting = waiter.AcquireAsync(Name);
        await InQueueAsync(2);

        await dead.DisposeAsync();
        await held.DisposeAsync();
        await using var next = await waiting;
    }

    [Theory]
    [InlineData("FLUSHALL")]
    [InlineData("DEL", Key)]
    [InlineData("SET", Key, "somebody else")]
    [InlineData("PEXPIRE", Key, "1")]
    public async Task A_lock_that_is_gone_is_lost(params string[] command)
    {
        var replica = await ReplicaAsync(ShortLease);
        await using var held = await replica.AcquireAsync(Name);
        await _server.RunAsync(command);
        await Until.TrueAsync(() => held.Lost.IsCancellationRequested, "the lock is lost");
        (await _server.RunAsync("EXISTS", Key)).ShouldBe(command is ["SET", ..] ? "1" : "0"); // it is not made anew
    }

    [Fact]
    public async Task A_lock_of_somebody_else_is_neither_extended_nor_released()
    {
        var replica = await ReplicaAsync(ShortLease);
        var held = await replica.AcquireAsync(Name);
        await _server.RunAsync("SET", Key, "somebody else", "PX", "1000000");
        await Until.TrueAsync(() => held.Lost.IsCancellationRequested, "the lock is lost");
        await held.DisposeAsync();

        (await _server.RunAsync("GET", Key)).ShouldBe("somebody else");
        long.Parse(await _server.RunAsync("PTTL", Key), CultureInfo.InvariantCulture).ShouldBeGreaterThan(900_000);
    }

    [Fact]
    public async Task A_lock_that_is_lost_is_free_for_others_on_the_same_replica()
    {
        var replica = await ReplicaAsync(ShortLease);
        await using var held = await replica.AcquireAsync(Name);
        var waiting = replica.AcquireAsync(Name);
        await _server.RunAsync("DEL", Key);
        var next = await waiting;
        held.Lost.IsCancellationRequested.ShouldBeTrue();
        await held.DisposeAsync();
        (await _server.RunAsync("EXISTS", Key)).ShouldBe("1"); // that of the next
        await replica.Locks.RequestReleaseAsync(Name, default);
        await Until.TrueAsync(() => next.ReleaseRequested.IsCancellationRequested, "the next is asked");
        await next.DisposeAsync();
        await IsEmptyAsync();
    }

    [Fact]
    public async Task Registries_with_different_prefixes_do_not_meet()
    {
        var replica = await ReplicaAsync();
        await using var other = new RedisReplica([_server.Address], prefix: "other:");
        await using var held = await replica.AcquireAsync(Name);
        await using var another = await other.AcquireAsync(Name);
        (await _server.RunAsync("EXISTS", Key, Key.Replace("oci-registry:", "other:", StringComparison.Ordinal))).ShouldBe("2");
    }

    [Fact]
    public async Task Every_key_expires()
    {
        var first = await ReplicaAsync();
        var second = await ReplicaAsync();
        await using var held = await first.AcquireAsync(Name);
        var waiting = second.TryAsync(Name, LongWait);
        await InQueueAsync();
        foreach (var key in (await _server.RunAsync("KEYS", "*")).Split('\n'))
        {
            (await _server.RunAsync("PTTL", key)).ShouldNotBe("-1", key);
        }

        await held.DisposeAsync();
        await (await Until.DoneAsync(waiting))!.DisposeAsync();
    }

    private async Task<RedisReplica> ReplicaAsync(TimeSpan? lease = null, TimeProvider? time = null)
    {
        var replica = new RedisReplica(_server, lease, time);
        _replicas.Add(replica);
        await replica.WorksAsync();
        return replica;
    }

    private Task InQueueAsync(int waiters = 1) => Until.TrueAsync(
        async () => await _server.RunAsync("ZCARD", Queue) == $"{waiters}", $"{waiters} are in the queue");

    private Task SubscribedAsync(int replicas) => Until.TrueAsync(
        async () => (await _server.RunAsync("PUBSUB", "NUMSUB", "oci-registry:locks")).EndsWith($"\n{replicas}", StringComparison.Ordinal),
        $"{replicas} replicas listen");

    private async Task IsEmptyAsync() => (await _server.RunAsync("KEYS", "*")).ShouldBeEmpty();
}
