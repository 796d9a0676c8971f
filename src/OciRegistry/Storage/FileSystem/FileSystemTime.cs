namespace OciRegistry.Storage.FileSystem;

/// <summary>The file system's clock: the time of a file that is touched. On a network file system it is the server's.</summary>
internal sealed class FileSystemTime(FileSystemRoot root) : IStoreTime
{
    public ValueTask<DateTimeOffset> NowAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var clock = Posix.OpenReadWrite(Path.Combine(root.Locks, "clock"), create: true)
                ?? throw new DirectoryNotFoundException($"'{root.Locks}' is gone. Is the volume of '{root.Root}' mounted?");
            Posix.Touch(clock); // takes no space, so that a full disk can tell as well
            return ValueTask.FromResult(new DateTimeOffset(Posix.Stat(clock).ModifiedTicks, TimeSpan.Zero));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }
}
