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
        await server.UntilLoggedAsync("Uploads go on with compare-and-swap alone"); // cannot be reached, or on a busy machine: does not answer
        server.Log.ShouldNotContain("secret");
    }

    /// <summary>The last is what the chart does with certificates that are trusted beside the image's.</summary>
    [Theory]
    [InlineData("authority of the settings", true)]
    [InlineData("other authorities", false)]
    [InlineData("nothing", false)]
    [InlineData("a folder of certificates", true)]
    public async Task A_Redis_with_TLS_is_used_when_its_authority_is_trusted(string trusted, bool isUsed)
    {
        await using var folder = new TempFolder();
        var (certificate, key) = await TestCertificate.WriteAsync(folder.Create("own"));
        var port = FreePort.Next();
        await using var redis = await RedisServer.StartAsync(
            "--tls-port", $"{port}", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate,
            "--tls-auth-clients", "no");
        var authority = trusted switch
        {
            "authority of the settings" => certificate,
            "other authorities" => "/etc/ssl/certs/ca-certificates.crt",
            _ => null,
        };
        await using var server = await ServerProcess.StartOnAsync(
            folder["data"],
            trusted == "a folder of certificates" ? Tool.Require("env").With($"SSL_CERT_DIR=/etc/ssl/certs:{folder["own"]}") : null,
            [$"{Setting}=127.0.0.1:{port},ssl=true", .. authority is null ? Array.Empty<string>() : [$"OciRegistry:Redis:CertificateAuthority={authority}"]]);

        await Until.TrueAsync(
            async () => (await ReadyAsync(server)).Contains("degraded", StringComparison.Ordinal) != isUsed, "it is degraded without its Redis");
        await server.Http.PushImageAsync("with/redis", "v1");
    }

    private static async Task<string> ReadyAsync(ServerProcess server)
    {
        using var ready = await server.Http.GetAsync(new Uri("/readyz", UriKind.Relative));
        ready.StatusCode.ShouldBe(HttpStatusCode.OK);
        return await ready.Content.ReadAsStringAsync();
    }
}
