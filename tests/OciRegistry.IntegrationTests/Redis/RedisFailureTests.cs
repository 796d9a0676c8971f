using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>
/// A Redis that is away, broken or set up wrongly: no lock soon, a sentence on what to do, and recovery by itself.
/// </summary>
public sealed class RedisFailureTests : IAsyncLifetime
{
    private const string Name = "uploads/1";
    private const string Key = "oci-registry:{uploads/1}:lock";

    /// <summary>Far less than anybody waits for a lock here, on a machine that is busy with other tests.</summary>
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ShortLease = TimeSpan.FromSeconds(2);

    private RedisServer _server = null!;

    public async ValueTask InitializeAsync() => _server = await RedisServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact]
    public async Task A_server_that_is_down_at_the_start_gives_no_lock_soon_and_locks_when_it_is_up()
    {
        await _server.KillAsync();
        await using var replica = new RedisReplica(_server);
        (await replica.TryAsync(Name, Until.Patience).WaitAsync(Soon)).ShouldBeNull();
        await replica.FailsAsync($"Redis at {_server.Address} cannot be reached.");
        await replica.Locks.RequestReleaseAsync(Name, default);

        await _server.RestartAsync();
        await replica.WorksAsync();
        replica.Warnings.Count.ShouldBe(1); // of the change, not of every request
    }

    [Fact]
    public async Task A_server_that_is_killed_takes_its_locks_along_and_is_back_without_a_restart_of_ours()
    {
        await using var holder = new RedisReplica(_server); // a lease that no busy machine sleeps through
        await using var waiter = new RedisReplica(_server);
        await using var held = await holder.AcquireAsync(Name);
        await waiter.WorksAsync();
        var waiting = waiter.TryAsync(Name, Until.Patience);
        await Until.TrueAsync(
            async () => await _server.RunAsync("EXISTS", "oci-registry:{uploads/1}:queue") == "1", "somebody waits");

        await _server.KillAsync();
        (await waiting.WaitAsync(Soon)).ShouldBeNull();
        await Until.TrueAsync(() => held.Lost.IsCancellationRequested, "the lock is lost");
        await waiter.FailsAsync("cannot be reached");
        await held.DisposeAsync(); // does not throw

        for (var round = 0; round < Counts.Of(ci: 2, full: 20); round++)
        {
            await _server.RestartAsync();
            await Task.WhenAll(holder.WorksAsync(), waiter.WorksAsync());
            await using (var next = await holder.AcquireAsync(Name))
            {
                (await waiter.TryAsync(Name)).ShouldBeNull();
                waiting = waiter.TryAsync(Name, Until.Patience);
                await waiter.Locks.RequestReleaseAsync(Name, default); // messages arrive again, too
                await Until.TrueAsync(() => next.ReleaseRequested.IsCancellationRequested, "the holder is asked");
            }

            await (await waiting).ShouldNotBeNull().DisposeAsync();
            await _server.KillAsync();
            await Task.WhenAll(holder.FailsAsync("cannot be reached"), waiter.FailsAsync("cannot be reached"));
        }
    }

    [Fact]
    public async Task A_server_that_is_frozen_for_longer_than_the_lease_costs_the_lock_and_comes_back()
    {
        await using var replica = new RedisReplica(_server, ShortLease);
        var held = await replica.AcquireAsync(Name);
        _server.Pause();
        (await replica.TryAsync("another", Until.Patience).WaitAsync(Soon)).ShouldBeNull();
        await Until.TrueAsync(() => held.Lost.IsCancellationRequested, "the lock is lost");
        await replica.FailsAsync("does not answer within 500 ms");
        await held.DisposeAsync();

        // Not every request waits for what does not come.
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < 1000; i++)
        {
            (await replica.TryAsync(Name, Until.Patience)).ShouldBeNull();
        }

        Stopwatch.GetElapsedTime(began).ShouldBeLessThan(Soon);

        // Long enough for a new connection to be tried, and for that to hang as well.
        await Until.TrueAsync(() => Stopwatch.GetElapsedTime(began) > TimeSpan.FromSeconds(5), "some time has passed");
        _server.Resume();
        await replica.WorksAsync();
        await using var next = await replica.AcquireAsync(Name);

        // What was given up and carried out later has been taken back, or has expired.
        await using var another = await replica.AcquireAsync("another");
    }

    [Fact]
    public async Task Connections_that_are_cut_are_made_again()
    {
        await using var replica = new RedisReplica(_server);
        await replica.WorksAsync();
        for (var round = 0; round < Counts.Of(ci: 3, full: 50); round++)
        {
            await _server.RunAsync("CLIENT", "KILL", "TYPE", "normal");
            await _server.RunAsync("CLIENT", "KILL", "TYPE", "pubsub");
            await replica.WorksAsync();
        }
    }

    [Fact]
    public async Task A_connection_that_hangs_is_given_up_for_a_new_one()
    {
        await using var proxy = new RedisProxy(_server);
        await using var replica = new RedisReplica([proxy.Address], ShortLease);
        await using var another = new RedisReplica(_server);
        await replica.WorksAsync();
        for (var round = 0; round < Counts.Of(ci: 1, full: 10); round++)
        {
            var connections = proxy.Accepted;
            proxy.ForgetConnections();
            await replica.FailsAsync("does not answer within 500 ms");
            await replica.WorksAsync();
            proxy.Accepted.ShouldBeGreaterThan(connections);
            await using var held = await replica.AcquireAsync(Name);
            (await another.TryAsync(Name)).ShouldBeNull();
            await another.Locks.RequestReleaseAsync(Name, default); // messages arrive by the new one, too
            await Until.TrueAsync(() => held.ReleaseRequested.IsCancellationRequested, "the holder is asked");
        }
    }

    [Fact]
    public async Task Scripts_that_are_flushed_are_sent_again()
    {
        await using var replica = new RedisReplica(_server);
        for (var round = 0; round < 10; round++)
        {
            await using var held = await replica.AcquireAsync(Name);
            await _server.RunAsync("SCRIPT", "FLUSH");
        }

        replica.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_server_that_is_full_gives_no_lock_and_locks_when_it_has_room()
    {
        await using var replica = new RedisReplica(_server);
        var held = await replica.AcquireAsync(Name);
        await _server.RunAsync("CONFIG", "SET", "maxmemory", "1");
        await replica.FailsAsync($"Redis at {_server.Address} is full");
        await held.DisposeAsync();
        await _server.RunAsync("CONFIG", "SET", "maxmemory", "0");
        await replica.WorksAsync();
        replica.Warnings.Count.ShouldBe(1);
        await using var next = await replica.AcquireAsync(Name);
    }

    [Fact]
    public async Task A_wrong_password_is_named_as_such_and_never_shown()
    {
        await _server.RunAsync("CONFIG", "SET", "requirepass", "right");
        await using var replica = new RedisReplica([$"{_server.Address},password=wrong-secret"]);
        await using var without = new RedisReplica(_server);
        await replica.FailsAsync($"Redis at {_server.Address} refuses the password.");
        await without.FailsAsync($"Redis at {_server.Address} refuses the password.");
        replica.Locks.Problem!.ShouldNotContain("secret");
        string.Concat(replica.Warnings).ShouldNotContain("secret");

        await _server.RunAsAsync("right", "CONFIG", "SET", "requirepass", "wrong-secret");
        await replica.WorksAsync();
    }

    [Fact]
    public async Task A_replica_that_takes_no_writes_is_named_as_such()
    {
        await using var replica = new RedisReplica(_server);
        await replica.WorksAsync();
        await _server.RunAsync("REPLICAOF", "127.0.0.1", "1");
        await replica.FailsAsync($"Redis at {_server.Address} is a replica");
        await _server.RunAsync("REPLICAOF", "NO", "ONE");
        await replica.WorksAsync();
    }

    [Fact]
    public async Task A_value_of_somebody_else_under_our_key_costs_that_lock_only()
    {
        await using var replica = new RedisReplica(_server);
        await _server.RunAsync("LPUSH", Key, "1");
        (await replica.TryAsync(Name, Until.Patience).WaitAsync(Soon)).ShouldBeNull();
        replica.Locks.Problem.ShouldBeNull();
        replica.Warnings.ShouldAllBe(line => line.Contains("value of somebody else", StringComparison.Ordinal));
        await using var another = await replica.AcquireAsync("another");
        (await _server.RunAsync("LLEN", Key)).ShouldBe("1");
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as Redis does")]
    [InlineData("+PONG\r\n", "Redis at ")] // what is said depends on the question that gets this answer
    [InlineData("$-5\r\n", "Redis at ")]
    [InlineData("*10000000\r\n", "Redis at ")] // the client makes room for all that is announced: with a hundred times as much, 24 GB that each collection looks through
    [InlineData("", "does not answer")]
    public async Task What_is_no_Redis_gives_no_lock_soon(string answer, string problem)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        _ = AnswerAsync();

        await using var replica = new RedisReplica([$"{listener.LocalEndpoint}"], ShortLease);
        (await replica.TryAsync(Name, Until.Patience).WaitAsync(Soon)).ShouldBeNull();
        await replica.FailsAsync(problem);

        async Task AnswerAsync()
        {
            while (listener.Server.IsBound)
            {
                var socket = await listener.AcceptTcpClientAsync();
                _ = TalkAsync(socket.GetStream());
            }
        }

        async Task TalkAsync(NetworkStream stream)
        {
            var buffer = new byte[4096];
            while (await stream.ReadAsync(buffer) > 0)
            {
                await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(answer));
            }
        }
    }
}
