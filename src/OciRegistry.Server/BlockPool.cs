using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace OciRegistry.Server;

/// <summary>Kestrel's buffers, all from one <see cref="BlockPool"/>; see <see cref="RegistryTransport"/> for why.</summary>
internal sealed class BlockPoolFactory(BlockPool blocks) : IMemoryPoolFactory<byte>
{
    // Kestrel asks for one per listener and thread, and disposes it.
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => blocks.View(mayRefuse: true);
}

/// <summary>
/// The blocks of all connections, of 64 KiB or 4 KiB. Those that are in use now and then are kept; those that nobody needed for a
/// while go back to the system.
/// </summary>
/// <remarks>
/// Whoever connects decides how many there are: a connection that has sent half of a request's head holds a block until the rest
/// comes. So they have a budget, and who needs another one for what he sends when it is used up loses his connection, rather than
/// everybody the server. Answers, and what was received already, go on beyond it: they are what gives blocks back.
/// </remarks>
internal sealed class BlockPool : IDisposable
{
    internal const int LargeSize = 64 * 1024;
    internal const int SmallSize = 4 * 1024;
    internal static readonly TimeSpan TrimInterval = TimeSpan.FromSeconds(10);

    // Less is not worth a collection.
    private const int ManyBytes = 64 * LargeSize;

    private readonly long _mostLarge;
    private readonly long _most;
    private readonly Lock _lock = new();
    private readonly IdleBlocks _large = new(LargeSize);
    private readonly IdleBlocks _small = new(SmallSize);
    private readonly ITimer _trimming;
    private long _largeOut;
    private long _out;

    /// <param name="large">Bytes in large blocks. When they are out, blocks are small: slower, and 16 times as many.</param>
    /// <param name="most">Bytes in all, with those that are kept.</param>
    /// <param name="time">When to look what is kept for nothing.</param>
    public BlockPool(long large, long most, TimeProvider time)
    {
        (_mostLarge, _most) = (large, most);
        _trimming = time.CreateTimer(static pool => ((BlockPool)pool!).Trim(), this, TrimInterval, TrimInterval);
    }

    /// <summary>Bytes that are out.</summary>
    internal long Used
    {
        get
        {
            lock (_lock)
            {
                return _out;
            }
        }
    }

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

    /// <summary>For a process that may use so much memory, in bytes: an eighth in large blocks, half in all.</summary>
    public static BlockPool Of(long memory, TimeProvider time) => new(memory / 8, memory / 2, time);

    /// <param name="mayRefuse">Whether it throws when the budget is used up: for the transport, which ends the connection then.</param>
    public MemoryPool<byte> View(bool mayRefuse) => new Blocks(this, mayRefuse);

    public void Dispose() => _trimming.Dispose();

    /// <exception cref="IOException">There is no room.</exception>
    private Lease Rent(int atLeast, bool mayRefuse)
    {
        byte[]? block;
        int size;
        lock (_lock)
        {
            size = atLeast > SmallSize || _largeOut + LargeSize <= _mostLarge ? LargeSize : SmallSize;
            block = Of(size).Pop();
            if (block is null && _out + _large.Bytes + _small.Bytes + size > _most)
            {
                _large.Clear();
                _small.Clear();
                if (mayRefuse && _out + size > _most)
                {
                    throw new IOException("The buffers of all connections together have taken the memory that they may take.");
                }
            }

            Count(size);
        }

        try
        {
            return new Lease(this, block ?? GC.AllocateUninitializedArray<byte>(size));
        }
        catch (OutOfMemoryException)
        {
            lock (_lock)
            {
                Count(-size);
            }

            throw;
        }
    }

    private void Return(byte[] block)
    {
        lock (_lock)
        {
            Count(-block.Length);
            Of(block.Length).Push(block);
        }
    }

    private void Trim()
    {
        long surplus;
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

    private void Count(int size)
    {
        _out += size;
        _largeOut += Math.Abs(size) == LargeSize ? size : 0;
    }

    private IdleBlocks Of(int size) => size == LargeSize ? _large : _small;

    private sealed class Blocks(BlockPool pool, bool mayRefuse) : MemoryPool<byte>
    {
        private volatile bool _isDisposed;

        public override int MaxBufferSize => LargeSize;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, LargeSize);
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return pool.Rent(minBufferSize, mayRefuse);
        }

        /// <summary>Blocks that are out stay good.</summary>
        protected override void Dispose(bool disposing) => _isDisposed = true;
    }

    private sealed class IdleBlocks(int size)
    {
        private readonly Stack<byte[]> _blocks = new();
        private int _least; // since the last trim: so many were of no use all that time

        public int Count => _blocks.Count;

        public long Bytes => (long)_blocks.Count * size;

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

        public void Clear()
        {
            _blocks.Clear();
            _least = 0;
        }

        /// <returns>Bytes that were let go.</returns>
        public long Trim()
        {
            var surplus = Math.Min(_least, _blocks.Count);
            for (var i = 0; i < surplus; i++)
            {
                _blocks.Pop();
            }

            _least = _blocks.Count;
            return (long)surplus * size;
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
