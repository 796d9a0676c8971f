using OciRegistry.Coordination;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Coordination;

/// <summary>What every implementation of locks must do within one process.</summary>
public abstract class RegistryLocksContract
{
    private const string Name = "a/lock";
    private static readonly TimeSpan LongWait = TimeSpan.FromHours(1);

    private readonly ManualTimeProvider _time = new();
    private IRegistryLocks? _locks;

    // The same for all, who may ask for it at once.
    private IRegistryLocks Locks => LazyInitializer.EnsureInitialized(ref _locks, () => Create(_time));

    private protected abstract IRegistryLocks Create(ManualTimeProvider time);

    /// <summary>Lets the time pass; locks that talk to a server need its answers meanwhile.</summary>
    private protected virtual Task PassAsync(TimeSpan by)
    {
        _time.Advance(by);
        return Task.CompletedTask;
    }

    /// <summary>No timer is left of anybody who wanted a lock.</summary>
    private protected virtual Task AssertNobodyWaitsAsync()
    {
        _time.Waiting.ShouldBe(0);
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_lock_is_held_by_one_at_a_time_and_other_locks_are_free()
    {
        var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default)).ShouldBeNull();
        await using var other = await Locks.TryAcquireAsync("another", TimeSpan.Zero, default);
        other.ShouldNotBeNull();
        await held.DisposeAsync();
        await using var next = await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default);
        next.ShouldNotBeNull();
    }

    [Fact]
    public async Task Many_who_contend_are_never_two_inside()
    {
        var inside = 0;
        var done = 0;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < Counts.Of(ci: 200, full: 5_000); i++)
            {
                await using var held = (await Locks.TryAcquireAsync(Name, LongWait, default))!;
                Interlocked.Increment(ref inside).ShouldBe(1);
                await Task.Yield();
                Interlocked.Decrement(ref inside).ShouldBe(0);
                Interlocked.Increment(ref done);
            }
        })));

        done.ShouldBe(16 * Counts.Of(ci: 200, full: 5_000));
        await AssertIsFreeAsync();
    }

    [Fact]
    public async Task First_come_is_first_served()
    {
        var order = new List<int>();
        var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        var waiting = new List<Task>();
        for (var i = 0; i < 10; i++)
        {
            waiting.Add(EnterAsync(i));
        }

        await held.DisposeAsync();
        await Until.DoneAsync(Task.WhenAll(waiting));
        order.ShouldBe(Enumerable.Range(0, 10));

        async Task EnterAsync(int number)
        {
            await using var entered = (await Locks.TryAcquireAsync(Name, LongWait, default))!;
            order.Add(number);
        }
    }

    [Fact]
    public async Task Who_waits_long_enough_goes_away_without_the_lock()
    {
        var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        var short1 = Locks.TryAcquireAsync(Name, TimeSpan.FromSeconds(1), default).AsTask();
        var longer = Locks.TryAcquireAsync(Name, TimeSpan.FromSeconds(3), default).AsTask();
        await PassAsync(TimeSpan.FromSeconds(2));
        (await Until.DoneAsync(short1)).ShouldBeNull();
        longer.IsCompleted.ShouldBeFalse();

        await held.DisposeAsync();
        var next = await Until.DoneAsync(longer);
        next.ShouldNotBeNull();
        await PassAsync(TimeSpan.FromSeconds(10));
        next.Lost.IsCancellationRequested.ShouldBeFalse();
        await next.DisposeAsync();
        await AssertIsFreeAsync();
        await AssertNobodyWaitsAsync();
    }

    [Fact]
    public async Task Who_is_cancelled_while_waiting_leaves_nothing_behind()
    {
        var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        using var cancellation = new CancellationTokenSource();
        var waiting = Locks.TryAcquireAsync(Name, LongWait, cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(waiting);
        await held.DisposeAsync();
        await AssertIsFreeAsync();
        await AssertNobodyWaitsAsync();
        await Should.ThrowAsync<OperationCanceledException>(
            async () => await Locks.TryAcquireAsync(Name, LongWait, cancellation.Token));
        await AssertIsFreeAsync();
    }

    [Fact]
    public async Task Cancelling_in_the_moment_of_the_grant_leaves_nothing_behind()
    {
        for (var round = 0; round < Counts.Of(ci: 300, full: 20_000); round++)
        {
            var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
            using var cancellation = new CancellationTokenSource();
            var waiting = Locks.TryAcquireAsync(Name, LongWait, cancellation.Token).AsTask();
            await Task.WhenAll(Task.Run(cancellation.Cancel), Task.Run(() => held.DisposeAsync().AsTask()));
            try
            {
                await using var granted = await Until.DoneAsync(waiting);
            }
            catch (OperationCanceledException)
            {
                // Either may win.
            }

            await AssertIsFreeAsync();
        }
    }

    [Fact]
    public async Task Releasing_twice_releases_once()
    {
        var first = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        await first.DisposeAsync();
        await using var second = await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default);
        second.ShouldNotBeNull();
        await first.DisposeAsync();
        (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default)).ShouldBeNull();
    }

    [Fact]
    public async Task The_holder_is_asked_to_release_and_nobody_else()
    {
        await using var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        await using var other = (await Locks.TryAcquireAsync("another", TimeSpan.Zero, default))!;
        var waiting = Locks.TryAcquireAsync(Name, LongWait, default).AsTask();
        await Locks.RequestReleaseAsync(Name, default);
        await Until.TrueAsync(() => held.ReleaseRequested.IsCancellationRequested, "the holder is asked");
        other.ReleaseRequested.IsCancellationRequested.ShouldBeFalse();

        await held.DisposeAsync();
        await using var next = (await Until.DoneAsync(waiting))!;
        next.ReleaseRequested.IsCancellationRequested.ShouldBeFalse();
        next.Lost.IsCancellationRequested.ShouldBeFalse();
    }

    [Fact]
    public async Task A_release_that_nobody_can_give_is_no_error()
    {
        await Locks.RequestReleaseAsync(Name, default);
        var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
        held.ReleaseRequested.IsCancellationRequested.ShouldBeFalse();
        await held.DisposeAsync();
        await Locks.RequestReleaseAsync(Name, default);
        await AssertIsFreeAsync();
    }

    [Fact]
    public async Task Asking_while_the_holder_releases_is_no_error()
    {
        for (var round = 0; round < Counts.Of(ci: 300, full: 20_000); round++)
        {
            var held = (await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default))!;
            await Task.WhenAll(
                Task.Run(() => Locks.RequestReleaseAsync(Name, default).AsTask()),
                Task.Run(() => held.DisposeAsync().AsTask()));
            await AssertIsFreeAsync();
        }
    }

    private async Task AssertIsFreeAsync()
    {
        await using var free = await Locks.TryAcquireAsync(Name, TimeSpan.Zero, default);
        free.ShouldNotBeNull();
    }
}
