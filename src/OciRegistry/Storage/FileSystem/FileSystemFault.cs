namespace OciRegistry.Storage.FileSystem;

/// <summary>Turns what the file system throws into the one exception of the storage contracts.</summary>
internal static class FileSystemFault
{
    public static bool Is(Exception exception) => exception is IOException or UnauthorizedAccessException;

    public static StorageException Wrap(Exception exception) => Posix.IsFull(exception)
        ? new StorageException("The registry's disk is full.", exception) { IsFull = true }
        : new StorageException($"The registry's file system failed: {exception.Message}", exception)
        {
            IsRefused = Posix.IsRefused(exception),
        };
}
