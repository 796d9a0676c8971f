using System.Collections.Concurrent;
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

    // Folders whose last sync failed, each with that failure: the next sync would succeed without writing their entries,
    // because the system has dropped them. A folder leaves with its next successful sync.
    private static readonly ConcurrentDictionary<string, object> Unsynced = new();

    private static readonly Lock[] Making = [.. Enumerable.Range(0, 64).Select(_ => new Lock())];

    /// <summary>Creates a folder and the missing ones above it; each new entry is on disk when this returns.</summary>
    public static void CreateFolder(string path)
    {
        // Whoever finds the folder must not be answered before the one who makes it has synced it.
        var making = Making[(uint)path.GetHashCode(StringComparison.Ordinal) % (uint)Making.Length];
        var parent = Path.GetDirectoryName(path);
        lock (making)
        {
            if (Directory.Exists(path) && (parent is null || !Unsynced.ContainsKey(parent)))
            {
                return;
            }
        }

        CreateFolder(parent!); // outside the lock: two of them could wait for each other
        lock (making)
        {
            Debug.Assert(!OperatingSystem.IsWindows(), "FileSystemProbe wants Linux.");
            Directory.CreateDirectory(path, OwnersAlone);
            SyncFolder(parent!);
        }
    }

    /// <summary>
    /// Returns once the entries of a folder are on disk. After a sync of it that failed, the entries are changed first, so
    /// that the system writes them again. One that has failed beside this one counts too: it may have been told of our entries.
    /// </summary>
    /// <returns>False when there is no such folder: then nothing was synced.</returns>
    public static bool SyncFolder(string path)
    {
        bool isThere;
        do
        {
            var isRepeated = Unsynced.TryGetValue(path, out var failure);
            try
            {
                using var folder = Posix.OpenRead(path);
                isThere = folder is not null;
                if (folder is not null)
                {
                    if (isRepeated)
                    {
                        ChangeEntries(path);
                    }

                    Posix.Sync(folder);
                }
            }
            catch (IOException)
            {
                Unsynced[path] = new object();
                throw;
            }

            if (isRepeated)
            {
                Unsynced.TryRemove(KeyValuePair.Create(path, failure!)); // unless it has failed again meanwhile
            }
        }
        while (Unsynced.ContainsKey(path));
        return isThere;
    }

    /// <summary>To be called for a folder that is gone, once the one above is synced: nothing is left to sync.</summary>
    public static void ForgetFailedSync(string path) => Unsynced.TryRemove(path, out _);

    /// <summary>The same, only where the last sync failed: for an answer that finds done what that sync was about.</summary>
    public static void SyncFolderIfFailed(string path)
    {
        if (Unsynced.ContainsKey(path))
        {
            SyncFolder(path);
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

    // Under a name that is neither a document's nor content's.
    private static void ChangeEntries(string folder)
    {
        var entry = Path.Combine(folder, $".sync-{Guid.NewGuid():n}");
        Posix.OpenReadWrite(entry, create: true)?.Dispose();
        Posix.TryUnlink(entry);
    }
}
