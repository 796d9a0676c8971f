using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// The locks behind compare-and-swap: a fixed set of files, one for each of 256 classes of keys, locked by flock. A
/// process that is killed lets go of them; one that is stopped inside makes the others fail after ten seconds: sooner
/// than clients lose patience, and longer than a busy disk takes.
/// </summary>
/// <remarks>
/// Nobody may go on without the lock of a stopped process. The file system has no rename that compares: the process may have
/// compared already, and once it runs again its rename would replace what was acknowledged meanwhile. It knows nothing of
/// fences either. So writes of one key in 256 are answered 503 until the process runs or ends, and reads go on. The message
/// names the lock file: <c>lslocks</c> and <c>fuser</c> tell who holds it.
/// </remarks>
internal sealed class FileStripes(FileSystemRoot root, TimeProvider time) : IDisposable
{
    private const int Count = 256;
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(2);

    private readonly Stripe[] _stripes =
        [.. Enumerable.Range(0, Count).Select(index => new Stripe(Path.Combine(root.Locks, index.ToString("x2", provider: null))))];

    public async ValueTask<Held> LockAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        var stripe = _stripes[IndexOf(key)];
        if (!await stripe.InProcess.WaitAsync(MaxWait, cancellationToken))
        {
            throw new StorageException($"The lock file '{stripe.Path}' is held by another request for too long.");
        }

        try
        {
            var started = time.GetTimestamp();
            while (!TryLock(stripe))
            {
                if (time.GetElapsedTime(started) > MaxWait)
                {
                    throw new StorageException(
                        $"The lock file '{stripe.Path}' is held by another process for {MaxWait.TotalSeconds:0} s. If that is a "
                        + "stopped registry (lslocks tells), let it run on or end it.");
                }

                await Task.Delay(Poll, time, cancellationToken);
            }

            return new Held(stripe);
        }
        catch
        {
            stripe.InProcess.Release();
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var stripe in _stripes)
        {
            stripe.File?.Dispose();
            stripe.InProcess.Dispose();
        }
    }

    // FNV-1a: every process must find the same stripe, which string.GetHashCode does not promise.
    private static int IndexOf(DocumentKey key)
    {
        var hash = 2166136261u;
        foreach (var octet in Encoding.UTF8.GetBytes(key.ToString()))
        {
            hash = (hash ^ octet) * 16777619u;
        }

        return (int)(hash % Count);
    }

    /// <summary>
    /// The lock of the file that is at the path now. Where the volume was mounted anew, or somebody has deleted the file, the
    /// one that is open excludes nobody.
    /// </summary>
    private bool TryLock(Stripe stripe)
    {
        var file = stripe.File ??= Open(stripe);
        var isLocked = Posix.TryLock(file);
        if (Posix.Stat(stripe.Path)?.Identity == stripe.Identity)
        {
            return isLocked;
        }

        stripe.File = null;
        file.Dispose();
        return false;
    }

    private SafeFileHandle Open(Stripe stripe)
    {
        var file = Posix.OpenReadWrite(stripe.Path, create: true)
            ?? throw new DirectoryNotFoundException($"The folder '{root.Locks}' is gone.");
        stripe.Identity = Posix.Stat(file).Identity;
        return file;
    }

    internal readonly struct Held(Stripe stripe) : IDisposable
    {
        public void Dispose()
        {
            Posix.Unlock(stripe.File!);
            stripe.InProcess.Release();
        }
    }

    internal sealed class Stripe(string path)
    {
        /// <summary>Of the lock file.</summary>
        public string Path { get; } = path;

        public SemaphoreSlim InProcess { get; } = new(1, 1);

        public SafeFileHandle? File { get; set; }

        /// <summary>Which file <see cref="File"/> is.</summary>
        public FileIdentity Identity { get; set; }
    }
}
