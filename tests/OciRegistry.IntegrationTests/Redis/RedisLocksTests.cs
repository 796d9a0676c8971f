using OciRegistry.Coordination;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Coordination;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>What all locks must do within a process, with a server behind them.</summary>
public sealed class RedisLocksTests : RegistryLocksContract, IAsyncLifetime
{
    /// <summary>Shorter than a call may take, so that the server can answer before the next step.</summary>
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);

    private RedisServer? _server;
    private RedisReplica? _replica;
    private ManualTimeProvider? _time;
    private Timer? _flow;

    public async ValueTask InitializeAsync() => _server = await RedisServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _flow!.DisposeAsync();
        await _replica!.DisposeAsync();
        await _server!.DisposeAsync();
    }

    private protected override IRegistryLocks Create(ManualTimeProvider time)
    {
        _time = time;
        _replica = new RedisReplica(_server!, time: time);

        // Time flows by itself as well: on a machine that is very busy a call may get lost, and must time out then.
        _flow = new Timer(_ => Advance(), null, Step, Step);
        return _replica.Locks;
    }

    private protected override async Task PassAsync(TimeSpan by)
    {
        for (var passed = TimeSpan.Zero; passed < by; passed += Step)
        {
            Advance();
            await AnsweredAsync();
        }
    }

    // One timer is the server's own: it is asked each second whether it lives.
    private protected override async Task AssertNobodyWaitsAsync()
    {
        await AnsweredAsync();
        await Until.TrueAsync(() => _time!.Waiting == 1, "only the probe's timer is left");
    }

    private void Advance()
    {
        lock (_time!)
        {
            _time.Advance(Step);
        }
    }

    private Task AnsweredAsync() => Until.TrueAsync(() => _replica!.Locks.InFlight == 0, "Redis has answered");
}
