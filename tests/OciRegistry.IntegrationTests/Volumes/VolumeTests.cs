using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Volumes;

/// <summary>What the registry finds out about the file system that it is on.</summary>
public sealed class VolumeTests
{
    [Theory]
    [InlineData("ext4")]
    [InlineData("xfs")]
    public async Task The_epoch_changes_with_each_mount_and_with_nothing_else(string type)
    {
        await using var volume = await LoopVolume.MountAsync(type);
        var first = EpochOn(volume);
        EpochOn(volume).ShouldBe(first);
        var bound = Directory.CreateDirectory(volume.Path + "-bound").FullName;
        await Tool.Require("mount").RunAsync("--bind", volume.Path, bound);
        MountedEpoch.At(bound).ShouldBe(first, "a container has a mount of its own");
        await Tool.Require("umount").RunAsync(bound);

        await volume.RemountAsync();
        EpochOn(volume).ShouldNotBe(first);
    }

    [Fact]
    public async Task A_change_in_the_same_second_is_listed_where_file_times_are_whole_seconds()
    {
        await using var volume = await LoopVolume.MountAsync("ext4", "-I", "128");
        for (var round = 0; round < Counts.Of(ci: 3, full: 100); round++)
        {
            // The clock of one who takes 1.5 s to read the folder: it is enough where times have fractions.
            var listings = new FolderListings(new ClockAhead(TimeSpan.FromSeconds(1.5)));
            var folder = Directory.CreateDirectory(Path.Combine(volume.Path, $"{round}")).FullName;
            await Until.TrueAsync(() => DateTime.UtcNow.Millisecond < 500, "the second has just begun");
            await File.WriteAllBytesAsync(Path.Combine(folder, "a@"), []);
            listings.Read(folder);
            await File.WriteAllBytesAsync(Path.Combine(folder, "b@"), []);
            listings.Read(folder).ShouldBe(["a", "b"]);
        }
    }

    [Fact]
    public async Task The_start_warns_of_whole_second_file_times()
    {
        await using var volume = await LoopVolume.MountAsync("ext4", "-I", "128");
        await using (var server = await ServerProcess.StartOnAsync(Path.Combine(volume.Path, "data")))
        {
            await server.UntilLoggedAsync("keeps file times in whole seconds");
        }
    }

    [Fact]
    public async Task Folders_that_another_process_has_made_are_durable_before_the_answer()
    {
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        await using (var first = await ServerProcess.StartOnAsync(root))
        {
            await first.Http.PushBlobAsync("first", content);
        }

        var trace = folder["trace"];
        var strace = Tool.Require("strace").With("-f", "-y", "-e", "trace=fsync", "-o", trace);
        await using (var second = await ServerProcess.StartOnAsync(root, strace))
        {
            await second.Http.PushBlobAsync("second", content);
            var synced = await File.ReadAllTextAsync(trace);
            var links = Path.Combine(root, "documents", RegistryLayout.Links(digest));
            synced.ShouldContain($"<{links}>)");
            synced.ShouldContain($"<{Path.GetDirectoryName(links)}>)");
            synced.ShouldContain($"<{Path.Combine(root, "documents", "_links")}>)");

            // And only once.
            var before = Count(await File.ReadAllTextAsync(trace), Path.GetDirectoryName(links)!);
            await second.Http.PushBlobAsync("third", content);
            Count(await File.ReadAllTextAsync(trace), Path.GetDirectoryName(links)!).ShouldBe(before);
        }

        static int Count(string text, string path) => text.Split($"<{path}>)").Length - 1;
    }

    [Fact]
    public async Task A_folder_that_refuses_writes_is_answered_at_once_as_the_operators_problem()
    {
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var unprivileged = Tool.Require("setpriv").With("--bounding-set=-dac_override,-dac_read_search");
        await using var server = await ServerProcess.StartOnAsync(root, unprivileged);
        var refused = Path.Combine(root, "documents", "repositories");
        Directory.CreateDirectory(refused);
        await Tool.Require("chmod").RunAsync("500", refused);

        // CommitWait is 55 s, longer than the client of this request waits.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        var content = RegistryClient.RandomBytes(1_000);
        using (var answer = await server.Http.CompleteAsync(
            await server.Http.NewUploadAsync("a/b"), Digest.Of(content).ToString(), content).WaitAsync(patience.Token))
        {
            await answer.ShouldBeErrorAsync(System.Net.HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            (await answer.Content.ReadAsStringAsync(CancellationToken.None)).ShouldContain("refuses access");
        }

        var check = await unprivileged.With(Checkout.ServerExecutable).TryRunAsync(
            "--check", "--urls=http://127.0.0.1:0", $"--OciRegistry:Storage:FileSystem:Root={root}");
        check.ExitCode.ShouldBe(1, check.ToString());
        check.Error.ShouldContain($"'{refused}'");

        await Tool.Require("chmod").RunAsync("700", refused);
        await server.Http.PushBlobAsync("a/b", content);
    }

    private static string EpochOn(LoopVolume volume) =>
        new FileSystemUploadStore(new FileSystemRoot(volume.Path), TimeProvider.System).Epoch;

    private sealed class ClockAhead(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
