using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Hosting;
using OciRegistry.Redis;
using OciRegistry.Server;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server;

/// <summary>From the settings to the locks that are used.</summary>
public sealed class RedisSettingsTests
{
    [Fact]
    public async Task Without_a_Redis_the_locks_are_within_the_process()
    {
        await using var services = Services(("Lease", "00:00:30"));
        services.GetRequiredKeyedService<IRegistryLocks>(Measurement.Inner).ShouldBeOfType<InProcessLocks>();
    }

    [Fact]
    public async Task One_text_is_one_server()
    {
        await using var services = Services(("Configuration", "a:1,password=secret"), ("KeyPrefix", "x:"));
        var options = services.GetRequiredService<IOptions<RedisLocksOptions>>().Value;
        options.Configuration.ShouldBe(["a:1,password=secret"]);
        options.KeyPrefix.ShouldBe("x:");
        options.Lease.ShouldBe(TimeSpan.FromSeconds(8));
        services.GetRequiredKeyedService<IRegistryLocks>(Measurement.Inner).ShouldBeOfType<RedisLocks>();
    }

    [Fact]
    public async Task A_list_is_several_servers()
    {
        await using var services = Services(("Configuration:0", "a"), ("Configuration:1", "b"), ("Configuration:2", "c:1"));
        var options = services.GetRequiredService<IOptions<RedisLocksOptions>>().Value;
        options.Configuration.ShouldBe(["a", "b", "c:1"]);
        options.EndPoints().ShouldBe(["a:6379", "b:6379", "c:1"]);
    }

    [Fact]
    public void An_embedding_application_hears_of_everything_that_is_wrong_at_once()
    {
        using var services = new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => registry.UseRedisLocks(options =>
            {
                options.Configuration.Add("redis,user=x,password=secret");
                options.Lease = TimeSpan.Zero;
                options.KeyPrefix = "";
            }))
            .BuildServiceProvider();

        var problem = Should.Throw<OptionsValidationException>(services.GetRequiredService<IRegistryLocks>);

        problem.Failures.Count().ShouldBe(3);
        problem.Message.ShouldNotContain("secret");
    }

    [Fact]
    public void The_start_message_names_the_servers_and_no_password()
    {
        var options = new RedisLocksOptions { Configuration = { "a:1,password=secret", "b" } };
        StartupMessage.For(["http://127.0.0.1:5000"], [], "/data", isGuarded: false, options.EndPoints())
            .ShouldContain($"Storing in /data{Environment.NewLine}Locking with Redis at a:1, b:6379{Environment.NewLine}");
    }

    private static ServiceProvider Services(params (string Name, string Value)[] settings)
    {
        var configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(settings.ToDictionary(s => $"OciRegistry:Redis:{s.Name}", s => (string?)s.Value)).Build();
        SettingsCheck.Problems(configuration).ShouldBeEmpty();
        return new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => ServerConfiguration.Apply(configuration, registry)).BuildServiceProvider();
    }
}
