using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>Kills and pauses replicas, and kills Redis, one fault after another; at its end everything runs again.</summary>
internal sealed class ChaosFaults(ChaosReplicas replicas, RedisServer? redis, Random random)
{
    public int Kills { get; private set; }

    public int Pauses { get; private set; }

    public int RedisKills { get; private set; }

    public async Task RunAsync(CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            await PassAsync(2_000, done);
            var replica = random.Next(replicas.Count);
            switch (random.Next(redis is null ? 4 : 5))
            {
                case 0 or 1:
                    await replicas.KillAsync(replica);
                    Kills++;
                    break;

                case 2:
                    await PauseAsync(replica, done);
                    replicas.Resume(replica);
                    break;

                case 3:
                    await PauseAsync(replica, done);
                    await replicas.KillAsync(replica);
                    Kills++;
                    break;

                default:
                    await redis!.KillAsync();
                    await PassAsync(1_000, done);
                    await redis.RestartAsync();
                    RedisKills++;
                    break;
            }
        }
    }

    private async Task PauseAsync(int replica, CancellationToken done)
    {
        await replicas.PauseAsync(replica);
        Pauses++;
        await PassAsync(3_000, done);
    }

    /// <summary>Waits for a random time of at most so many milliseconds.</summary>
    private async Task PassAsync(int atMost, CancellationToken done) =>
        await Task.Delay(random.Next(atMost), done).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
