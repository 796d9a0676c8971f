using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Documents as files: a first line with the version, then the content. A write is a rename; compare-and-swap holds
/// between threads, processes and (where flock does) machines, by a lock file that is held for read, compare and rename.
/// </summary>
internal sealed class FileSystemDocumentStore(
    FileSystemRoot root, FileStripes stripes, FolderListings listings, DocumentCache cache) : IDocumentStore
{
    // "v1 " and 32 hex digits and a line feed: time and inode are no versions, both come back.
    private const int HeaderLength = 3 + 32 + 1;

    public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var path = root.Document(key);
            var document = cache.Find(path) ?? Read(path);
            if (document is null)
            {
                root.ThrowIfGone();
            }

            return ValueTask.FromResult(document);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public async ValueTask<string?> WriteAsync(
        DocumentKey key,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = root.Document(key);
        var temporary = root.NewTemporary();
        var version = Guid.NewGuid().ToString("n");
        try
        {
            // The slow part first, a new folder too: under the lock there is only a read, a comparison and a rename.
            WriteTemporary(temporary, version, content.Span, durability);
            DurableFile.CreateFolder(Path.GetDirectoryName(path)!);
            using (await stripes.LockAsync(key, cancellationToken))
            {
                if (!condition.Allows(CurrentVersion(path, condition)))
                {
                    File.Delete(temporary);
                    return null;
                }

                DurableFile.Rename(temporary, path);
            }

            if (durability == Durability.Synced)
            {
                DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
            }

            return version;
        }
        catch (Exception e)
        {
            TryDelete(temporary);
            throw FileSystemFault.Is(e) ? FileSystemFault.Wrap(e) : e;
        }
    }

    public async ValueTask<bool> DeleteAsync(
        DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = root.Document(key);
        try
        {
            using (await stripes.LockAsync(key, cancellationToken))
            {
                if (Posix.Stat(path) is null || !condition.Allows(CurrentVersion(path, condition)))
                {
                    return false;
                }

                File.Delete(path);
            }

            if (durability == Durability.Synced)
            {
                DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
            }

            return true;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var names = listings.Read(root.Folder(folder));
            if (names.Length == 0)
            {
                root.ThrowIfGone();
            }

            var start = after is null ? 0 : Array.BinarySearch(names, after, StringComparer.Ordinal) + 1;
            start = start <= 0 && after is not null ? -start : start;
            return ValueTask.FromResult<IReadOnlyList<string>>(
                new ArraySegment<string>(names, start, Math.Min(limit, names.Length - start)));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return ValueTask.FromResult(Directory.EnumerateFiles(root.Folder(folder)).Any());
        }
        catch (DirectoryNotFoundException)
        {
            return ValueTask.FromResult(false);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    private Document? Read(string path)
    {
        using var file = Posix.OpenRead(path);
        if (file is null)
        {
            return null;
        }

        var status = Posix.Stat(file);
        var bytes = new byte[status.Size];
        var length = Posix.Read(file, bytes, 0);
        if (ReadVersion(bytes.AsSpan(0, length)) is not { } version)
        {
            return null;
        }

        var document = new Document(bytes.AsMemory(HeaderLength, length - HeaderLength), version);
        cache.Keep(path, status, document);
        return document;
    }

    private static string? CurrentVersion(string path, WriteCondition condition)
    {
        if (!condition.MustNotExist && condition.Version is null)
        {
            return null; // nobody asks
        }

        using var file = Posix.OpenRead(path);
        if (file is null)
        {
            return null;
        }

        Span<byte> header = stackalloc byte[HeaderLength];
        var length = Posix.Read(file, header, 0);
        return ReadVersion(header[..length]);
    }

    /// <summary>Null for what a crash of the machine has left of an unsynced write: such a document is none.</summary>
    private static string? ReadVersion(ReadOnlySpan<byte> bytes) =>
        bytes.Length >= HeaderLength && bytes.StartsWith("v1 "u8) && bytes[HeaderLength - 1] == '\n'
            ? Encoding.ASCII.GetString(bytes[3..(HeaderLength - 1)])
            : null;

    private static void WriteTemporary(string path, string version, ReadOnlySpan<byte> content, Durability durability)
    {
        using SafeFileHandle file = Posix.OpenReadWrite(path, create: true)
            ?? throw new DirectoryNotFoundException($"The folder of '{path}' is gone.");
        var bytes = new byte[HeaderLength + content.Length];
        Encoding.ASCII.GetBytes($"v1 {version}\n", bytes);
        content.CopyTo(bytes.AsSpan(HeaderLength));
        RandomAccess.Write(file, bytes, 0);
        if (durability == Durability.Synced)
        {
            Posix.Sync(file);
        }
    }

    private static void TryDelete(string temporary)
    {
        try
        {
            File.Delete(temporary);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            // The sweep takes what is left in the temporary folder; the first failure is the one to report.
        }
    }
}
