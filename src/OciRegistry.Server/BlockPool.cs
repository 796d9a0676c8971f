using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace OciRegistry.Server;

/// <summary>Kestrel's buffers, all from one <see cref="BlockBudget"/>; see <see cref="RegistryTransport"/> for why.</summary>
internal sealed class BlockPoolFactory(BlockBudget budget, TimeProvider time) : IMemoryPoolFactory<byte>
{
    // Kestrel asks for one per listener and thread, and disposes it.
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new BlockPool(budget, time);
}

/// <summary>
/// How much memory the buffers of all connections may take. Whoever connects decides how many there are: a connection that
/// has sent half of a request's head holds a block until the rest comes.
/// </summary>
/// <param name="large">Bytes in large blocks. When they are out, blocks are small: slower, and 16 times as many.</param>
/// <param name="total">
/// Bytes in all. When they are out, who needs another block for what he sends loses his connection, rather than everybody the
/// server. Answers go on: they are what gives blocks back.
/// </param>
internal sealed class BlockBudget(long large, long total)
{
    private long _large;
    private long _all;

    /// <summary>Bytes that are out.</summary>
    public long Used => Volatile.Read(ref _all);

    /// <summary>For a process that may use so much memory, in bytes: an eighth in large blocks, half in all.</summary>
    public static BlockBudget Of(long memory) => new(memory / 8, memory / 2);

    /// <summary>The size of the block that may be taken now, in bytes, which the caller has to give back.</summary>
    /// <param name="atLeast">Bytes that it must have.</param>
    /// <param name="isForOutput">Whether it is for an answer.</param>
    /// <exception cref="IOException">There is no room. Kestrel ends the connection.</exception>
    public int Take(int atLeast, bool isForOutput)
    {
        var size = BlockPool.LargeSize;
        if (Interlocked.Add(ref _large, size) > large && atLeast <= BlockPool.SmallSize)
        {
            Interlocked.Add(ref _large, -size);
            size = BlockPool.SmallSize;
        }

        if (Interlocked.Add(ref _all, size) > total && !isForOutput)
        {
            GiveBack(size);
            throw new IOException("The buffers of all connections together have taken the memory that they may take.");
        }

        return size;
    }

    public void GiveBack(int size)
    {
        Interlocked.Add(ref _all, -size);
        if (size == BlockPool.LargeSize)
        {
            Interlocked.Add(ref _large, -size);
        }
    }
}

/// <summary>
/// Keeps the blocks that are in use now and then; those that nobody needed for a while go back to the system.
/// </summary>
internal sealed class BlockPool : MemoryPool<byte>
{
    internal const int LargeSize = 64 * 1024;
    internal const int SmallSize = 4 * 1024;
    internal static readonly TimeSpan TrimInterval = TimeSpan.FromSeconds(10);

    // Less is not worth a collection.
    private const int ManyBytes = 64 * LargeSize;

    private readonly BlockBudget _budget;
    private readonly Lock _lock = new();
    private readonly IdleBlocks _large = new(LargeSize);
    private readonly IdleBlocks _small = new(SmallSize);
    private readonly ITimer _trimming;
    private bool _isDisposed;

    public BlockPool(BlockBudget budget, TimeProvider time)
    {
        _budget = budget;
        _trimming = time.CreateTimer(static pool => ((BlockPool)pool!).Trim(), this, TrimInterval, TrimInterval);
    }

    public override int MaxBufferSize => LargeSize;

    internal int Idle
    {
        get
        {
            lock (_lock)
            {
                return _large.Count + _small.Count;
            }
        }
    }

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => Rent(minBufferSize, isForOutput: false);

    /// <summary>The same for an answer, which is never without a block.</summary>
    public IMemoryOwner<byte> RentForOutput(int minBufferSize) => Rent(minBufferSize, isForOutput: true);

    private Lease Rent(int minBufferSize, bool isForOutput)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, LargeSize);
        var size = _budget.Take(minBufferSize, isForOutput);
        byte[]? block;
        lock (_lock)
        {
            if (_isDisposed)
            {
                _budget.GiveBack(size);
                throw new ObjectDisposedException(nameof(BlockPool));
            }

            block = Of(size).Pop();
        }

        return new Lease(this, block ?? GC.AllocateUninitializedArray<byte>(size));
    }

    /// <summary>Blocks that are out stay good; they are dropped when they come back.</summary>
    protected override void Dispose(bool disposing)
    {
        _trimming.Dispose();
        lock (_lock)
        {
            _isDisposed = true;
            _large.Clear();
            _small.Clear();
        }
    }

    private void Return(byte[] block)
    {
        _budget.GiveBack(block.Length);
        lock (_lock)
        {
            if (!_isDisposed)
            {
                Of(block.Length).Push(block);
            }
        }
    }

    private void Trim()
    {
        int surplus;
        lock (_lock)
        {
            surplus = _large.Trim() + _small.Trim();
        }

        if (surplus >= ManyBytes)
        {
            // A server that has become idle allocates next to nothing, so nothing else would make the collector run.
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
        }
    }

    private IdleBlocks Of(int size) => size == LargeSize ? _large : _small;

    private sealed class IdleBlocks(int size)
    {
        private readonly Stack<byte[]> _blocks = new();
        private int _least; // since the last trim: so many were of no use all that time

        public int Count => _blocks.Count;

        public byte[]? Pop()
        {
            if (!_blocks.TryPop(out var block))
            {
                return null;
            }

            _least = Math.Min(_least, _blocks.Count);
            return block;
        }

        public void Push(byte[] block) => _blocks.Push(block);

        public void Clear() => _blocks.Clear();

        /// <returns>Bytes that were let go.</returns>
        public int Trim()
        {
            var surplus = Math.Min(_least, _blocks.Count);
            for (var i = 0; i < surplus; i++)
            {
                _blocks.Pop();
            }

            _least = _blocks.Count;
            return surplus * size;
        }
    }

    // One for each rental, not for each block: whoever disposes twice must not take the block from its next user.
    private sealed class Lease(BlockPool pool, byte[] block) : IMemoryOwner<byte>
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
