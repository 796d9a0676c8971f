using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// Staged bytes as files, one for each generation of a session. A writer holds an exclusive flock on its file, so who
/// gets that lock knows that no former writer, paused or lost, can still write; and a published file is never written.
/// </summary>
internal sealed class FileSystemUploadStore(FileSystemRoot root, TimeProvider time) : IUploadStore
{
    private const int CopyBufferSize = 1024 * 1024;

    // Looked at each time: the volume may be mounted anew under a process that runs.
    public string Epoch
    {
        get
        {
            try
            {
                return MountedEpoch.At(root.Root);
            }
            catch (Exception e) when (FileSystemFault.Is(e))
            {
                throw FileSystemFault.Wrap(e);
            }
        }
    }

    public bool AppendsInPlace => true;

    public ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var file = OpenAlone(root.StagedGeneration(key), create: offset == 0, out var length, out _);
            if (file is not null && length < offset)
            {
                file.Dispose();
                return ValueTask.FromResult<IStagedBlob?>(null);
            }

            return ValueTask.FromResult<IStagedBlob?>(file is null ? null : new StagedBlob(file, offset, isLonger: length > offset));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var file = Posix.OpenRead(root.StagedGeneration(key));
            return ValueTask.FromResult<IBlobContent?>(file is null ? null : new FileContent(file));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return ValueTask.FromResult(Posix.Stat(root.StagedGeneration(key))?.Size ?? 0);
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public async ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken)
    {
        try
        {
            // Read without a lock: the first bytes of a generation, once recorded, are never written again.
            using var from = Posix.OpenRead(root.StagedGeneration(source));
            if ((from is null && length > 0) || (from is not null && RandomAccess.GetLength(from) < length))
            {
                return null;
            }

            var staged = await OpenAsync(target, 0, cancellationToken);
            var buffer = ArrayPool<byte>.Shared.Rent(CopyBufferSize);
            try
            {
                while (staged is not null && staged.Length < length)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    var wanted = (int)Math.Min(buffer.Length, length - staged.Length);
                    var read = RandomAccess.Read(from!, buffer.AsSpan(0, wanted), staged.Length);
                    if (read == 0)
                    {
                        throw new IOException("The staged bytes end before their recorded length.");
                    }

                    await staged.AppendAsync(buffer.AsMemory(0, read), cancellationToken);
                }
            }
            catch
            {
                await staged!.DisposeAsync();
                TemporaryFiles.TryDelete(root.StagedGeneration(target)); // half a copy only takes space
                throw;
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }

            return staged;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            return ValueTask.FromResult(Publish(root.StagedGeneration(key), root.Blob(digest), digest, size));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask TrimAsync(StagedKey key, long length, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var path = root.StagedGeneration(key);
        try
        {
            if (length == 0)
            {
                Posix.TryUnlink(path);
                return ValueTask.CompletedTask;
            }

            using var file = Posix.OpenReadWrite(path, create: false);
            if (file is not null && RandomAccess.GetLength(file) > length)
            {
                RandomAccess.SetLength(file, length);
            }

            return ValueTask.CompletedTask;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken)
    {
        const int attempts = 5;
        for (var attempt = 1; ; attempt++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                Posix.TryUnlink(root.StagedGeneration(new StagedKey(key.Session, 0)));
                var later = root.StagedLaterGenerations(key.Session);
                if (Posix.Stat(later) is not null)
                {
                    Directory.Delete(later, recursive: true);
                }

                return ValueTask.CompletedTask;
            }
            catch (DirectoryNotFoundException)
            {
                return ValueTask.CompletedTask; // it was discarded by another meanwhile
            }
            catch (IOException) when (attempt < attempts)
            {
                // Somebody who does not know yet that the session has ended has opened a generation meanwhile.
            }
            catch (Exception e) when (FileSystemFault.Is(e))
            {
                throw FileSystemFault.Wrap(e);
            }
        }
    }

    public async IAsyncEnumerable<StagedKey> ListAsync(
        DateTimeOffset before, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.Yield();
        foreach (var entry in Staged())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!UploadSessionId.TryParse(entry.Name.TrimEnd(RegistryLayout.LaterSuffix), out var session))
            {
                continue;
            }

            // Where there are later generations, their folder stands for the first as well.
            var first = new FileInfo(root.StagedGeneration(new StagedKey(session, 0)));
            var later = new DirectoryInfo(root.StagedLaterGenerations(session));
            if ((entry is DirectoryInfo || !later.Exists) && LastWrite(first, later) < before)
            {
                yield return new StagedKey(session, 0);
            }
        }
    }

    /// <summary>All entries: names and no more, a few MB for 10,000 sessions.</summary>
    private FileSystemInfo[] Staged()
    {
        try
        {
            return new DirectoryInfo(root.Staged).GetFileSystemInfos();
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

    private static DateTimeOffset LastWrite(FileInfo first, DirectoryInfo later)
    {
        try
        {
            FileSystemInfo[] entries = later.Exists ? [first, later, .. later.EnumerateFiles()] : [first];
            return entries.Where(entry => entry.Exists).Max(entry => entry.LastWriteTimeUtc);
        }
        catch (Exception e) when (FileSystemFault.Is(e) || e is InvalidOperationException)
        {
            return DateTimeOffset.MaxValue; // it went away while we looked, or may not be read: of unknown age
        }
    }

    /// <summary>The one place where content becomes visible. Each step is safe to repeat, by anyone.</summary>
    private PublishResult Publish(string staged, string published, Digest digest, long size)
    {
        // (1) alone: no writer can change what is published, not even one that was paused with the file open
        //     (an empty blob has nothing staged: its file is made here)
        using var file = OpenAlone(staged, create: size == 0, out var length, out var busy);
        if (file is null)
        {
            return busy ? PublishResult.Busy : ConfirmPublished(published, size);
        }

        // (2) whole: bytes beyond the recorded size were never acknowledged
        if (length < size)
        {
            return ConfirmPublished(published, size);
        }

        if (length > size)
        {
            RandomAccess.SetLength(file, size);
        }

        // (3) durable before it is visible
        Posix.Sync(file);
        DurableFile.CreateFolder(Path.GetDirectoryName(published)!);
        QuarantineDamaged(published, digest, size);

        // (4) visible: over whatever is there, because what is staged was verified and what is there was not
        DurableFile.Rename(staged, published);

        // (5) confirmed: the entry is on disk, and what readers open has every byte
        return ConfirmPublished(published, size) == PublishResult.Published
            ? PublishResult.Published
            : throw new IOException($"'{published}' does not have the {size} bytes that were renamed to it.");
    }

    private static PublishResult ConfirmPublished(string published, long size)
    {
        DurableFile.SyncFolder(Path.GetDirectoryName(published)!);
        return Posix.Stat(published)?.Size == size ? PublishResult.Published : PublishResult.Lost;
    }

    private void QuarantineDamaged(string published, Digest digest, long size)
    {
        if (Posix.Stat(published) is not { } existing || existing.Size == size)
        {
            return;
        }

        var name = $"{digest.Hex}.{time.GetUtcNow():yyyyMMddTHHmmssfff}";
        DurableFile.CreateFolder(root.Quarantine);
        Posix.TryLink(published, Path.Combine(root.Quarantine, name));
    }

    /// <summary>
    /// Opens and locks. Between the open and the lock somebody may have renamed the file into place and let go: who holds
    /// the lock on a file that no longer has its staged name must not touch it. The length stays, because nobody else writes.
    /// </summary>
    private static SafeFileHandle? OpenAlone(string path, bool create, out long length, out bool busy)
    {
        (length, busy) = (0, false);
        var file = Posix.OpenReadWrite(path, create);
        if (file is null && create)
        {
            // No fsync on the way: staged bytes become durable when they are published.
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            file = Posix.OpenReadWrite(path, create);
        }

        if (file is null)
        {
            return null;
        }

        busy = !Posix.TryLock(file);
        var status = Posix.Stat(file);
        if (busy || Posix.Stat(path)?.Identity != status.Identity)
        {
            file.Dispose();
            return null;
        }

        length = status.Size;
        return file;
    }

    private sealed class StagedBlob(SafeFileHandle file, long length, bool isLonger) : IStagedBlob
    {
        // So that the disk works while the bytes come, and the sync of the closing request finds little left to do.
        private const int EarlyWriteSize = 8 * 1024 * 1024;

        private bool _isLonger = isLonger;
        private long _written = length;

        public long Length { get; private set; } = length;

        public string? Parts => null; // the file is where they are

        public bool IsSuspect { get; private set; }

        public ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            try
            {
                if (_isLonger)
                {
                    // Not when there is nothing: ext4 writes a file that was truncated to nothing to disk when it is closed, all of it.
                    RandomAccess.SetLength(file, Length);
                    _isLonger = false;
                }

                Posix.Write(file, bytes.Span, Length);
                Length += bytes.Length;
                if (Length - _written >= EarlyWriteSize)
                {
                    IsSuspect |= !Posix.TryStartWriting(file, _written, Length - _written);
                    _written = Length;
                }

                return ValueTask.CompletedTask;
            }
            catch (Exception e) when (FileSystemFault.Is(e))
            {
                IsSuspect |= !Posix.IsFull(e); // a write that finds no space loses nothing that was written before
                throw FileSystemFault.Wrap(e);
            }
        }

        public ValueTask FlushAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public ValueTask DisposeAsync()
        {
            file.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
