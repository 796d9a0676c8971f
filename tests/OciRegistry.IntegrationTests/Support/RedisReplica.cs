using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Redis;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>The locks of one replica of a registry.</summary>
internal sealed class RedisReplica : IAsyncDisposable
{
    /// <summary>As long as a call may take where nothing is wrong, on a machine that is busy with other tests.</summary>
    public static readonly TimeSpan Patient = TimeSpan.FromSeconds(2);

    private readonly LogCapture _log = new();

    /// <param name="configuration">The servers.</param>
    /// <param name="lease">8 s, the default, or shorter: then a call may take a quarter of it.</param>
    /// <param name="time">The time.</param>
    /// <param name="prefix">What the keys begin with.</param>
    public RedisReplica(string[] configuration, TimeSpan? lease = null, TimeProvider? time = null, string? prefix = null)
    {
        var options = new RedisLocksOptions { Timeout = lease / 4 ?? Patient };
        options.Lease = lease ?? options.Lease;
        options.KeyPrefix = prefix ?? options.KeyPrefix;
        foreach (var server in configuration)
        {
            options.Configuration.Add(server);
        }

        options.Problems().ShouldBeEmpty();
        Locks = new RedisLocks(Options.Create(options), time ?? TimeProvider.System, new Logger<RedisLocks>(new LoggerFactory([_log])));
    }

    public RedisReplica(RedisServer server, TimeSpan? lease = null, TimeProvider? time = null)
        : this([server.Address], lease, time)
    {
    }

    public RedisLocks Locks { get; }

    public IReadOnlyCollection<string> Warnings => _log.Lines;

    public async Task<IRegistryLock?> TryAsync(string name, TimeSpan? wait = null) =>
        await Locks.TryAcquireAsync(name, wait ?? TimeSpan.Zero, default);

    public async Task<IRegistryLock> AcquireAsync(string name) =>
        (await Until.DoneAsync(TryAsync(name, Until.Patience))).ShouldNotBeNull();

    /// <summary>Waits until locks are to be had.</summary>
    public Task WorksAsync() => Until.TrueAsync(
        async () =>
        {
            await using var held = await TryAsync($"works/{Guid.NewGuid()}");
            return held is not null && Locks.Problem is null;
        },
        "locks are to be had");

    /// <summary>Waits until it is known that they are not, for this reason.</summary>
    public async Task FailsAsync(string reason)
    {
        await Until.TrueAsync(
            async () =>
            {
                await using var held = await TryAsync($"fails/{Guid.NewGuid()}");
                return held is null && Locks.Problem?.Contains(reason, StringComparison.Ordinal) == true;
            },
            $"there is a problem with '{reason}'; it is '{Locks.Problem}'");
        Locks.Problem.ShouldEndWith("Uploads go on with compare-and-swap alone.");
    }

    /// <summary>Ends as a killed process does: nothing is released.</summary>
    public ValueTask DisposeAsync() => Locks.DisposeAsync();
}
