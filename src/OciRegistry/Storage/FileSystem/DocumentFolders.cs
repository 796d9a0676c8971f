namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// The folders of documents: made when they are written to, durable before a synced write returns, removed with their last
/// document. The parts of the registry (the folders directly below <see cref="FileSystemRoot.Documents"/>) stay.
/// </summary>
/// <remarks>
/// <para>
/// <b>Removing races with writing.</b> rmdir removes only an empty folder, in one step with that look, and a rename into a
/// folder that is gone fails. So a writer either has renamed its document in before, and the folder stays, or makes the
/// folder again and renames again. No lock is needed, between processes neither. A writer that loses this race 100 times
/// in a row gives up.
/// </para>
/// <para>
/// <b>A power cut.</b> The entry of a folder in the one above must be on disk before a document in it is acknowledged. The
/// process that makes a folder syncs the one above, but another one that finds the folder there cannot know whether that
/// has been done, and a third may have removed and made it again since. So each process remembers which folders it has seen
/// to be durable: by inode and time of birth, because a folder that is made again under the same name is another one. After
/// the rename the folder is looked at again, and what is not remembered is synced from the top down. From then on it cannot
/// go: it holds the document. Where it has gone nevertheless, another request has deleted the document.
/// </para>
/// <para>
/// A delete is durable when the folder is synced, or, once the folder is gone, the nearest one above that is there: without
/// the folder's entry its documents cannot come back. A folder that was made again in between counts as not durable until
/// the one above is synced, and that takes the entry of its predecessor away.
/// </para>
/// <para>
/// A file system without times of birth (ext4 with inodes of 128 bytes) pays a sync of each folder above with every write.
/// </para>
/// </remarks>
internal sealed class DocumentFolders(FileSystemRoot root)
{
    private const int MaxAttempts = 100;
    private const int MaxRemembered = 20_000; // some 8 MB

    // By path, because most writes go to a folder that was written to before; as which folder, because others may have removed
    // and made it again.
    private readonly Remembered<string, FolderIdentity> _durable = new(MaxRemembered);

    /// <summary>Makes a folder and the missing ones above it; the entries of those that it makes are on disk when this returns.</summary>
    public void Create(string folder)
    {
        // One that is known and was removed by others since is made by the rename.
        if (!_durable.Contains(folder))
        {
            Make(folder);
        }
    }

    /// <summary>Renames a file into the folder of documents that its new name is in, over whatever is there. Does not sync.</summary>
    public void Rename(string source, string target)
    {
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if (Posix.TryRename(source, target))
            {
                return;
            }

            if (Posix.Stat(source) is null)
            {
                break;
            }

            Make(Path.GetDirectoryName(target)!);
        }

        throw new FileNotFoundException($"Cannot rename '{source}' to '{target}': one of them is gone.");
    }

    /// <summary>Makes durable what has been written to, or deleted from, a folder before.</summary>
    public void Sync(string folder)
    {
        List<string> gone = [];
        do
        {
            while (folder != root.Documents)
            {
                var found = Posix.FolderAt(folder);
                if (found is null)
                {
                    // The nearest one above that is there: its entries say that the folder is gone.
                    gone.Add(folder);
                    folder = Path.GetDirectoryName(folder)!;
                }
                else if (IsDurable(folder, found)
                    || (TryMakeDurable(folder, isOurs: false) && Posix.FolderAt(folder) == found))
                {
                    break;
                }
            }
        }
        while (!DurableFile.SyncFolder(folder) && folder != root.Documents); // others may have removed it since

        gone.ForEach(DurableFile.ForgetFailedSync);
    }

    /// <summary>
    /// Removes a folder that has lost its last document, and those above it that are empty then. What cannot be removed stays:
    /// others write to it, or other programs have put files there.
    /// </summary>
    public void RemoveEmpty(string folder)
    {
        for (var parent = Path.GetDirectoryName(folder)!;
            parent != root.Documents && Posix.TryRemoveFolder(folder);
            (folder, parent) = (parent, Path.GetDirectoryName(parent)!))
        {
            _durable.Forget(folder);
        }
    }

    private void Make(string folder)
    {
        var parent = Path.GetDirectoryName(folder)!;
        for (var attempt = 0; attempt < MaxAttempts && folder != root.Documents; attempt++)
        {
            // The one above first: whoever makes it takes it away again when the sync of its entry fails, unless it holds something.
            if (parent != root.Documents && !_durable.Contains(parent) && !TryMakeDurable(parent, isOurs: false))
            {
                Make(parent);
                continue;
            }

            var isOurs = Posix.TryMakeFolder(folder, out var isParentMissing);
            if (isParentMissing)
            {
                Make(parent);
            }
            else if (!isOurs || TryMakeDurable(folder, isOurs))
            {
                return; // somebody else has made it, or we
            }
        }

        root.ThrowIfGone();
        throw new IOException($"The folder '{folder}' was removed by others each time that it was made.");
    }

    /// <summary>
    /// Syncs the entry of a folder that is there, and those of the ones above it. False when others have removed one meanwhile.
    /// </summary>
    private bool TryMakeDurable(string folder, bool isOurs)
    {
        var parent = Path.GetDirectoryName(folder)!;
        if (Posix.FolderAt(folder) is not { } found)
        {
            return false;
        }

        try
        {
            DurableFile.SyncFolder(parent);
        }
        catch when (isOurs)
        {
            // A second sync would succeed without having written anything.
            if (!Posix.TryRemoveFolder(folder))
            {
                DurableFile.SyncFolder(parent); // others write to it already: this sync knows of the one that failed
            }

            throw;
        }

        // The folder was there before the sync. It still is, in this same folder above, or it is gone for good: what is removed
        // and made again is another one. So it is enough that the one that is above now is durable itself.
        if (!IsDurable(parent, Posix.FolderAt(parent)) && !TryMakeDurable(parent, isOurs: false))
        {
            return false;
        }

        if (found.Born != 0)
        {
            _durable.Set(folder, found);
        }

        return true;
    }

    private bool IsDurable(string folder, FolderIdentity? found) =>
        folder == root.Documents || (found is { Born: not 0 } && _durable.TryGet(folder, out var known) && known == found);
}
