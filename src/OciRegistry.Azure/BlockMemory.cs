using System.Collections.Concurrent;

namespace OciRegistry.Azure;

/// <summary>
/// The memory in which all uploads together collect their blocks, in segments. A block must be whole before it goes out,
/// because its checksum goes first; so where many write at once, each has smaller blocks.
/// </summary>
internal sealed class BlockMemory(AzureBlobsOptions options)
{
    public const int SegmentSize = 256 * 1024;

    private readonly ConcurrentBag<byte[]> _free = [];
    private int _taken;

    /// <summary>
    /// A segment, or null when there is none left. Who cannot go on without gets one all the same, so that nobody waits for
    /// others who wait for their clients.
    /// </summary>
    public byte[]? TryTake(bool must)
    {
        if ((long)Interlocked.Increment(ref _taken) * SegmentSize > options.BlockBuffer && !must)
        {
            Interlocked.Decrement(ref _taken);
            return null;
        }

        return _free.TryTake(out var segment) ? segment : GC.AllocateUninitializedArray<byte>(SegmentSize);
    }

    public void Return(IEnumerable<byte[]> segments)
    {
        foreach (var segment in segments)
        {
            if (_free.Count * (long)SegmentSize < options.BlockBuffer)
            {
                _free.Add(segment);
            }

            Interlocked.Decrement(ref _taken);
        }
    }
}
