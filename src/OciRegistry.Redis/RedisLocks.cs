using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;

namespace OciRegistry.Redis;

/// <summary>Locks in a Redis, or on more than half of several; README.md has the order, and what each failure does.</summary>
internal sealed partial class RedisLocks : IRegistryLocks, IAsyncDisposable, IDisposable
{
    private const string Stop = "stop";
    private const string Released = "released";

    /// <summary>How often a waiter looks by itself, and shows the queue that it lives.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    private readonly InProcessLocks _turns;
    private readonly RedisQuorum _quorum;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<string, RedisWaiter> _waiting = new();
    private readonly ConcurrentDictionary<string, RedisLock> _held = new();

    public RedisLocks(
        IOptions<RedisLocksOptions> options, TimeProvider time, ILogger<RedisLocks> logger, RegistryMetrics? metrics = null)
    {
        _turns = new InProcessLocks(time);
        _time = time;
        var channel = RedisQuorum.ChannelOf(options.Value);
        var nodes = options.Value.Configuration.Select(RedisConfiguration.Parse)
            .Select(configuration => new RedisNode(configuration, options.Value, channel, Receive, time, logger, metrics))
            .ToArray();
        _quorum = new RedisQuorum(nodes, options.Value, time);
        if (nodes.Length % 2 == 0)
        {
            Log.Even(logger, nodes.Length, _quorum.Majority, nodes.Length - 1);
        }
    }

    public string? Problem => _quorum.Problem;

    /// <summary>Calls to Redis that have not ended yet.</summary>
    internal int InFlight => _quorum.InFlight;

    /// <remarks>
    ///   (1) wait for the turn within this process, so that only one here asks the servers
    ///   (2) ask all servers, with a token of this attempt's own
    ///   (3) more than half have granted it, and time is left    it is held
    ///   (4) else give back what some have granted, or may have
    ///   (5) too few have answered                               null: there is no lock service
    ///   (6) the wait is over, or cancelled                      null: leave the queue
    ///   (7) wait to be woken, a little at most, and go on at (2)
    /// </remarks>
    public async ValueTask<IRegistryLock?> TryAcquireAsync(
        string name, TimeSpan wait, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Problem is not null)
        {
            return null;
        }

        var began = _time.GetTimestamp();
        var arrival = _time.GetUtcNow();
        var turn = await _turns.TryAcquireAsync(name, wait, cancellationToken); // (1)
        if (turn is null)
        {
            return null;
        }

        IRegistryLock? held = null;
        try
        {
            held = await ContendAsync(name, turn, arrival, began, wait, cancellationToken);
            return held;
        }
        finally
        {
            if (held is null)
            {
                await turn.DisposeAsync();
            }
        }
    }

    public async ValueTask RequestReleaseAsync(string name, CancellationToken cancellationToken)
    {
        if (_held.TryGetValue(name, out var held))
        {
            held.RequestRelease();
            return;
        }

        await _quorum.AskForReleaseAsync(name);
    }

    public void Dispose() => _ = DisposeAsync().AsTask();

    public ValueTask DisposeAsync() => _quorum.DisposeAsync();

    private async Task<IRegistryLock?> ContendAsync(
        string name, IRegistryLock turn, DateTimeOffset arrival, long began, TimeSpan wait, CancellationToken cancellationToken)
    {
        var keys = _quorum.KeysOf(name);
        var waiter = RandomNumberGenerator.GetHexString(24, lowercase: true);
        using var waiting = new RedisWaiter(name, _waiting);
        for (var attempt = 1; ; attempt++)
        {
            waiting.Reset();
            var sent = _time.GetTimestamp();
            var waited = _time.GetElapsedTime(began, sent);
            var stays = waited < wait && !cancellationToken.IsCancellationRequested;
            var claim = new RedisClaim(name, keys, waiter, $"{waiter}.{attempt}");
            var votes = await _quorum.AcquireAsync(claim, arrival, waited, stays); // (2)
            if (votes.Yes >= _quorum.Majority && _time.GetElapsedTime(sent) < _quorum.Validity)
            {
                return Hold(claim, votes, sent, turn); // (3)
            }

            var isAnswered = votes.Yes + votes.No >= _quorum.Majority;
            var leaves = !stays || !isAnswered;
            var isQueued = stays || attempt > 1;
            if (votes.Yes > 0 || votes.IsUnclear || (leaves && isQueued))
            {
                await GiveBackAsync(claim, votes, leaves); // (4)
            }

            if (leaves)
            {
                cancellationToken.ThrowIfCancellationRequested(); // (6)
                return null; // (5) (6)
            }

            // (7)
            var remaining = wait - _time.GetElapsedTime(began);
            var pause = Poll * (0.8 + (0.4 * Random.Shared.NextDouble()));
            await waiting.UntilWokenAsync(remaining < pause ? remaining : pause, _time, cancellationToken);
        }
    }

    // The answer that is not known must not be waited for twice. The release is on its way behind the claim.
    private Task GiveBackAsync(RedisClaim claim, RedisVotes votes, bool leaves)
    {
        var release = _quorum.ReleaseAsync(claim, votes, leaves);
        return votes.IsUnclear ? Task.CompletedTask : release;
    }

    private RedisLock Hold(RedisClaim claim, RedisVotes votes, long sent, IRegistryLock turn)
    {
        var held = new RedisLock(_quorum, claim, votes, sent, turn, Forget, _time);
        _held[claim.Name] = held;
        return held;
    }

    private void Forget(RedisLock held) => _held.TryRemove(new(held.Claim.Name, held));

    // On a thread of the connection: only tells others, and must not block.
    private void Receive(string message)
    {
        var parts = message.Split(' ', 2);
        if (parts is [Released, var name])
        {
            if (_waiting.TryGetValue(name, out var waiter))
            {
                waiter.Wake();
            }
        }
        else if (parts is [Stop, var rest] && rest.Split(' ', 2) is [var token, var asked]
            && _held.TryGetValue(asked, out var held) && held.Claim.Token == token)
        {
            held.RequestRelease();
        }
    }

    private static partial class Log
    {
        [LoggerMessage(4, LogLevel.Warning, "Of {Count} independent Redis servers {Majority} must be up. {Fewer} would stand as many "
            + "failures: use an odd number.")]
        public static partial void Even(ILogger logger, int count, int majority, int fewer);
    }
}
