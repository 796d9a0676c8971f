using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

public sealed class PrefetchCommandTests : IAsyncLifetime
{
    // Content in upload sessions, and their documents.
    private static readonly string[] StagingFolders = ["_data", "_uploads"];

    private readonly CommandFolder _folder = new();
    private FakeUpstream _upstream = null!;

    private string Settings =>
        $"--OciRegistry:Storage:FileSystem:Root={_folder["data"]} --OciRegistry:PullThrough:SpoolFolder={_folder["spool"]} "
        + $"--OciRegistry:PullThrough:Upstreams:0:Prefix=up --OciRegistry:PullThrough:Upstreams:0:Url={_upstream.Url.AbsoluteUri}";

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(_folder["spool"]);
        _upstream = await FakeUpstream.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Images_are_in_the_storage_of_the_server_then()
    {
        var image = _upstream.AddImage("a/b", "1", RegistryClient.RandomBytes(1_000));
        var other = _upstream.AddImage("c", "latest", RegistryClient.RandomBytes(100));

        var outcome = await _folder.RunAsync($"prefetch up/a/b:1 up/c {Settings}");

        var bytes = image.Manifest.Length + image.Config.Content.Length + other.Manifest.Length + other.Config.Content.Length + 1_100;
        outcome.ShouldBeDone();
        var lines = outcome.Output.Split('\n');
        lines[0].ShouldBe($"up/a/b:1: {image.Digest}, {image.Manifest.Length} bytes");
        lines[1..3].ShouldBe(
            [$"up/a/b:1: {image.Config.Digest}, {image.Config.Content.Length} bytes", $"up/a/b:1: {image.Layers[0].Digest}, 1000 bytes"],
            ignoreOrder: true);
        lines[3].ShouldBe("up/a/b:1: all of it is here");
        lines[^2].ShouldBe("up/c: all of it is here");
        lines[^1].ShouldBe($"Fetched: 2, failed: 0, bytes: {bytes}");

        await using var registry = await PulledRegistry.StartAsync(root: _folder["data"], fake: _upstream);
        _upstream.ForgetCalls();
        using var pulled = await registry.Http.GetBlobAsync("up/a/b", image.Layers[0].Digest);
        await pulled.ShouldBeContentAsync(image.Layers[0].Digest, image.Layers[0].Content);
        _upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task One_that_fails_is_said_on_standard_error_and_the_others_are_fetched()
    {
        _upstream.AddImage("a", "1", RegistryClient.RandomBytes(100));

        var outcome = await _folder.RunAsync($"prefetch up/gone:1 elsewhere/a:1 up/a:1 {Settings}");

        outcome.Code.ShouldBe(1);
        outcome.Errors.Split('\n').Length.ShouldBe(2);
        outcome.Errors.ShouldStartWith("up/gone:1: up/gone 1: ");
        outcome.Errors.ShouldContain("elsewhere/a:1: It names nothing of an upstream. Write it like hub/library/alpine:3, ");
        outcome.Output.ShouldContain("up/a:1: all of it is here\n");
        outcome.Output.ShouldContain("\nFetched: 1, failed: 2, bytes: ");
    }

    [Theory]
    [InlineData("--file list")]
    [InlineData("--file=list")]
    [InlineData("--file -")]
    [InlineData("--file=-")]
    public async Task References_stand_in_a_file_or_come_from_standard_input(string file)
    {
        foreach (var repository in new[] { "a", "b", "c" })
        {
            _upstream.AddImage(repository, "1", RegistryClient.RandomBytes(100));
        }

        const string List = "# what we need\r\nup/a:1\r\n\n  up/b:1   # and why\n#up/d:1";
        _folder.Write("list", List);

        var outcome = await _folder.RunAsync($"prefetch up/c:1 {file} {Settings}", input: List);

        outcome.ShouldBeDone();
        outcome.Output.Split('\n').Where(line => line.EndsWith("all of it is here", StringComparison.Ordinal)).ShouldBe(
            ["up/c:1: all of it is here", "up/a:1: all of it is here", "up/b:1: all of it is here"]);
    }

    [Fact]
    public async Task Being_stopped_it_ends_and_leaves_nothing_half()
    {
        var image = _upstream.AddImage("a", "1", RegistryClient.RandomBytes(300_000));
        _upstream.Faults = call => new UpstreamFault
        {
            Paces = sent => sent > 0 && call.Path.EndsWith($"{image.Layers[0].Digest}", StringComparison.Ordinal)
                ? Task.Delay(Timeout.Infinite)
                : Task.CompletedTask,
        };
        await using var process = ServerProcess.Start($"prefetch up/a:1 {Settings}", folder: _folder.Path);
        await process.UntilLineThatHasAsync($"{image.Config.Digest}");
        await Until.TrueAsync(() => _upstream.Count("GET", $"{image.Layers[0].Digest}") > 0 && Staged().Length > 0, "the layer is on its way");

        process.Terminate();

        var (code, errors) = await process.UntilExitAsync();
        code.ShouldBe(1);
        errors.TrimEnd().ShouldBe("It was ended before all was here. What is here stays; call it again for the rest.");
        Staged().ShouldBeEmpty();
        Directory.EnumerateFileSystemEntries(_folder["spool"]).ShouldBeEmpty();

        _upstream.Faults = null;
        (await _folder.RunAsync($"prefetch up/a:1 {Settings}")).ShouldBeDone();
    }

    [Fact]
    public async Task What_is_missing_is_said()
    {
        var root = $"--OciRegistry:Storage:FileSystem:Root={_folder["data"]}";
        await CommandFolder.ShouldRefuseAsync($"prefetch {Settings}", 2, "No reference is named. ");
        await CommandFolder.ShouldRefuseAsync(
            $"prefetch hub/a {root}", 1, "--OciRegistry:PullThrough:Upstreams:0:Prefix=hub and --OciRegistry:PullThrough:Upstreams:0:Url=https://");
        await CommandFolder.ShouldRefuseAsync(
            $"prefetch hub/a {root} --OciRegistry:PullThrough:Upstreams:0:Prefix=hub", 1, "OciRegistry:PullThrough:Upstreams:0:Url ");
        await CommandFolder.ShouldRefuseAsync($"prefetch --file {_folder["gone"]} {Settings}", 1, "The references in '");
        Directory.Exists(_folder["data"]).ShouldBeFalse();
    }

    private string[] Staged() =>
    [
        .. StagingFolders
            .SelectMany(name => Directory.EnumerateDirectories(_folder["data"], name, SearchOption.AllDirectories))
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)),
    ];
}
