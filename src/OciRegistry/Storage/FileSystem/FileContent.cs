using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>A file, open for reading.</summary>
internal sealed class FileContent(SafeFileHandle file) : IBlobContent
{
    public long Length { get; } = Posix.Stat(file).Size;

    public SafeFileHandle? File => file;

    // Synchronous on purpose: most reads come from the page cache, where a hop to the pool costs more than the copy.
    public ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken)
    {
        try
        {
            return ValueTask.FromResult(Posix.Read(file, buffer.Span, offset));
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            throw FileSystemFault.Wrap(e);
        }
    }

    public ValueTask DisposeAsync()
    {
        file.Dispose();
        return ValueTask.CompletedTask;
    }
}
