using Microsoft.Extensions.Logging;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Tries in the folder itself what the store relies on: create a file in each of its parts, fsync, rename, a second hard
/// link, and that a lock on an open file keeps another one out.
/// </summary>
/// <param name="root">The folder.</param>
/// <param name="log">Where the start warns of what works and is weak; null for nowhere.</param>
internal sealed partial class FileSystemProbe(FileSystemRoot root, ILogger<FileSystemProbe>? log = null) : IStorageProbe
{
    // The same name each time, so that a process that dies in between leaves one file; none of the stores takes it for its own.
    private const string ProbeName = ".probe";

    private readonly string[] _parts =
        [root.Documents, root.Temporary, root.Spare, root.Locks, root.Quarantine, root.Staged, root.Blobs];

    private bool _isStarted;

    public ValueTask<StorageProblem?> ProblemAsync(CancellationToken cancellationToken) => ValueTask.FromResult(Problem());

    /// <summary>
    /// What of the folder the process may not read and write, or null. Creates nothing. Looks at each part, at the folders
    /// in documents and blobs, and at the lock files: others were made by whoever made those.
    /// </summary>
    public string? AccessProblem()
    {
        try
        {
            foreach (var part in _parts)
            {
                Posix.ThrowIfRefused(part, isFolder: true);
            }

            foreach (var folder in new[] { root.Documents, root.Blobs }.Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories))
            {
                Posix.ThrowIfRefused(folder, isFolder: true);
            }

            foreach (var file in Directory.Exists(root.Locks) ? Directory.EnumerateFiles(root.Locks) : [])
            {
                Posix.ThrowIfRefused(file, isFolder: false);
            }

            return null;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            return Sentence(Because("use all of it", e));
        }
    }

    private StorageProblem? Problem()
    {
        if (!OperatingSystem.IsLinux())
        {
            return new StorageProblem(
                "The file-system storage needs Linux. Run the registry in a container, or use an object store.");
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

            foreach (var part in _parts)
            {
                DurableFile.CreateFolder(part);
            }

            step = "use all of it";
            if (!_isStarted && AccessProblem() is { } problem)
            {
                return new StorageProblem(problem);
            }

            foreach (var part in _parts)
            {
                step = $"write to '{part}'";
                var probe = Path.Combine(part, ProbeName);
                using (Posix.OpenReadWrite(probe, create: true) ?? throw new DirectoryNotFoundException(part))
                {
                    Posix.TryUnlink(probe);
                }
            }

            step = "write and sync a file";
            using var first = Posix.OpenReadWrite(file, create: true) ?? throw new DirectoryNotFoundException(file);
            RandomAccess.Write(first, "probe"u8, 0);
            Posix.Sync(first);
            if (!_isStarted && log is not null && Posix.Stat(first).HasWholeSeconds)
            {
                LogWholeSeconds(log, root.Root);
            }

            _isStarted = true;

            step = "rename a file";
            DurableFile.Rename(file, renamed);
            DurableFile.SyncFolder(root.Temporary);

            step = "make a hard link";
            Posix.TryLink(renamed, linked);
            if (Posix.Stat(linked)?.Identity != Posix.Stat(first).Identity)
            {
                return new StorageProblem(Sentence("hard links are not the same file"));
            }

            step = "lock a file";
            using var second = Posix.OpenReadWrite(linked, create: false) ?? throw new FileNotFoundException(linked);
            return Posix.TryLock(first) && !Posix.TryLock(second)
                ? null
                : new StorageProblem(Sentence("locks (flock) do not exclude each other"));
        }
        catch (Exception e) when (FileSystemFault.Is(e) && Posix.IsFull(e) && Array.TrueForAll(_parts, Directory.Exists))
        {
            _isStarted = true;
            return new StorageProblem(
                $"The disk of '{root.Root}' is full: what is stored is served, pushes are refused. Free disk space.")
            {
                IsFull = true,
            };
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            return new StorageProblem(Sentence(Because(step, e)));
        }
        finally
        {
            foreach (var path in new[] { file, renamed, linked })
            {
                TryDelete(path);
            }
        }
    }

    private static string Because(string step, Exception e) => $"cannot {step}: {e.Message.TrimEnd('.')}"
        + (Posix.IsRefused(e) ? $" (it runs as user {Environment.UserName}, who must own the folder and everything in it)" : "");

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

    [LoggerMessage(LogLevel.Warning, "The file system of '{Root}' keeps file times in whole seconds, as ext4 with inodes of 128 bytes does. The registry is right there, but caches lists and documents 2 s after a change instead of 1 s. To change that, make a file system with larger inodes (mkfs.ext4 -I 256).", EventName = "WholeSecondTimes")]
    private static partial void LogWholeSeconds(ILogger logger, string root);
}
