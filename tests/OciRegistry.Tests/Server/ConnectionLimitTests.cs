using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OciRegistry.Server;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>How many connections are served, and what happens when none can be accepted any more.</summary>
public sealed class ConnectionLimitTests
{
    [Theory]
    [InlineData("Connections")]
    [InlineData("ConnectionsPerAddress")]
    public async Task Connections_beyond_the_limit_are_closed_and_others_are_served_when_one_has_ended(string limit)
    {
        await using var registry = await StartAsync(($"OciRegistry:Limits:{limit}", "3"));
        await using var first = await RawHttp.ConnectAsync(registry.Url);
        await ShouldAnswerAsync(first);
        await using (var second = await RawHttp.ConnectAsync(registry.Url))
        {
            await ShouldAnswerAsync(second);
            await using var third = await RawHttp.ConnectAsync(registry.Url);
            await ShouldAnswerAsync(third);
            (await IsServedAsync(registry)).ShouldBeFalse();
            (await IsServedAsync(registry)).ShouldBeFalse();

            await ShouldAnswerAsync(third);
        }

        await Until.TrueAsync(() => IsServedAsync(registry), "there is room again");
        registry.Log.Lines.Count(line => line.Contains("A connection was closed", StringComparison.Ordinal)).ShouldBe(1);
        registry.Log.Lines.ShouldContain(line => line.Contains($"Limits:{limit} is 3", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Connections_of_a_proxy_are_not_those_of_one_address()
    {
        await using var registry = await StartAsync(
            ("OciRegistry:Limits:ConnectionsPerAddress", "1"), ("OciRegistry:Proxies:0", "127.0.0.0/8"));
        await using var first = await RawHttp.ConnectAsync(registry.Url);
        await ShouldAnswerAsync(first);
        await using var second = await RawHttp.ConnectAsync(registry.Url);
        await ShouldAnswerAsync(second);
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("3", true)]
    public async Task One_address_locks_out_others_unless_it_may_have_fewer_connections_than_there_are(string? perAddress, bool isServed)
    {
        await using var registry = await StartAsync(
            ("OciRegistry:Limits:Connections", "5"), ("OciRegistry:Limits:ConnectionsPerAddress", perAddress));
        await using var before = await RawHttp.ConnectAsync(registry.Url);
        await ShouldAnswerAsync(before);
        List<RawHttp> attack = [];
        for (var i = 0; i < 10; i++)
        {
            try
            {
                attack.Add(await RawHttp.ConnectAsync(registry.Url, from: IPAddress.Parse("127.0.0.2")));
                await attack[^1].SendAsync(Request);
            }
            catch (SocketException)
            {
                // Reset before the connection was there to this side.
            }
        }

        var answers = await Task.WhenAll(attack.Select(raw => raw.ReadAsync()));
        answers.Count(answer => answer.Status == 200).ShouldBe(isServed ? 3 : 4);
        (await IsServedAsync(registry)).ShouldBe(isServed);
        await ShouldAnswerAsync(before);
        foreach (var raw in attack)
        {
            await raw.DisposeAsync();
        }

        await Until.TrueAsync(() => IsServedAsync(registry), "there is room again");
    }

    [Fact]
    public void The_default_is_what_memory_and_files_have_room_for()
    {
        var most = MostOf();
        most.ShouldBeGreaterThan(1_000);
        ((long)most * 32 * 1024).ShouldBeLessThanOrEqualTo(ProcessMemory.Available);
        most.ShouldBeLessThan((int)Math.Min(ProcessLimits.Files, int.MaxValue));
        MostOf(("urls", "http://*:80;https://*:443")).ShouldBeLessThanOrEqualTo(most);
        ((long)MostOf(("urls", "https://*:443")) * 64 * 1024).ShouldBeLessThanOrEqualTo(ProcessMemory.Available);
        MostOf(("OciRegistry:Limits:Connections", "7")).ShouldBe(7);
        ProcessLimits.OpenFilesIn(["Max file size             unlimited            unlimited            bytes",
            "Max open files            1024                 524288               files"]).ShouldBe(1024);
        ProcessLimits.OpenFilesIn(["Max open files            unlimited            unlimited            files"]).ShouldBeNull();
    }

    [Fact]
    public async Task A_listener_that_cannot_accept_ends_the_process()
    {
        var broken = new BrokenListeners();
        await using var registry = await RegistryApp.StartAsync(services: services =>
        {
            services.AddSingleton(provider => ActivatorUtilities.CreateInstance<WatchedListeners>(provider, broken));
        });
        var lifetime = registry.Services.GetRequiredService<IHostApplicationLifetime>();
        var watched = registry.Services.GetRequiredService<WatchedListeners>();
        watched.HasFailed.ShouldBeFalse();

        broken.Break();
        await Until.TrueAsync(() => lifetime.ApplicationStopping.IsCancellationRequested, "the process ends");
        watched.HasFailed.ShouldBeTrue();
        registry.Log.Lines.ShouldContain(line => line.StartsWith($"{LogLevel.Critical}: 127.0.0.1:", StringComparison.Ordinal)
            && line.Contains("accepts no connections any more", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_server_that_is_told_to_stop_has_not_failed()
    {
        await using var registry = await RegistryApp.StartAsync();
        await registry.StopAsync();
        registry.Services.GetRequiredService<WatchedListeners>().HasFailed.ShouldBeFalse();
        registry.Log.Lines.ShouldBeEmpty();
    }

    private const string Request = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";

    private static Task<RegistryApp> StartAsync(params (string Key, string? Value)[] settings) => RegistryApp.StartAsync(
        host: builder =>
        {
            foreach (var (key, value) in settings)
            {
                builder.Configuration[key] = value;
            }
        });

    private static async Task<bool> IsServedAsync(RegistryApp registry)
    {
        try
        {
            await using var raw = await RawHttp.ConnectAsync(registry.Url);
            await raw.SendAsync(Request);
            return (await raw.ReadAsync()).Status == 200;
        }
        catch (SocketException)
        {
            return false; // reset before the connection was there to this side
        }
    }

    private static int MostOf(params (string Key, string Value)[] settings) => ConnectionLimits.MostOf(new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value))).Build());

    private static async Task ShouldAnswerAsync(RawHttp raw)
    {
        await raw.SendAsync(Request);
        (await raw.ReadAsync()).Status.ShouldBe(200);
    }

    /// <summary>Sockets that accept until they are told to fail.</summary>
    private sealed class BrokenListeners : IConnectionListenerFactory
    {
        private readonly TaskCompletionSource<ConnectionContext?> _accepting = new();

        public void Break() => _accepting.SetException(new InvalidOperationException("This listener is broken."));

        public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult<IConnectionListener>(new Listener(endpoint, _accepting));

        private sealed class Listener(EndPoint endpoint, TaskCompletionSource<ConnectionContext?> accepting) : IConnectionListener
        {
            public EndPoint EndPoint => endpoint;

            public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
                await accepting.Task;

            public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
            {
                accepting.TrySetResult(null);
                return ValueTask.CompletedTask;
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
