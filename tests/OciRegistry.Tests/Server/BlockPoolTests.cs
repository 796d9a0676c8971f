using System.Buffers;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class BlockPoolTests : IDisposable
{
    private readonly StoppedTime _time = new();
    private readonly BlockPool _blocks;
    private readonly MemoryPool<byte> _pool;

    public BlockPoolTests()
    {
        _blocks = new BlockPool(long.MaxValue / 2, long.MaxValue / 2, _time);
        _pool = _blocks.ForReceiving(() => { });
    }

    public void Dispose() => _blocks.Dispose();

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
        using var blocks = new BlockPool(large: 2 * BlockPool.LargeSize, most: 1024 * 1024, _time);
        var pool = blocks.ForReceiving(() => { });
        var rented = Enumerable.Range(0, 4).Select(_ => pool.Rent()).ToList();
        rented.ConvertAll(block => block.Memory.Length).ShouldBe([64 * 1024, 64 * 1024, 4 * 1024, 4 * 1024]);
        pool.Rent(4097).Memory.Length.ShouldBe(64 * 1024); // whoever needs more than a small one has it

        rented[0].Dispose();
        rented[1].Dispose();
        pool.Rent().Memory.Length.ShouldBe(64 * 1024);
        pool.Rent().Memory.Length.ShouldBe(4 * 1024);
    }

    [Fact]
    public void Nobody_receives_beyond_the_budget_and_what_comes_back_is_there_for_others()
    {
        using var blocks = new BlockPool(large: BlockPool.LargeSize, most: BlockPool.LargeSize + (2 * BlockPool.SmallSize), _time);
        var (pool, other, answers) = (blocks.ForReceiving(() => { }), blocks.ForReceiving(() => { }), blocks.ForConnection(() => { }));
        var rented = new[] { pool.Rent(), other.Rent(), pool.Rent() };
        blocks.Used.ShouldBe(72 * 1024);
        Should.Throw<IOException>(() => pool.Rent());
        Should.Throw<IOException>(() => other.Rent(BlockPool.LargeSize));
        blocks.Used.ShouldBe(72 * 1024);
        answers.Rent().Dispose(); // what is to be sent makes room

        rented[2].Dispose();
        other.Rent().Dispose();
        rented[0].Dispose();
        other.Rent(BlockPool.LargeSize).Dispose();
        rented[1].Dispose();
        blocks.Used.ShouldBe(0);
    }

    [Fact]
    public void A_connection_that_holds_more_than_its_share_ends_once_half_of_the_budget_is_out()
    {
        const int most = 64 * 1024 * 1024;
        using var blocks = new BlockPool(most, most, _time);
        var (ended, endedOther) = (0, 0);
        var (hog, other, answers) = (blocks.ForConnection(() => ended++), blocks.ForConnection(() => endedOther++), blocks.ForConnection(() => { }));
        var held = Enumerable.Range(0, most / 2 / BlockPool.LargeSize).Select(_ => hog.Rent()).ToList(); // while there is enough
        other.Rent(); // half is out now, and more than half with this one

        Should.Throw<IOException>(() => hog.Rent());
        ended.ShouldBe(1);
        for (var i = 0; i < 2; i++)
        {
            answers.Rent(); // what every answer may take
        }

        Should.NotThrow(() => Enumerable.Range(0, 14).Select(_ => other.Rent()).ToList()); // 960 KiB: a 32nd of what is free
        Should.Throw<IOException>(() => Enumerable.Range(0, 4).Select(_ => other.Rent()).ToList());
        endedOther.ShouldBe(1);

        held.ForEach(block => block.Dispose());
        other.Rent();
        hog.Rent();
        (ended, endedOther).ShouldBe((1, 1));
    }

    [Fact]
    public void A_proxys_connection_may_hold_what_is_free_for_another_one()
    {
        const int most = 64 * 1024 * 1024;
        using var blocks = new BlockPool(most, most, _time);
        var ended = 0;
        var (proxy, client) = (blocks.ForConnection(() => ended++, isOfMany: true), blocks.ForConnection(() => { }));
        for (var i = 0; i < most / 2 / BlockPool.LargeSize; i++)
        {
            proxy.Rent();
        }

        client.Rent();
        Should.Throw<IOException>(() => proxy.Rent()).InnerException.ShouldBeOfType<ConnectionAbortedException>();
        ended.ShouldBe(1);

        var second = blocks.ForConnection(() => ended++, isOfMany: true);
        for (var i = 0; i < most / 8 / BlockPool.LargeSize; i++)
        {
            second.Rent(); // a quarter of what is free
        }

        ended.ShouldBe(1);
    }

    /// <summary>Else all memory could be kept in large blocks that nobody uses, beside as much in small ones.</summary>
    [Fact]
    public void Blocks_that_are_kept_count_and_make_room_for_others()
    {
        using var blocks = new BlockPool(large: 2 * BlockPool.LargeSize, most: 2 * BlockPool.LargeSize, _time);
        var pool = blocks.ForReceiving(() => { });
        var large = new[] { pool.Rent(), pool.Rent() };
        large[0].Dispose();
        large[1].Dispose();
        blocks.Idle.ShouldBe(2);

        var first = pool.Rent();
        blocks.Idle.ShouldBe(1);
        using var needed = pool.Rent(BlockPool.LargeSize);
        blocks.Idle.ShouldBe(0);
        Should.Throw<IOException>(() => pool.Rent());
        first.Dispose();
        blocks.Idle.ShouldBe(1);
        blocks.ForConnection(() => { }).Rent(BlockPool.LargeSize).Memory.Length.ShouldBe(BlockPool.LargeSize);
    }

    [Fact]
    public void More_than_a_block_is_refused() =>
        Should.Throw<ArgumentOutOfRangeException>(() => _pool.Rent(BlockPool.LargeSize + 1));

    [Fact]
    public void A_block_that_came_back_is_rented_again()
    {
        Rent(3).ForEach(block => block.Dispose());
        _blocks.Idle.ShouldBe(3);

        Rent(2);

        _blocks.Idle.ShouldBe(1);
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
        _blocks.Idle.ShouldBe(100);

        Rent(30).ForEach(block => block.Dispose());
        _time.Tick();
        _blocks.Idle.ShouldBe(30);

        _time.Tick();
        _blocks.Idle.ShouldBe(0);
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
    public void A_disposed_pool_rents_nothing_and_others_go_on()
    {
        var block = _pool.Rent();
        using var other = _blocks.ForReceiving(() => { });
        _pool.Dispose();

        block.Memory.Span.Fill(1);
        block.Dispose();
        other.Rent().Dispose();
        Should.Throw<ObjectDisposedException>(() => _pool.Rent());
        _blocks.Dispose();
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
