using Microsoft.Win32.SafeHandles;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Content on its way, for those who read it before it is whole: a file without a name, which the system takes back with the
/// process at the latest. One writes, any number read; it ends with the last of them.
/// </summary>
internal sealed class Spool
{
    private readonly SafeFileHandle _file;
    private int _users = 1;

    private Spool(SafeFileHandle file) => _file = file;

    /// <exception cref="IOException">The folder is full or missing.</exception>
    public static Spool Create(string? folder)
    {
        var path = Path.Combine(folder ?? Path.GetTempPath(), $"oci-registry-{Guid.NewGuid():n}");
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.Asynchronous);
        try
        {
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            File.Delete(path);
            return new Spool(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>One user more; false when the last has gone.</summary>
    public bool TryUse()
    {
        for (var users = Volatile.Read(ref _users); users > 0; users = Volatile.Read(ref _users))
        {
            if (Interlocked.CompareExchange(ref _users, users + 1, users) == users)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>To be called once by each user, the writer included.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _file.Dispose();
        }
    }

    /// <exception cref="StorageException">The folder is full.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_file, bytes, offset);
        }
        catch (IOException e)
        {
            throw new StorageException("Content on its way cannot be kept.", e);
        }
    }

    public ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken) =>
        RandomAccess.ReadAsync(_file, buffer, offset, cancellationToken);
}
