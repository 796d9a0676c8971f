using System.Diagnostics;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Files that survive what may happen to the machine: written under another name, synced, renamed into place, and the
/// folder synced, in that order (temp → flush → rename → flush folder).
/// </summary>
internal static class DurableFile
{
    // What a policy keeps from somebody who sends requests, and the keys that tokens are signed with, must not lie open to
    // whoever else has an account on the machine.
    private const UnixFileMode OwnersAlone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly Lock[] Making = [.. Enumerable.Range(0, 64).Select(_ => new Lock())];

    /// <summary>Creates a folder and the missing ones above it; each new entry is on disk when this returns.</summary>
    public static void CreateFolder(string path)
    {
        // Whoever finds the folder must not be answered before the one who makes it has synced it.
        var making = Making[(uint)path.GetHashCode(StringComparison.Ordinal) % (uint)Making.Length];
        lock (making)
        {
            if (Directory.Exists(path))
            {
                return;
            }
        }

        var parent = Path.GetDirectoryName(path)!;
        CreateFolder(parent); // outside the lock: two of them could wait for each other
        lock (making)
        {
            Debug.Assert(!OperatingSystem.IsWindows(), "FileSystemProbe wants Linux.");
            Directory.CreateDirectory(path, OwnersAlone);
            SyncFolder(parent);
        }
    }

    public static void SyncFolder(string path)
    {
        using var folder = Posix.OpenRead(path);
        if (folder is not null)
        {
            Posix.Sync(folder);
        }
    }

    /// <summary>Renames over whatever is there, creating the folder when it is missing. Does not sync.</summary>
    public static void Rename(string source, string target)
    {
        if (!Posix.TryRename(source, target))
        {
            CreateFolder(Path.GetDirectoryName(target)!);
            if (!Posix.TryRename(source, target))
            {
                throw new FileNotFoundException($"Cannot rename '{source}' to '{target}': one of them is gone.");
            }
        }
    }
}
