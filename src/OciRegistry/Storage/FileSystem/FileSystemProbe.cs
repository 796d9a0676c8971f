namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Tries in the folder itself what the store relies on: create, fsync, rename, a second hard link, and that a lock on
/// an open file keeps another one out.
/// </summary>
internal sealed class FileSystemProbe(FileSystemRoot root) : IStorageProbe
{
    private bool _isStarted;

    public ValueTask<string?> ProblemAsync(CancellationToken cancellationToken) => ValueTask.FromResult(Problem());

    private string? Problem()
    {
        if (!OperatingSystem.IsLinux())
        {
            return "The file-system storage needs Linux. Run the registry in a container, or use an object store.";
        }

        var file = root.NewTemporary();
        var renamed = root.NewTemporary();
        var linked = root.NewTemporary();
        var step = "create folders";
        try
        {
            if (_isStarted)
            {
                root.ThrowIfGone(); // not to be made anew: that would be another, empty registry
            }

            foreach (var folder in new[] { root.Documents, root.Temporary, root.Spare, root.Locks, root.Staged, root.Blobs })
            {
                DurableFile.CreateFolder(folder);
            }

            _isStarted = true;

            step = "write and sync a file";
            using var first = Posix.OpenReadWrite(file, create: true) ?? throw new DirectoryNotFoundException(file);
            RandomAccess.Write(first, "probe"u8, 0);
            Posix.Sync(first);

            step = "rename a file";
            DurableFile.Rename(file, renamed);
            DurableFile.SyncFolder(root.Temporary);

            step = "make a hard link";
            Posix.TryLink(renamed, linked);
            if (Posix.Stat(linked)?.Identity != Posix.Stat(first).Identity)
            {
                return Sentence("hard links are not the same file");
            }

            step = "lock a file";
            using var second = Posix.OpenReadWrite(linked, create: false) ?? throw new FileNotFoundException(linked);
            return Posix.TryLock(first) && !Posix.TryLock(second)
                ? null
                : Sentence("locks (flock) do not exclude each other");
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            return Sentence($"cannot {step}: {e.Message.TrimEnd('.')}");
        }
        finally
        {
            foreach (var path in new[] { file, renamed, linked })
            {
                TryDelete(path);
            }
        }
    }

    private string Sentence(string problem) =>
        $"The registry cannot store in '{root.Root}': {problem}. Give it a writable folder on a local Linux file system "
        + "with OciRegistry:Storage:FileSystem:Root.";

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            // What could not be written cannot be deleted either; the sentence has said so.
        }
    }
}
