using Azure.Storage.Blobs;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests;

/// <summary><c>--check</c> with a storage and a Redis that are there: it tries them, and leaves nothing.</summary>
public sealed class ServeCheckTests
{
    private const string Section = "OciRegistry:Storage:AzureBlobs";

    [Fact]
    public async Task A_container_that_is_missing_is_not_made_and_nothing_is_left_in_one_that_is_there()
    {
        var azurite = await AzuriteServer.SharedAsync();
        var container = new BlobContainerClient(azurite.ConnectionString, AzuriteServer.NewContainer());

        var missing = await CheckAsync($"--{Section}:ConnectionString={azurite.ConnectionString}", $"--{Section}:Container={container.Name}");
        missing.Error.ShouldBeEmpty();
        missing.ExitCode.ShouldBe(0);
        missing.Output.ShouldContain($"Would store in {azurite.ServiceUri}/{container.Name}, which the start makes\n");
        (await container.ExistsAsync()).Value.ShouldBeFalse();

        await container.CreateAsync();
        var there = await CheckAsync($"--{Section}:ConnectionString={azurite.ConnectionString}", $"--{Section}:Container={container.Name}");
        there.Error.ShouldBeEmpty();
        there.Output.ShouldContain($"Would store in {azurite.ServiceUri}/{container.Name}\n");
        container.GetBlobs().ShouldBeEmpty();
        await container.DeleteAsync();
    }

    [Fact]
    public async Task A_Redis_that_gives_locks_is_no_warning()
    {
        await using var redis = await RedisServer.StartAsync();
        await using var folder = new TempFolder();

        var result = await CheckAsync(
            $"--OciRegistry:Storage:FileSystem:Root={folder.Path}/data", $"--OciRegistry:Redis:Configuration={redis.Address}");

        result.Error.ShouldBeEmpty();
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldContain($"Would lock with Redis at {redis.Address}\n");
        Directory.Exists($"{folder.Path}/data").ShouldBeFalse();
    }

    private static Task<ToolResult> CheckAsync(params string[] settings) =>
        Tool.Require(Checkout.ServerExecutable).TryRunAsync(["--check", "--urls=http://127.0.0.1:0", .. settings]);
}
