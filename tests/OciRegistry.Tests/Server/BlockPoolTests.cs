using System.Buffers;
using System.Runtime.InteropServices;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class BlockPoolTests : IDisposable
{
    private readonly StoppedTime _time = new();
    private readonly BlockPool _pool;

    public BlockPoolTests() => _pool = new BlockPool(new BlockBudget(long.MaxValue / 2, long.MaxValue / 2), _time);

    public void Dispose() => _pool.Dispose();

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(4096)]
    [InlineData(BlockPool.LargeSize)]
    public void Every_block_has_64_KiB(int size)
    {
        using var block = _pool.Rent(size);

        block.Memory.Length.ShouldBe(64 * 1024);
    }

    [Fact]
    public void Blocks_are_small_while_as_many_large_ones_are_out_as_may_be()
    {
        using var pool = new BlockPool(new BlockBudget(large: 2 * BlockPool.LargeSize, total: 1024 * 1024), _time);
        var blocks = Enumerable.Range(0, 4).Select(_ => pool.Rent()).ToList();
        blocks.ConvertAll(block => block.Memory.Length).ShouldBe([64 * 1024, 64 * 1024, 4 * 1024, 4 * 1024]);
        pool.Rent(4097).Memory.Length.ShouldBe(64 * 1024); // whoever needs more than a small one has it

        blocks[0].Dispose();
        blocks[1].Dispose();
        pool.Rent().Memory.Length.ShouldBe(64 * 1024);
        pool.Rent().Memory.Length.ShouldBe(4 * 1024);
    }

    [Fact]
    public void Nobody_gets_a_block_beyond_the_budget_and_what_comes_back_is_there_for_others()
    {
        var budget = new BlockBudget(large: BlockPool.LargeSize, total: BlockPool.LargeSize + (2 * BlockPool.SmallSize));
        using var pool = new BlockPool(budget, _time);
        using var other = new BlockPool(budget, _time);
        var blocks = new[] { pool.Rent(), other.Rent(), pool.Rent() };
        budget.Used.ShouldBe(72 * 1024);
        Should.Throw<IOException>(() => pool.Rent());
        Should.Throw<IOException>(() => other.Rent(BlockPool.LargeSize));
        budget.Used.ShouldBe(72 * 1024);
        pool.RentForOutput(0).Dispose(); // what is to be sent makes room

        blocks[2].Dispose();
        other.Rent().Dispose();
        blocks[0].Dispose();
        other.Rent(BlockPool.LargeSize).Dispose();
        blocks[1].Dispose();
        budget.Used.ShouldBe(0);
    }

    [Fact]
    public void More_than_a_block_is_refused() =>
        Should.Throw<ArgumentOutOfRangeException>(() => _pool.Rent(BlockPool.LargeSize + 1));

    [Fact]
    public void A_block_that_came_back_is_rented_again()
    {
        Rent(3).ForEach(block => block.Dispose());
        _pool.Idle.ShouldBe(3);

        Rent(2);

        _pool.Idle.ShouldBe(1);
    }

    [Fact]
    public void A_block_that_is_given_back_twice_has_one_user()
    {
        var block = _pool.Rent();
        block.Dispose();
        using var next = _pool.Rent();
        block.Dispose();
        using var other = _pool.Rent();

        next.Memory.Span[0] = 1;
        other.Memory.Span[0] = 2;
        next.Memory.Span[0].ShouldBe((byte)1);
        Should.Throw<ObjectDisposedException>(() => block.Memory);
    }

    [Fact]
    public void Blocks_that_nobody_needed_are_let_go()
    {
        Rent(100).ForEach(block => block.Dispose());
        _time.Tick(); // they were in use since the last time
        _pool.Idle.ShouldBe(100);

        Rent(30).ForEach(block => block.Dispose());
        _time.Tick();
        _pool.Idle.ShouldBe(30);

        _time.Tick();
        _pool.Idle.ShouldBe(0);
    }

    [Fact]
    public void The_memory_of_a_burst_is_given_back()
    {
        var references = Burst(200);
        _time.Tick();
        _time.Tick();

        references.Count(reference => reference.IsAlive).ShouldBeLessThan(3); // a debug build keeps its last locals

        List<WeakReference> Burst(int count)
        {
            var blocks = Rent(count);
            var arrays = blocks.ConvertAll(block =>
            {
                MemoryMarshal.TryGetArray<byte>(block.Memory, out var array);
                return new WeakReference(array.Array);
            });
            blocks.ForEach(block => block.Dispose());
            return arrays;
        }
    }

    [Fact]
    public void A_disposed_pool_rents_nothing_and_takes_blocks_back_without_keeping_them()
    {
        var block = _pool.Rent();
        _pool.Dispose();

        block.Memory.Span.Fill(1);
        block.Dispose();

        _pool.Idle.ShouldBe(0);
        Should.Throw<ObjectDisposedException>(() => _pool.Rent());
        _time.IsRunning.ShouldBeFalse();
    }

    [Fact]
    public void No_two_users_have_the_same_block()
    {
        Parallel.For(0, 100_000, i =>
        {
            using var block = _pool.Rent();
            BitConverter.TryWriteBytes(block.Memory.Span, i);
            if (i % 1000 == 0)
            {
                _time.Tick();
            }

            BitConverter.ToInt32(block.Memory.Span).ShouldBe(i);
        });
    }

    private List<IMemoryOwner<byte>> Rent(int count) => [.. Enumerable.Range(0, count).Select(_ => _pool.Rent())];

    /// <summary>Its one timer rings when told to.</summary>
    private sealed class StoppedTime : TimeProvider, ITimer
    {
        private Action _ring = () => { };

        public bool IsRunning { get; private set; }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _ring = () => callback(state);
            IsRunning = true;
            return this;
        }

        public void Tick() => _ring();

        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose() => IsRunning = false;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
