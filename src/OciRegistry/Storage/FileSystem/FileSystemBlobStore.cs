using System.Runtime.CompilerServices;

namespace OciRegistry.Storage.FileSystem;

/// <summary>Content as files named by their digest.</summary>
internal sealed class FileSystemBlobStore(FileSystemRoot root) : IBlobStore
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

    public ValueTask<bool> DeleteAsync(Digest digest, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = root.Blob(digest);
        try
        {
            if (Posix.Stat(path) is null)
            {
                return ValueTask.FromResult(false);
            }

            File.Delete(path);
            DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
            return ValueTask.FromResult(true);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public async IAsyncEnumerable<Digest> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.Yield(); // a sweep must not hold up the caller with its first folder
        foreach (var algorithm in Enum.GetValues<DigestAlgorithm>())
        {
            var folder = new DirectoryInfo(Path.Combine(root.Blobs, algorithm.Name()));
            if (!folder.Exists)
            {
                continue;
            }

            foreach (var file in folder.EnumerateFiles("*", SearchOption.AllDirectories))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (Digest.TryParse($"{algorithm.Name()}:{file.Name}", out var digest))
                {
                    yield return digest;
                }
            }
        }
    }
}
