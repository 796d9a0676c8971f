using StackExchange.Redis;

namespace OciRegistry.Redis;

/// <summary>One who wants a lock, and all the servers need to know.</summary>
/// <param name="Name">The lock.</param>
/// <param name="Keys">Its keys.</param>
/// <param name="Waiter">The place in the queue: the same for every attempt.</param>
/// <param name="Token">Who holds the lock: another for each attempt, since what came of one may not be known.</param>
internal sealed record RedisClaim(string Name, RedisKey[] Keys, string Waiter, string Token);

/// <summary>How the servers answered. A server that was not asked, or whose answer is not known, is neither.</summary>
internal readonly record struct RedisVotes(RedisAnswer[] Answers)
{
    public int Yes => Answers.Count(answer => answer.Value == 1);

    public int No => Answers.Count(answer => answer.Value == 0);

    public bool IsUnclear => Answers.Any(answer => answer.IsUnclear);
}

/// <summary>All the servers: what more than half of them say is so.</summary>
internal sealed class RedisQuorum(IReadOnlyList<RedisNode> nodes, RedisLocksOptions options, TimeProvider time) : IAsyncDisposable
{
    /// <summary>A waiter that is not heard for so long is gone, and holds up nobody.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromMilliseconds(1500);

    private static readonly TimeSpan RetryRelease = TimeSpan.FromSeconds(1);

    private readonly RedisValue _channel = ChannelOf(options);
    private int _releasing;

    /// <summary>How many servers decide.</summary>
    public int Majority { get; } = (nodes.Count / 2) + 1;

    public int Count => nodes.Count;

    /// <summary>
    /// How long a lock is surely ours, from before the call: less than the lease, as clocks run at different speeds.
    /// </summary>
    public TimeSpan Validity { get; } = options.Lease - (options.Lease / 100) - TimeSpan.FromMilliseconds(2);

    public TimeSpan Lease => options.Lease;

    /// <summary>Why too few servers answer; null while enough do.</summary>
    public string? Problem
    {
        get
        {
            var problems = nodes.Select(node => node.Problem).OfType<string>().ToArray();
            return nodes.Count - problems.Length >= Majority
                ? null
                : $"{string.Join(' ', problems)} Uploads go on with compare-and-swap alone.";
        }
    }

    /// <summary>Calls, and releases to be repeated, that have not ended yet.</summary>
    public int InFlight => nodes.Sum(node => node.InFlight) + Volatile.Read(ref _releasing);

    public static string ChannelOf(RedisLocksOptions options) => $"{options.KeyPrefix}locks";

    public static string ReleasedMessage(string name) => $"released {name}";

    /// <param name="claim">Who wants which lock.</param>
    /// <param name="arrival">When, on the clock of this machine.</param>
    /// <param name="waited">How long ago that is.</param>
    /// <param name="stays">Whether to stand in the queue when it is not to be had now.</param>
    public Task<RedisVotes> AcquireAsync(RedisClaim claim, DateTimeOffset arrival, TimeSpan waited, bool stays) =>
        AskAsync(RedisScripts.Acquire, claim.Keys,
        [
            claim.Token,
            claim.Waiter,
            Milliseconds(options.Lease),
            // One server orders by its own clock, and no replica's can be wrong. Several must agree on the order.
            nodes.Count == 1 ? -(waited.Ticks / 10) : (arrival - DateTimeOffset.UnixEpoch).Ticks / 10,
            stays ? 1 : 0,
            Milliseconds(Silence),
        ]);

    public Task<RedisVotes> ExtendAsync(RedisClaim claim) =>
        AskAsync(RedisScripts.Extend, claim.Keys, [claim.Token, Milliseconds(options.Lease)]);

    public Task AskForReleaseAsync(string name) =>
        AskAsync(RedisScripts.AskForRelease, KeysOf(name), [_channel, "stop ", $" {name}"]);

    /// <summary>
    /// Gives back what the servers may have granted. Those whose answer is not known are asked again in the background
    /// until the lease is over, and the lock with it.
    /// </summary>
    /// <param name="claim">Whose.</param>
    /// <param name="asked">How the servers answered to the claim; the others know nothing of it.</param>
    /// <param name="leaves">Whether to leave the queue as well.</param>
    public Task ReleaseAsync(RedisClaim claim, RedisVotes asked, bool leaves)
    {
        RedisValue[] values = [claim.Token, claim.Waiter, leaves ? 1 : 0, _channel, ReleasedMessage(claim.Name)];
        return Task.WhenAll(nodes
            .Where((_, i) => asked.Answers[i].IsSent)
            .Select(async node =>
            {
                var answer = await node.RunAsync(RedisScripts.Release, claim.Keys, values);
                if (answer.Value is null)
                {
                    _ = ReleaseLaterAsync(node, claim.Keys, values);
                }
            }));
    }

    /// <summary>The keys of a lock; the braces put them on one server of a cluster.</summary>
    public RedisKey[] KeysOf(string name)
    {
        var key = $"{options.KeyPrefix}{{{name}}}";
        return [$"{key}:lock", $"{key}:queue", $"{key}:seen"];
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in nodes)
        {
            await node.DisposeAsync();
        }
    }

    private async Task ReleaseLaterAsync(RedisNode node, RedisKey[] keys, RedisValue[] values)
    {
        Interlocked.Increment(ref _releasing);
        var began = time.GetTimestamp();
        RedisAnswer answer;
        do
        {
            await Task.Delay(RetryRelease, time);
            answer = await node.RunAsync(RedisScripts.Release, keys, values);
        }
        while (answer.Value is null && time.GetElapsedTime(began) < options.Lease);
        Interlocked.Decrement(ref _releasing);
    }

    private async Task<RedisVotes> AskAsync(string script, RedisKey[] keys, RedisValue[] values) =>
        new(await Task.WhenAll(nodes.Select(node => node.RunAsync(script, keys, values))));

    private static long Milliseconds(TimeSpan time) => (long)time.TotalMilliseconds;
}
