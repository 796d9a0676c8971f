using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// The locks behind compare-and-swap: a fixed set of files, one for each of 256 classes of keys, locked by flock. A
/// process that is killed lets go of them; one that is stopped inside makes the others fail after ten seconds: sooner
/// than clients lose patience, and longer than a busy disk takes.
/// </summary>
internal sealed class FileStripes(FileSystemRoot root, TimeProvider time) : IDisposable
{
    private const int Count = 256;
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(2);

    private readonly Stripe[] _stripes = [.. Enumerable.Range(0, Count).Select(_ => new Stripe())];

    public async ValueTask<Held> LockAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        var index = IndexOf(key);
        var stripe = _stripes[index];
        if (!await stripe.InProcess.WaitAsync(MaxWait, cancellationToken))
        {
            throw new StorageException($"The lock file {index:x2} is held by another request for too long.");
        }

        try
        {
            var file = stripe.File ??= Open(index);
            var started = time.GetTimestamp();
            while (!Posix.TryLock(file))
            {
                if (time.GetElapsedTime(started) > MaxWait)
                {
                    throw new StorageException($"The lock file {index:x2} is held by another process for too long.");
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

    private SafeFileHandle Open(int index) =>
        Posix.OpenReadWrite(Path.Combine(root.Locks, index.ToString("x2", provider: null)), create: true)
        ?? throw new DirectoryNotFoundException($"The folder '{root.Locks}' is gone.");

    internal readonly struct Held(Stripe stripe) : IDisposable
    {
        public void Dispose()
        {
            Posix.Unlock(stripe.File!);
            stripe.InProcess.Release();
        }
    }

    internal sealed class Stripe
    {
        public SemaphoreSlim InProcess { get; } = new(1, 1);

        public SafeFileHandle? File { get; set; }
    }
}
