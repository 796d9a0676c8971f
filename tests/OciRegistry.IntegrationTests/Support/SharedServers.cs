using OciRegistry.IntegrationTests.Support;

[assembly: AssemblyFixture(typeof(SharedServers))]

namespace OciRegistry.IntegrationTests.Support;

/// <summary>Ends, after the last test, the servers that many have used.</summary>
public sealed class SharedServers : IAsyncDisposable
{
    public async ValueTask DisposeAsync()
    {
        if (AzuriteServer.Shared.IsValueCreated)
        {
            await using var azurite = await AzuriteServer.Shared.Value;
        }

        if (RedisServer.Shared.IsValueCreated)
        {
            await using var redis = await RedisServer.Shared.Value;
        }
    }
}
