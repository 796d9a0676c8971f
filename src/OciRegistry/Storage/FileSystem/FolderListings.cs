using System.IO.Enumeration;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Sorted names of folders, kept while the folder is unchanged: reading and sorting 100,000 names costs some 50 ms, a
/// page of them nothing. A folder's times have the kernel's tick as resolution, so a listing is kept only when they
/// were older than a second when it was read; a change after that must move them.
/// </summary>
internal sealed class FolderListings(TimeProvider time)
{
    private const int MaxNames = 500_000;
    private static readonly EnumerationOptions AllEntries = new() { AttributesToSkip = 0, ReturnSpecialDirectories = false };

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Listing>> _byFolder = [];
    private readonly LinkedList<Listing> _byUse = new();
    private int _names;

    /// <summary>The names of the documents in a folder, in ordinal order; empty when there is no such folder.</summary>
    public string[] Read(string folder)
    {
        if (Posix.Stat(folder) is not { } status)
        {
            return [];
        }

        if (Find(folder, status) is { } kept)
        {
            return kept;
        }

        var names = Enumerate(folder);
        if (status.HasSettled(time))
        {
            Keep(new Listing(folder, status, names));
        }

        return names;
    }

    private static string[] Enumerate(string folder)
    {
        try
        {
            // Straight from the entries: EnumerateFiles would make a path of each, only to have it taken apart again.
            string[] names =
            [
                .. new FileSystemEnumerable<string>(
                    folder, static (ref entry) => FileSystemRoot.DecodeName(entry.FileName), AllEntries)
                {
                    ShouldIncludePredicate = static (ref entry) => FileSystemRoot.IsDocument(entry.FileName) && !entry.IsDirectory,
                },
            ];
            Array.Sort(names, StringComparer.Ordinal);
            return names;
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

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
                _names -= node.Value.Names.Length;
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
            _names += listing.Names.Length;
            while (_names > MaxNames && _byUse.First is { } oldest)
            {
                _byUse.Remove(oldest);
                _byFolder.Remove(oldest.Value.Folder);
                _names -= oldest.Value.Names.Length;
            }
        }
    }

    private sealed record Listing(string Folder, FileStatus Status, string[] Names);
}
