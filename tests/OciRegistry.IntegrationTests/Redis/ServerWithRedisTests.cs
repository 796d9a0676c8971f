using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Redis;

/// <summary>The built server with a Redis, and with one that goes away: degraded, not down.</summary>
public sealed class ServerWithRedisTests
{
    private const string Setting = "OciRegistry:Redis:Configuration";

    [Fact]
    public async Task A_registry_goes_on_while_its_Redis_is_away()
    {
        await using var redis = await RedisServer.StartAsync();
        await using var server = await ServerProcess.StartAsync($"{Setting}={redis.Address},password=");
        await server.UntilLoggedAsync($"Locking with Redis at {redis.Address}\n");
        await server.Http.PushImageAsync("with/redis", "v1");
        (await ReadyAsync(server)).ShouldNotContain("degraded");

        await redis.KillAsync();
        await Until.TrueAsync(
            async () => (await ReadyAsync(server)).Contains("degraded", StringComparison.Ordinal), "it is degraded");
        (await ReadyAsync(server)).ShouldNotContain(redis.Address); // which is for operators
        await server.UntilLoggedAsync($"Redis at {redis.Address} cannot be reached.");
        await server.Http.PushImageAsync("without/redis", "v1");

        await redis.RestartAsync();
        await Until.TrueAsync(
            async () => !(await ReadyAsync(server)).Contains("degraded", StringComparison.Ordinal), "it has recovered");
        await server.Http.PushImageAsync("again/with", "v1");
        await server.UntilLoggedAsync($"Redis at {redis.Address} works again.");
    }

    [Fact]
    public async Task A_registry_starts_without_its_Redis_and_says_so()
    {
        var address = $"127.0.0.1:{FreePort.Next()}";
        await using var server = await ServerProcess.StartAsync($"{Setting}:0={address},password=secret");
        await Until.TrueAsync(
            async () => (await ReadyAsync(server)).Contains("degraded", StringComparison.Ordinal), "it is degraded");
        await server.Http.PushImageAsync("without/redis", "v1");
        await server.UntilLoggedAsync($"Redis at {address} cannot be reached.");
        server.Log.ShouldNotContain("secret");
    }

    private static async Task<string> ReadyAsync(ServerProcess server)
    {
        using var ready = await server.Http.GetAsync(new Uri("/readyz", UriKind.Relative));
        ready.StatusCode.ShouldBe(HttpStatusCode.OK);
        return await ready.Content.ReadAsStringAsync();
    }
}
