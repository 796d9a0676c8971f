using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using OciRegistry.Redis;

namespace OciRegistry.Server;

/// <summary>Whether locks are to be had from the Redis of the settings.</summary>
internal static class RedisCheck
{
    // Nobody waits behind this one: a server that has to be connected to first has the time.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Why none is; null when one was, which is given back.</summary>
    public static async Task<string?> ProblemAsync(RedisLocksOptions options)
    {
        await using var locks = new RedisLocks(Options.Create(options.WithTimeout(Patience)), TimeProvider.System, NullLogger<RedisLocks>.Instance);
        await using var held = await locks.TryAcquireAsync($"check/{Guid.NewGuid():n}", Patience, CancellationToken.None);
        return held is not null ? null : locks.Problem ?? "Redis gives no lock. Look at its log.";
    }
}
