using System.Collections.Concurrent;
using OciRegistry.Operations;
using OciRegistry.Storage;

namespace OciRegistry.Tests.Operations;

public sealed class ReadinessTests
{
    private readonly SteppedTime _time = new();
    private readonly FakeProbe _probe = new();

    [Fact]
    public async Task Without_a_probe_it_is_ready() =>
        (await new Readiness(null, _time).StorageProblemAsync()).ShouldBeNull();

    [Fact]
    public async Task The_storage_is_asked_once_a_second_however_often_readiness_is()
    {
        var readiness = new Readiness(_probe, _time);
        for (var i = 0; i < 100; i++)
        {
            (await readiness.StorageProblemAsync()).ShouldBeNull();
        }

        _probe.Calls.ShouldBe(1);
        _time.Advance(Readiness.Freshness);
        await readiness.StorageProblemAsync();
        _probe.Calls.ShouldBe(2);
    }

    [Fact]
    public async Task A_problem_shows_and_goes_away()
    {
        var readiness = new Readiness(_probe, _time);
        _probe.Problem = new StorageProblem("The disk is gone.");
        (await readiness.StorageProblemAsync()).ShouldBe(_probe.Problem);

        _probe.Problem = null;
        _time.Advance(Readiness.Freshness);

        (await readiness.StorageProblemAsync()).ShouldBeNull();
    }

    [Fact]
    public async Task A_storage_that_hangs_is_reported_and_asked_no_second_time()
    {
        var readiness = new Readiness(_probe, _time);
        _probe.Hang();
        for (var i = 0; i < 3; i++)
        {
            var problem = readiness.StorageProblemAsync();
            await _probe.Asked;
            _time.Advance(Readiness.Patience);
            (await problem).ShouldNotBeNull().Message.ShouldContain("has not answered for 5 s");
        }

        _probe.Calls.ShouldBe(1);
        _probe.Answer();
        _time.Advance(Readiness.Freshness);
        (await readiness.StorageProblemAsync()).ShouldBeNull();
    }

    private sealed class FakeProbe : IStorageProbe
    {
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource? _answer;
        private int _calls;

        public StorageProblem? Problem { get; set; }

        public int Calls => _calls;

        public Task Asked => _asked.Task;

        public void Hang() => _answer = new();

        public void Answer() => _answer!.SetResult();

        public async ValueTask<StorageProblem?> ProblemAsync(CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _calls);
            _asked.TrySetResult();
            await (_answer?.Task ?? Task.CompletedTask); // heedless of the token, as a stuck system call is
            return Problem;
        }
    }

    /// <summary>Time that passes when told to.</summary>
    private sealed class SteppedTime : TimeProvider
    {
        private readonly ConcurrentBag<Alarm> _alarms = [];
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Volatile.Read(ref _now);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var alarm = new Alarm(callback, state, GetTimestamp() + dueTime.Ticks);
            _alarms.Add(alarm);
            return alarm;
        }

        public void Advance(TimeSpan time)
        {
            var now = Interlocked.Add(ref _now, time.Ticks);
            foreach (var alarm in _alarms)
            {
                alarm.RingAt(now);
            }
        }
    }

    private sealed class Alarm(TimerCallback callback, object? state, long due) : ITimer
    {
        private int _done;

        public void RingAt(long now)
        {
            if (now >= due && Interlocked.Exchange(ref _done, 1) == 0)
            {
                callback(state);
            }
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Dispose();
            return true;
        }

        public void Dispose() => Interlocked.Exchange(ref _done, 1);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
