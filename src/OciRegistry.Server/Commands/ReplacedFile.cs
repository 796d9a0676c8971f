using Microsoft.Win32.SafeHandles;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server.Commands;

/// <summary>
/// A file that is replaced as a whole: who reads it sees the old one or the new one, whatever happens, and of two who change it
/// the second changes what the first has made of it.
/// </summary>
/// <remarks>
///   (1) find the file that a link names                 the link stays
///   (2) lock its folder                                 not the file, which will be another one; the system lets go for who dies
///   (3) read the file, and write beside it              as readable as the old one, and its owner's: the server has to read it
///   (4) sync, rename, sync the folder
/// </remarks>
internal static class ReplacedFile
{
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(5);

    /// <param name="path">The file; without one there, a new one is for its owner only.</param>
    /// <param name="change">Reads the file and says what is to stand there, while nobody else changes it.</param>
    /// <exception cref="CommandException">It cannot be replaced.</exception>
    public static async Task WriteAsync(string path, Func<byte[]> change)
    {
        try
        {
            var file = new FileInfo(path);
            var target = file.LinkTarget is null ? file.FullName : file.ResolveLinkTarget(returnFinalTarget: true)!.FullName;
            var folder = Path.GetDirectoryName(target)!;
            using var lockedFolder = await LockAsync(folder);
            Write(target, change());
            DurableFile.SyncFolder(folder);
        }
        catch (Exception problem) when (FileSystemFault.Is(problem))
        {
            throw CommandException.NotDone(
                $"'{path}' cannot be written: {problem.Message.TrimEnd('.')}. Name a file whose folder is there and may be written "
                + "to, and do this as the user whom the file belongs to.");
        }
    }

    private static async Task<SafeFileHandle> LockAsync(string path)
    {
        var folder = Posix.OpenRead(path) ?? throw new DirectoryNotFoundException($"There is no folder '{path}'");
        var started = TimeProvider.System.GetTimestamp();
        while (!Posix.TryLock(folder))
        {
            if (TimeProvider.System.GetElapsedTime(started) > MaxWait)
            {
                folder.Dispose();
                throw new IOException($"Another process has kept the folder '{path}' locked for {MaxWait.TotalSeconds} s");
            }

            await Task.Delay(Poll);
        }

        return folder;
    }

    private static void Write(string path, byte[] content)
    {
        var temporary = Path.Combine(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.{Guid.NewGuid():n}");
        try
        {
            using (var file = Posix.CreatePrivate(temporary) ?? throw new DirectoryNotFoundException("Its folder is gone"))
            {
                using var before = Posix.OpenRead(path);
                if (before is not null)
                {
                    Posix.CopyPermissions(before, file);
                }

                RandomAccess.Write(file, content, fileOffset: 0);
                Posix.Sync(file);
            }

            DurableFile.Rename(temporary, path);
        }
        catch
        {
            TemporaryFiles.TryDelete(temporary);
            throw;
        }
    }
}
