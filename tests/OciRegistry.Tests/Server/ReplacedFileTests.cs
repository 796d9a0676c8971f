using System.Diagnostics;
using System.Runtime.Versioning;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

[UnsupportedOSPlatform("windows")]
public sealed class ReplacedFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-replaced-").FullName;

    private string Target => Path.Combine(_folder, "file");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Of_many_who_change_it_at_once_none_is_lost()
    {
        const int count = 20;
        await Task.WhenAll(Enumerable.Range(0, count).Select(_ => Task.Run(() => ReplacedFile.WriteAsync(Target, () =>
        {
            byte[] before = File.Exists(Target) ? File.ReadAllBytes(Target) : [];
            Thread.Sleep(5); // long enough for somebody else to read the same
            return [.. before, 1];
        }))));

        File.ReadAllBytes(Target).Length.ShouldBe(count);
        OnlyTheFileIsThere();
    }

    [Fact]
    public async Task A_new_file_is_for_its_owner_only()
    {
        await ReplacedFile.WriteAsync(Target, () => [1]);

        File.GetUnixFileMode(Target).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Theory]
    [InlineData("0640")]
    [InlineData("0444")]
    public async Task A_file_stays_as_readable_as_it_was(string mode)
    {
        var before = (UnixFileMode)Convert.ToInt32(mode, 8);
        File.WriteAllText(Target, "before");
        File.SetUnixFileMode(Target, before);

        await ReplacedFile.WriteAsync(Target, () => [1]);

        File.GetUnixFileMode(Target).ShouldBe(before);
    }

    [Fact]
    public async Task A_file_stays_its_owner_s_because_the_server_has_to_read_it()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root may give files away.");
        File.WriteAllText(Target, "before");
        await ShellAsync($"chown 1234:2345 {Target}");

        await ReplacedFile.WriteAsync(Target, () => [1]);

        (await ShellAsync($"stat -c %u:%g {Target}")).ShouldBe("1234:2345");
    }

    [Fact]
    public async Task A_link_stays_and_what_it_names_is_replaced()
    {
        var link = Path.Combine(_folder, "link");
        File.WriteAllText(Target, "before");
        File.CreateSymbolicLink(link, "file");

        await ReplacedFile.WriteAsync(link, () => "after"u8.ToArray());

        File.ReadAllText(Target).ShouldBe("after");
        new FileInfo(link).LinkTarget.ShouldBe("file");
    }

    [Fact]
    public async Task Whoever_reads_it_meanwhile_reads_one_or_the_other()
    {
        File.WriteAllText(Target, "before");
        await using var reader = File.OpenRead(Target);

        await ReplacedFile.WriteAsync(Target, () => "after, and longer"u8.ToArray());

        (await new StreamReader(reader).ReadToEndAsync()).ShouldBe("before");
        File.ReadAllText(Target).ShouldBe("after, and longer");
    }

    [Fact]
    public async Task What_fails_leaves_the_file_as_it_was_and_nothing_beside_it()
    {
        File.WriteAllText(Target, "before");

        await Should.ThrowAsync<InvalidOperationException>(
            () => ReplacedFile.WriteAsync(Target, () => throw new InvalidOperationException()));
        await ReplacedFile.WriteAsync(Target, () => "after"u8.ToArray()); // whoever failed does not keep it locked

        File.ReadAllText(Target).ShouldBe("after");
        OnlyTheFileIsThere();
    }

    [Fact]
    public async Task What_cannot_be_renamed_leaves_nothing_beside_it()
    {
        Directory.CreateDirectory(Target);

        var problem = await Should.ThrowAsync<CommandException>(() => ReplacedFile.WriteAsync(Target, () => [1]));

        problem.ExitCode.ShouldBe(1);
        problem.Message.ShouldStartWith($"'{Target}' cannot be written: ");
        OnlyTheFileIsThere();
    }

    [Fact]
    public async Task A_folder_that_is_missing_is_said()
    {
        var path = Path.Combine(_folder, "none", "file");

        var problem = await Should.ThrowAsync<CommandException>(() => ReplacedFile.WriteAsync(path, () => [1]));

        problem.Message.ShouldStartWith($"'{path}' cannot be written: There is no folder '{_folder}/none'. Name a file ");
    }

    private void OnlyTheFileIsThere() => Directory.EnumerateFileSystemEntries(_folder).ShouldBe([Target]);

    private static async Task<string> ShellAsync(string command)
    {
        using var process = Process.Start(
            new ProcessStartInfo("sh", ["-c", command]) { RedirectStandardOutput = true })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        process.ExitCode.ShouldBe(0);
        return output.TrimEnd();
    }
}
