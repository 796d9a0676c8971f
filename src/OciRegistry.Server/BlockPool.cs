using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace OciRegistry.Server;

/// <summary>Kestrel's buffers, all from one <see cref="BlockPool"/>; see <see cref="RegistryTransport"/> for why.</summary>
internal sealed class BlockPoolFactory(BlockPool blocks, ConnectionLimits limits) : IMemoryPoolFactory<byte>
{
    // Kestrel asks for one per listener and thread, and disposes it.
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => blocks.ForReceiving(limits.ClosedForMemory);
}

/// <summary>
/// The blocks of all connections, of 64 KiB or 4 KiB. Those that are in use now and then are kept; those that nobody needed for a
/// while go back to the system.
/// </summary>
/// <remarks>
/// Whoever connects decides how many there are: a connection that has sent half of a request's head holds a block until the rest
/// comes. So they have a budget, and who needs another one for what he sends when it is used up loses his connection, rather than
/// everybody the server. An answer of HTTP/1.1, and what was received already, go on beyond it: they are what gives blocks back.
/// Over HTTP/2 one connection has 100 requests, whose bodies and answers may wait to be read. Once half of the budget is out, a
/// connection may hold so much of it as is free for each of 32 like it, and a proxy's so much as for another one like it: who holds
/// more loses his connection, and what is free never runs out because of a few.
/// </remarks>
internal sealed class BlockPool : IDisposable
{
    internal const int LargeSize = 64 * 1024;
    internal const int SmallSize = 4 * 1024;
    internal static readonly TimeSpan TrimInterval = TimeSpan.FromSeconds(10);

    // What a connection may hold in any case: an answer of HTTP/1.1.
    private const int Guaranteed = 2 * LargeSize;

    private const int Sharers = 32;
    private const int SharersOfProxies = 2;

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

    /// <summary>For the transport, which ends a connection for which there is no room.</summary>
    /// <param name="ended">Is told of each.</param>
    public MemoryPool<byte> ForReceiving(Action ended) => new Blocks(this, sharers: 0, ended);

    /// <summary>For what else one connection needs.</summary>
    /// <param name="end">Ends the connection, which holds more than its share; may be called more than once.</param>
    /// <param name="isOfMany">Whether it is a proxy's, which has the requests of many clients.</param>
    public MemoryPool<byte> ForConnection(Action end, bool isOfMany = false) =>
        new Blocks(this, isOfMany ? SharersOfProxies : Sharers, end);

    public void Dispose() => _trimming.Dispose();

    /// <exception cref="IOException">There is no room.</exception>
    private Lease Rent(int atLeast, Blocks view)
    {
        byte[]? block;
        int size;
        lock (_lock)
        {
            size = atLeast > SmallSize || _largeOut + LargeSize <= _mostLarge ? LargeSize : SmallSize;
            if (!view.IsReceiving && view.Held + size > Guaranteed && _out > _most / 2 && view.Held + size > (_most - _out) / view.Sharers)
            {
                throw Refusal("The connection holds more than its share of the memory for buffers, of which most is in use.");
            }

            block = Of(size).Pop();
            if (block is null && _out + _large.Bytes + _small.Bytes + size > _most)
            {
                _large.Clear();
                _small.Clear();
                if (view.IsReceiving && _out + size > _most)
                {
                    throw Refusal("The buffers of all connections together have taken the memory that they may take.");
                }
            }

            Count(size, view);
        }

        try
        {
            return new Lease(view, block ?? GC.AllocateUninitializedArray<byte>(size));
        }
        catch (OutOfMemoryException)
        {
            lock (_lock)
            {
                Count(-size, view);
            }

            throw;
        }
    }

    // What it says inside is what the end of a connection says: nobody takes it for a failure of the request.
    private static IOException Refusal(string reason) => new(reason, new ConnectionAbortedException(reason));

    private void Return(byte[] block, Blocks view)
    {
        lock (_lock)
        {
            Count(-block.Length, view);
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

    private void Count(int size, Blocks view)
    {
        view.Held += size;
        _out += size;
        _largeOut += Math.Abs(size) == LargeSize ? size : 0;
    }

    private IdleBlocks Of(int size) => size == LargeSize ? _large : _small;

    /// <param name="pool">Where its blocks come from.</param>
    /// <param name="sharers">For how many connections like this one there must be room; 0 for the transport.</param>
    /// <param name="end">What happens when a block is refused.</param>
    private sealed class Blocks(BlockPool pool, int sharers, Action end) : MemoryPool<byte>
    {
        private volatile bool _isDisposed;

        public override int MaxBufferSize => LargeSize;

        public bool IsReceiving => sharers == 0;

        public int Sharers => sharers;

        /// <summary>Bytes that are out of this view; by the pool's lock.</summary>
        public long Held { get; set; }

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, LargeSize);
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            try
            {
                return pool.Rent(minBufferSize, this);
            }
            catch (IOException)
            {
                end();
                throw;
            }
        }

        public void Return(byte[] block) => pool.Return(block, this);

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
    private sealed class Lease(Blocks view, byte[] block) : IMemoryOwner<byte>
    {
        private byte[]? _block = block;

        public Memory<byte> Memory => _block ?? throw new ObjectDisposedException(nameof(Lease));

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _block, null) is { } block)
            {
                view.Return(block);
            }
        }
    }
}
