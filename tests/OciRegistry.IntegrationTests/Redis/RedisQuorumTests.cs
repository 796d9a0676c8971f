using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>Three servers that know nothing of each other: what two of them say is so.</summary>
public sealed class RedisQuorumTests : IAsyncLifetime
{
    private const string Name = "uploads/1";
    private const string Key = "oci-registry:{uploads/1}:lock";
    private static readonly TimeSpan ShortLease = TimeSpan.FromSeconds(2);

    private RedisServer[] _servers = [];

    private string[] Configuration => [.. _servers.Select(server => server.Address)];

    public async ValueTask InitializeAsync() =>
        _servers = [await RedisServer.StartAsync(), await RedisServer.StartAsync(), await RedisServer.StartAsync()];

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
        {
            await server.DisposeAsync();
        }
    }

    [Fact]
    public async Task Many_who_contend_are_never_two_inside()
    {
        await using var first = new RedisReplica(Configuration);
        await using var second = new RedisReplica(Configuration);
        await using var third = new RedisReplica(Configuration);
        RedisReplica[] replicas = [first, second, third];
        var rounds = Counts.Of(ci: 20, full: 1_000);
        var inside = 0;
        await Until.DoneAsync(Task.WhenAll(Enumerable.Range(0, 9).Select(i => Task.Run(async () =>
        {
            for (var round = 0; round < rounds; round++)
            {
                await using var held = await replicas[i % 3].AcquireAsync(Name);
                Interlocked.Increment(ref inside).ShouldBe(1);
                await Task.Yield();
                Interlocked.Decrement(ref inside).ShouldBe(0);
            }
        }))));

        foreach (var server in _servers)
        {
            (await server.RunAsync("EXISTS", Key)).ShouldBe("0");
        }
    }

    [Fact]
    public async Task One_that_is_down_is_no_problem_and_two_are()
    {
        await using var replica = new RedisReplica(Configuration);
        await replica.WorksAsync();
        await _servers[0].KillAsync();
        await replica.WorksAsync();
        await Until.TrueAsync(() => replica.Warnings.Count == 1, "the loss of one server is logged");
        replica.Locks.Problem.ShouldBeNull();

        await _servers[2].KillAsync();
        await replica.FailsAsync($"Redis at {_servers[2].Address} cannot be reached.");
        replica.Locks.Problem!.ShouldContain(_servers[0].Address);
        (await _servers[1].RunAsync("EXISTS", Key)).ShouldBe("0"); // what one alone has granted is given back

        await _servers[0].RestartAsync();
        await replica.WorksAsync();
    }

    [Fact]
    public async Task One_that_is_frozen_holds_up_nobody_for_long()
    {
        await using var replica = new RedisReplica(Configuration, ShortLease);
        await replica.WorksAsync();
        _servers[1].Pause();
        await using (await replica.AcquireAsync(Name))
        {
            (await _servers[0].RunAsync("EXISTS", Key)).ShouldBe("1");
        }

        await replica.WorksAsync();
        _servers[1].Resume();
        await Until.TrueAsync(
            async () => await _servers[1].RunAsync("EXISTS", Key) == "0", "what it granted late is given back or expired");
    }

    [Fact]
    public async Task A_lock_that_only_one_has_to_give_is_not_granted()
    {
        await using var replica = new RedisReplica(Configuration);
        await _servers[0].RunAsync("SET", Key, "somebody else");
        await _servers[1].RunAsync("SET", Key, "somebody else");
        (await replica.TryAsync(Name)).ShouldBeNull();
        (await _servers[2].RunAsync("EXISTS", Key)).ShouldBe("0");
        replica.Locks.Problem.ShouldBeNull();

        await _servers[0].RunAsync("DEL", Key);
        await using var held = await replica.AcquireAsync(Name);
        (await _servers[1].RunAsync("GET", Key)).ShouldBe("somebody else");
    }

    [Fact]
    public async Task A_lock_is_lost_with_the_second_server_that_forgets_it()
    {
        await using var replica = new RedisReplica(Configuration, ShortLease);
        await using var held = await replica.AcquireAsync(Name);
        await _servers[0].RunAsync("DEL", Key);
        await ExtendedAsync();
        held.Lost.IsCancellationRequested.ShouldBeFalse();
        (await replica.TryAsync(Name)).ShouldBeNull();

        await _servers[1].RunAsync("DEL", Key);
        await Until.TrueAsync(() => held.Lost.IsCancellationRequested, "the lock is lost");

        // The lease of the third server begins anew once after that.
        async Task ExtendedAsync()
        {
            await _servers[2].RunAsync("PEXPIRE", Key, "100000");
            await Until.TrueAsync(
                async () => (await _servers[2].RunAsync("PTTL", Key)).Length < 5, "the lock is extended");
        }
    }
}
