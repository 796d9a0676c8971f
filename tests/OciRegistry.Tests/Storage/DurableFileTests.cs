using System.Runtime.Versioning;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Tests.Storage;

public sealed class DurableFileTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Many_may_rename_into_one_folder_that_does_not_exist_yet()
    {
        for (var round = 0; round < 50; round++)
        {
            var folder = Path.Combine(_root, $"{round}", "a", "b");
            Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, writer =>
            {
                var source = Path.Combine(_root, $"{round}-{writer}");
                File.WriteAllText(source, $"{writer}");
                DurableFile.Rename(source, Path.Combine(folder, $"{writer}"));
            });
            Directory.GetFiles(folder).Length.ShouldBe(8);
        }
    }

    [Fact]
    public void A_rename_replaces_what_is_there()
    {
        var (source, target) = (Path.Combine(_root, "source"), Path.Combine(_root, "target"));
        File.WriteAllText(source, "new");
        File.WriteAllText(target, "old");
        DurableFile.Rename(source, target);
        File.ReadAllText(target).ShouldBe("new");
        File.Exists(source).ShouldBeFalse();
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public void Folders_are_for_who_runs_the_registry_alone()
    {
        var folder = Path.Combine(_root, "a", "b");

        DurableFile.CreateFolder(folder);

        const UnixFileMode owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        File.GetUnixFileMode(folder).ShouldBe(owner);
        File.GetUnixFileMode(Path.GetDirectoryName(folder)!).ShouldBe(owner);
    }

    [Fact]
    public void A_folder_that_exists_is_fine()
    {
        DurableFile.CreateFolder(Path.Combine(_root, "a", "b"));
        DurableFile.CreateFolder(Path.Combine(_root, "a", "b"));
        Directory.Exists(Path.Combine(_root, "a", "b")).ShouldBeTrue();
    }
}
