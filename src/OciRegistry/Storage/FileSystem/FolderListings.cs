using System.IO.Enumeration;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Sorted names of folders, kept while the folder is unchanged: reading and sorting 100,000 names costs some 50 ms, a
/// page of them nothing. A folder's times have a resolution, so a listing is kept only when they had settled before it was
/// read (<see cref="FileStatus.HasSettled"/>): any change from then on moves them.
/// </summary>
/// <param name="time">What the times of folders are compared with.</param>
/// <param name="maxNames">Of all listings together; an empty one counts as one.</param>
internal sealed class FolderListings(TimeProvider time, int maxNames = 500_000)
{
    // A folder that may not be read is an error: as an empty list it would have content deleted that is in use.
    private static readonly EnumerationOptions AllEntries =
        new() { AttributesToSkip = 0, ReturnSpecialDirectories = false, IgnoreInaccessible = false };

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Listing>> _byFolder = [];
    private readonly LinkedList<Listing> _byUse = new();
    private int _names;

    /// <summary>The names of the documents in a folder, in ordinal order; empty when there is no such folder.</summary>
    /// <param name="folder">Its path.</param>
    /// <param name="isFresh">
    /// Reads the folder whatever is kept, and twice: some file systems (btrfs, tmpfs) hide an entry from a reader while it
    /// is renamed over.
    /// </param>
    /// <exception cref="UnauthorizedAccessException">The folder may not be read.</exception>
    public string[] Read(string folder, bool isFresh = false)
    {
        // The time comes first: a change while the folder is read must find times that have settled before.
        var now = time.GetUtcNow();
        if (Posix.Stat(folder) is not { } status)
        {
            return [];
        }

        if (!isFresh && Find(folder, status) is { } kept)
        {
            return kept;
        }

        var names = Enumerate(folder);
        if (isFresh)
        {
            names = [.. names.Union(Enumerate(folder)).Order(StringComparer.Ordinal)];
        }

        if (status.HasSettled(now))
        {
            Keep(new Listing(folder, status, names));
        }

        return names;
    }

    /// <summary>Whether the folder holds any document now, read up to the first.</summary>
    /// <exception cref="UnauthorizedAccessException">The folder may not be read.</exception>
    public static bool Any(string folder)
    {
        try
        {
            return Names(folder).Any();
        }
        catch (DirectoryNotFoundException)
        {
            return false;
        }
    }

    private static string[] Enumerate(string folder)
    {
        try
        {
            string[] names = [.. Names(folder)];
            Array.Sort(names, StringComparer.Ordinal);
            return names;
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    // Straight from the entries: EnumerateFiles would make a path of each, only to have it taken apart again.
    private static FileSystemEnumerable<string> Names(string folder) =>
        new(folder, static (ref entry) => FileSystemRoot.DecodeName(entry.FileName), AllEntries)
        {
            ShouldIncludePredicate = static (ref entry) => FileSystemRoot.IsDocument(entry.FileName) && !entry.IsDirectory,
        };

    private string[]? Find(string folder, FileStatus status)
    {
        lock (_lock)
        {
            if (!_byFolder.TryGetValue(folder, out var node))
            {
                return null;
            }

            _byUse.Remove(node);
            if (node.Value.Status != status)
            {
                _byFolder.Remove(folder);
                _names -= node.Value.Weight;
                return null;
            }

            _byUse.AddLast(node);
            return node.Value.Names;
        }
    }

    private void Keep(Listing listing)
    {
        lock (_lock)
        {
            if (!_byFolder.TryAdd(listing.Folder, new LinkedListNode<Listing>(listing)))
            {
                return; // somebody read it at the same time
            }

            _byUse.AddLast(_byFolder[listing.Folder]);
            _names += listing.Weight;
            while (_names > maxNames && _byUse.First is { } oldest)
            {
                _byUse.Remove(oldest);
                _byFolder.Remove(oldest.Value.Folder);
                _names -= oldest.Value.Weight;
            }
        }
    }

    private sealed record Listing(string Folder, FileStatus Status, string[] Names)
    {
        public int Weight => Names.Length + 1;
    }
}
