using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace OciRegistry.Server;

/// <summary>Kestrel's buffers in blocks of 64 KiB; see <see cref="RegistryTransport"/> for why.</summary>
internal sealed class LargeBlockPoolFactory(TimeProvider time) : IMemoryPoolFactory<byte>
{
    // Kestrel asks for one per listener and thread, and disposes it.
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new LargeBlockPool(time);
}

/// <summary>
/// Keeps the blocks that are in use now and then; those that nobody needed for a while go back to the system.
/// </summary>
internal sealed class LargeBlockPool : MemoryPool<byte>
{
    internal const int BlockSize = 64 * 1024;
    internal static readonly TimeSpan TrimInterval = TimeSpan.FromSeconds(10);

    // Fewer are not worth a collection.
    private const int ManyBlocks = 64;

    private readonly Lock _lock = new();
    private readonly Stack<byte[]> _idle = new();
    private readonly ITimer _trimming;
    private int _leastIdle; // since the last trim: so many were of no use all that time
    private bool _isDisposed;

    public LargeBlockPool(TimeProvider time) =>
        _trimming = time.CreateTimer(static pool => ((LargeBlockPool)pool!).Trim(), this, TrimInterval, TrimInterval);

    public override int MaxBufferSize => BlockSize;

    internal int IdleBlocks
    {
        get
        {
            lock (_lock)
            {
                return _idle.Count;
            }
        }
    }

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockSize);
        byte[]? block;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (_idle.TryPop(out block))
            {
                _leastIdle = Math.Min(_leastIdle, _idle.Count);
            }
        }

        return new Lease(this, block ?? GC.AllocateUninitializedArray<byte>(BlockSize));
    }

    /// <summary>Blocks that are out stay good; they are dropped when they come back.</summary>
    protected override void Dispose(bool disposing)
    {
        _trimming.Dispose();
        lock (_lock)
        {
            _isDisposed = true;
            _idle.Clear();
        }
    }

    private void Return(byte[] block)
    {
        lock (_lock)
        {
            if (!_isDisposed)
            {
                _idle.Push(block);
            }
        }
    }

    private void Trim()
    {
        int surplus;
        lock (_lock)
        {
            surplus = Math.Min(_leastIdle, _idle.Count);
            for (var i = 0; i < surplus; i++)
            {
                _idle.Pop();
            }

            _leastIdle = _idle.Count;
        }

        if (surplus >= ManyBlocks)
        {
            // A server that has become idle allocates next to nothing, so nothing else would make the collector run.
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
        }
    }

    // One for each rental, not for each block: whoever disposes twice must not take the block from its next user.
    private sealed class Lease(LargeBlockPool pool, byte[] block) : IMemoryOwner<byte>
    {
        private byte[]? _block = block;

        public Memory<byte> Memory => _block ?? throw new ObjectDisposedException(nameof(Lease));

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _block, null) is { } block)
            {
                pool.Return(block);
            }
        }
    }
}
