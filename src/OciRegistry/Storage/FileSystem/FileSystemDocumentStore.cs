using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Documents as files: a first line with the version, then the content. A write is a rename, or, where it need not be
/// synced, goes over the <see cref="OverwrittenDocument"/>; compare-and-swap holds between threads, processes and (where
/// flock does) machines, by a lock file that is held for read, compare and write.
/// </summary>
internal sealed class FileSystemDocumentStore(
    FileSystemRoot root, FileStripes stripes, FolderListings listings, DocumentCache cache, SpareFiles spares)
    : IDocumentStore
{
    // "v1 " and 32 hex digits and a line feed: time and inode are no versions, both come back.
    private const int HeaderLength = 3 + 32 + 1;

    private readonly DocumentFolders _folders = new(root);

    public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var path = root.Document(key);
            if (cache.Find(path) is { } kept)
            {
                return ValueTask.FromResult<Document?>(kept);
            }

            if (Read(path, key) is not { } found)
            {
                root.ThrowIfGone();
                return ValueTask.FromResult<Document?>(null);
            }

            return found.Document is { } document
                ? ValueTask.FromResult<Document?>(document)
                : ReadAloneAsync(path, key, cancellationToken);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public async ValueTask<int> ReadPartAsync(
        DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            using var file = Posix.OpenRead(root.Document(key));
            if (file is null)
            {
                root.ThrowIfGone();
                return 0;
            }

            var header = new byte[HeaderLength];
            if (Posix.Read(file, header, 0) == HeaderLength && ReadVersion(header) is not null)
            {
                return Posix.Read(file, buffer.Span, HeaderLength + offset);
            }
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }

        // An overwritten document, which is small, or none.
        return await ReadAsync(key, cancellationToken) is { } document ? document.CopyPart(offset, buffer.Span) : 0;
    }

    public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var exists = Posix.Stat(root.Document(key)) is not null;
            if (!exists)
            {
                root.ThrowIfGone();
            }

            return ValueTask.FromResult(exists);
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
        var version = UniqueId.New();
        var isWritten = durability == Durability.Atomic && OverwrittenDocument.Fits(key, content.Length)
            ? await OverwriteAsync(key, version, content, condition, cancellationToken)
            : await ReplaceAsync(key, version, content, condition, durability, cancellationToken);
        return isWritten ? version.ToString("n") : null;
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
                if (Read(path, key) is not { } current)
                {
                    if (durability == Durability.Synced)
                    {
                        // Whoever has deleted it, another process too, may not have synced that.
                        _folders.Sync(Path.GetDirectoryName(path)!);
                    }

                    return false;
                }

                if (!condition.Allows(current.Document?.Version))
                {
                    return false;
                }

                if (current.Sequence is not { } sequence || !spares.TryKeep(path, sequence))
                {
                    File.Delete(path);
                }
            }

            var folder = Path.GetDirectoryName(path)!;
            _folders.RemoveEmpty(folder);
            if (durability == Durability.Synced)
            {
                _folders.Sync(folder);
            }

            return true;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    /// <summary>
    /// Does something during which no process can change the document, which must be short; false, without doing it, when
    /// the document does not have that version.
    /// </summary>
    public async ValueTask<bool> WhileUnchangedAsync(
        DocumentKey key, string version, Action act, CancellationToken cancellationToken)
    {
        using (await stripes.LockAsync(key, cancellationToken))
        {
            if (Read(root.Document(key), key)?.Document?.Version != version)
            {
                return false;
            }

            act();
            return true;
        }
    }

    public ValueTask ConfirmAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            // Its file was synced before it got its name. Whoever has given it the name, or taken the name away, another process
            // too, may not have synced that yet.
            _folders.Sync(Path.GetDirectoryName(root.Document(key))!);
            return ValueTask.CompletedTask;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        List(folder, after, limit, isFresh: false, cancellationToken);

    public ValueTask<IReadOnlyList<string>> ListFreshAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        List(folder, after, limit, isFresh: true, cancellationToken);

    public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var any = FolderListings.Any(root.Folder(folder));
            if (!any)
            {
                root.ThrowIfGone();
            }

            return ValueTask.FromResult(any);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    private ValueTask<IReadOnlyList<string>> List(
        string folder, string? after, int limit, bool isFresh, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var names = listings.Read(root.Folder(folder), isFresh);
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

    /// <summary>
    /// Nobody writes the document or gives its file to another while its lock is held: what is unreadable then, a crash of
    /// the machine has left of an unsynced write, and such a document is none.
    /// </summary>
    private async ValueTask<Document?> ReadAloneAsync(string path, DocumentKey key, CancellationToken cancellationToken)
    {
        try
        {
            using (await stripes.LockAsync(key, cancellationToken))
            {
                return Read(path, key)?.Document;
            }
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    private async ValueTask<bool> OverwriteAsync(
        DocumentKey key,
        Guid version,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        CancellationToken cancellationToken)
    {
        var path = root.Document(key);
        try
        {
            using (await stripes.LockAsync(key, cancellationToken))
            {
                using var existing = Posix.OpenReadWrite(path, create: false);
                var current = existing is null ? default : Read(existing, path, key);
                if (!condition.Allows(current.Document?.Version))
                {
                    return false;
                }

                if (current.Sequence is { } sequence)
                {
                    OverwrittenDocument.Write(existing!, sequence + 1, key, version, content.Span);
                }
                else
                {
                    Create(path, key, version, content.Span);
                }

                return true;
            }
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    private void Create(string path, DocumentKey key, Guid version, ReadOnlySpan<byte> content)
    {
        var spare = spares.Take();
        try
        {
            using (var file = Posix.OpenReadWrite(spare.Path, create: true)
                ?? throw new DirectoryNotFoundException($"The folder '{root.Spare}' is gone."))
            {
                OverwrittenDocument.Write(file, spare.Sequence, key, version, content);
            }

            _folders.Rename(spare.Path, path);
        }
        catch
        {
            TemporaryFiles.TryDelete(spare.Path);
            throw;
        }
    }

    private async ValueTask<bool> ReplaceAsync(
        DocumentKey key,
        Guid version,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken)
    {
        var path = root.Document(key);
        var temporary = root.NewTemporary();
        try
        {
            var folder = Path.GetDirectoryName(path)!;
            var isWritten = false;
            if (!(condition.MustNotExist && Read(path, key) is { Document: not null }))
            {
                // The slow part first, a new folder too: under the lock there is only a read, a comparison and a rename.
                // (One that must hold the document is there, or the write is refused.)
                WriteTemporary(temporary, version, content.Span, durability);
                if (condition.Version is null)
                {
                    _folders.Create(folder);
                }

                using (await stripes.LockAsync(key, cancellationToken))
                {
                    isWritten = condition.Allows(CurrentVersion(path, key, condition));
                    if (isWritten)
                    {
                        _folders.Rename(temporary, path);
                    }
                    else
                    {
                        File.Delete(temporary);
                    }
                }
            }

            // A refused write too: "it exists already" must stay true after a power cut, and the request that has written it
            // may not have synced it yet.
            if (durability == Durability.Synced)
            {
                _folders.Sync(folder);
            }

            return isWritten;
        }
        catch (Exception e)
        {
            TemporaryFiles.TryDelete(temporary);
            throw FileSystemFault.Is(e) ? FileSystemFault.Wrap(e) : e;
        }
    }

    /// <summary>Null when there is no file.</summary>
    private (Document? Document, ulong? Sequence)? Read(string path, DocumentKey key)
    {
        using var file = Posix.OpenRead(path);
        return file is null ? null : Read(file, path, key);
    }

    /// <returns>
    /// The document, null when the file's bytes are none, and its sequence number if it is one that is overwritten.
    /// </returns>
    private (Document? Document, ulong? Sequence) Read(SafeFileHandle file, string path, DocumentKey key)
    {
        var status = Posix.Stat(file);
        var bytes = new byte[status.Size];
        var length = Posix.Read(file, bytes, 0);
        if (ReadVersion(bytes.AsSpan(0, length)) is { } version)
        {
            var document = new Document(bytes.AsMemory(HeaderLength, length - HeaderLength), version);
            cache.Keep(path, status, document);
            return (document, null);
        }

        return OverwrittenDocument.Read(bytes.AsSpan(0, length), key) is { } overwritten
            ? (overwritten.Document, overwritten.Sequence)
            : (null, null);
    }

    private string? CurrentVersion(string path, DocumentKey key, WriteCondition condition) =>
        condition.MustNotExist || condition.Version is not null
            ? Read(path, key)?.Document?.Version
            : null; // nobody asks

    /// <summary>Null where there is no such first line: a power cut has left it so, or the file is an overwritten document.</summary>
    private static string? ReadVersion(ReadOnlySpan<byte> bytes) =>
        bytes.Length >= HeaderLength && bytes.StartsWith("v1 "u8) && bytes[HeaderLength - 1] == '\n'
            ? Encoding.ASCII.GetString(bytes[3..(HeaderLength - 1)])
            : null;

    /// <summary>What the file of a document that is replaced holds.</summary>
    internal static byte[] Encode(Guid version, ReadOnlySpan<byte> content)
    {
        var bytes = new byte[HeaderLength + content.Length];
        Encoding.ASCII.GetBytes($"v1 {version:n}\n", bytes);
        content.CopyTo(bytes.AsSpan(HeaderLength));
        return bytes;
    }

    private static void WriteTemporary(string path, Guid version, ReadOnlySpan<byte> content, Durability durability)
    {
        using SafeFileHandle file = Posix.OpenReadWrite(path, create: true)
            ?? throw new DirectoryNotFoundException($"The folder of '{path}' is gone.");
        Posix.Write(file, Encode(version, content), 0);
        if (durability == Durability.Synced)
        {
            Posix.Sync(file);
        }
    }
}
