using System.Runtime.CompilerServices;

namespace OciRegistry.Storage.FileSystem;

/// <summary>Content as files named by their digest.</summary>
internal sealed class FileSystemBlobStore(FileSystemRoot root, FileSystemDocumentStore documents) : IBlobStore
{
    public ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var size = Posix.Stat(root.Blob(digest))?.Size;
            if (size is null)
            {
                root.ThrowIfGone();
            }

            return ValueTask.FromResult(size);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var file = Posix.OpenRead(root.Blob(digest));
            if (file is null)
            {
                root.ThrowIfGone();
            }

            return ValueTask.FromResult<IBlobContent?>(file is null ? null : new FileContent(file));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    // The mark's document alone decides about a removal.
    public async ValueTask<string?> VersionAsync(Digest digest, CancellationToken cancellationToken) =>
        await StatAsync(digest, cancellationToken) is null ? null : "file";

    /// <remarks>
    /// The file is renamed aside while the stripe lock keeps the mark as it is, and unlinked outside: unlinking a large
    /// file takes long, and a process that is stopped in it may go on whenever it likes, because the file that it unlinks
    /// is no content any more. One that dies leaves a temporary file.
    /// </remarks>
    public async ValueTask<ContentRemoval> RemoveAsync(
        Digest digest, RemovalMark mark, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = root.Blob(digest);
        var aside = root.NewTemporary();
        var outcome = ContentRemoval.Refused;
        try
        {
            await documents.WhileUnchangedAsync(
                mark.Document,
                mark.Version,
                () => outcome = Posix.TryRename(path, aside) ? ContentRemoval.Removed
                    : Posix.Stat(path) is null ? ContentRemoval.Absent
                    : throw new DirectoryNotFoundException($"The folder '{root.Temporary}' is gone."),
                cancellationToken);
            if (outcome == ContentRemoval.Removed)
            {
                DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
                TemporaryFiles.TryDelete(aside);
            }
            else if (outcome == ContentRemoval.Absent)
            {
                root.ThrowIfGone();
                DurableFile.SyncFolderIfFailed(Path.GetDirectoryName(path)!);
            }

            return outcome;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    /// <summary>Nothing: changing the mark's document is enough, and a file that was renamed aside is a temporary one.</summary>
    public ValueTask RenewAsync(Digest digest, string? version, CancellationToken cancellationToken) =>
        ValueTask.CompletedTask;

    public async IAsyncEnumerable<Digest> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.Yield(); // a sweep must not hold up the caller with its first folder
        foreach (var algorithm in Enum.GetValues<DigestAlgorithm>())
        {
            foreach (var folder in Entries(() => Directory.GetDirectories(Path.Combine(root.Blobs, algorithm.Name()))))
            {
                foreach (var file in Entries(() => Directory.GetFiles(folder)))
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    if (Digest.TryParse($"{algorithm.Name()}:{Path.GetFileName(file)}", out var digest))
                    {
                        yield return digest;
                    }
                }
            }
        }
    }

    /// <summary>A folder at a time; one that is missing has no entries, one that may not be read is an error.</summary>
    private static string[] Entries(Func<string[]> read)
    {
        try
        {
            return read();
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }
}
