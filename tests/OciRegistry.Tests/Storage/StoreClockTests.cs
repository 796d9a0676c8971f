using Microsoft.Extensions.Logging;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>The storage's clock, as a machine sees it whose own clock is wrong, set, or stands still.</summary>
public sealed class StoreClockTests : IDisposable
{
    private static readonly TimeSpan Off = TimeSpan.FromDays(3);

    private readonly ManualTimeProvider _store = new();
    private readonly ManualTimeProvider _machine = new();
    private readonly MeteredRegistry _registry = new();
    private readonly LogCapture _log = new(LogLevel.Information);
    private readonly StoreTimeOf _time;
    private readonly StoreClock _clock;

    public StoreClockTests()
    {
        _time = new StoreTimeOf(_store);
        _clock = new StoreClock(
            _machine,
            _registry.Metrics,
            LoggerFactory.Create(logging => logging.AddProvider(_log)).CreateLogger<StoreClock>(),
            _time);
    }

    public void Dispose() => _registry.Dispose();

    [Theory]
    [InlineData(-3 * 24 * 60)]
    [InlineData(-10)]
    [InlineData(10)]
    [InlineData(3 * 24 * 60)]
    public async Task Now_is_the_time_of_the_storage_however_wrong_the_machine_is(int minutesBack)
    {
        _machine.TurnBack(TimeSpan.FromMinutes(minutesBack));
        (await _clock.MeasureAsync(CancellationToken.None)).ShouldBe(_store.GetUtcNow());
        Advance(TimeSpan.FromHours(5));

        _clock.Now.ShouldBe(_store.GetUtcNow());
    }

    [Fact]
    public async Task Stamps_are_never_behind_when_the_clock_is_set_back()
    {
        await _clock.MeasureAsync(CancellationToken.None);
        _machine.TurnBack(Off);
        Advance(TimeSpan.FromSeconds(30));

        _clock.Now.ShouldBe(_store.GetUtcNow());
    }

    [Fact]
    public async Task Stamps_are_never_behind_when_the_machine_was_suspended()
    {
        await _clock.MeasureAsync(CancellationToken.None);
        _store.Advance(Off);
        _machine.TurnBack(-Off); // its monotonic clock stood still

        _clock.Now.ShouldBe(_store.GetUtcNow());
    }

    [Fact]
    public async Task What_deletes_is_told_the_time_of_the_storage_when_the_clock_was_set_ahead()
    {
        await _clock.MeasureAsync(CancellationToken.None);
        _machine.TurnBack(-Off);

        (await _clock.MeasureAsync(CancellationToken.None)).ShouldBe(_store.GetUtcNow());
        _clock.Now.ShouldBe(_store.GetUtcNow());
    }

    [Fact]
    public async Task What_deletes_is_told_no_time_when_the_storage_cannot_tell()
    {
        await _clock.MeasureAsync(CancellationToken.None);
        _time.IsSilent = true;

        await Should.ThrowAsync<StorageException>(async () => await _clock.MeasureAsync(CancellationToken.None));
        Advance(TimeSpan.FromMinutes(5));
        _clock.Now.ShouldBe(_store.GetUtcNow());
    }

    [Theory]
    [InlineData(59, false)]
    [InlineData(61, true)]
    [InlineData(-59, false)]
    [InlineData(-61, true)]
    public async Task A_clock_that_is_more_than_60_s_off_is_reported(int secondsAhead, bool isReported)
    {
        Together();
        _machine.TurnBack(TimeSpan.FromSeconds(-secondsAhead));
        await _clock.MeasureAsync(CancellationToken.None);

        (_clock.Problem is not null).ShouldBe(isReported);
        _registry.Family("oci_registry_clock_offset_seconds")[[]].ShouldBe(secondsAhead, tolerance: 0.001);
    }

    [Fact]
    public async Task A_change_is_logged_once()
    {
        Together();
        for (var off = 1; off <= 2; off++)
        {
            _machine.TurnBack(-Off);
            await MeasureThriceAsync();
            _log.Lines.Count(line => line.Contains("3.00:00:00 ahead of the storage's", StringComparison.Ordinal)).ShouldBe(off);

            _machine.TurnBack(Off);
            await MeasureThriceAsync();
            _log.Lines.Count(line => line.Contains("agrees with the storage's again", StringComparison.Ordinal)).ShouldBe(off);
        }

        _log.Lines.Count.ShouldBe(4);
    }

    [Fact]
    public async Task A_storage_that_answers_late_is_no_clock_that_is_off()
    {
        Together();
        var clock = StoreTimeOf.Clock(_machine, new SlowStore(_store, () => Advance(TimeSpan.FromMinutes(5))));

        await clock.MeasureAsync(CancellationToken.None);

        clock.Problem.ShouldBeNull();
    }

    [Fact]
    public async Task A_folder_tells_the_time_of_its_file_system()
    {
        using var storage = new FileSystemStorage();
        var before = DateTimeOffset.UtcNow;
        var told = await new FileSystemTime(storage.Root).NowAsync(CancellationToken.None);

        told.ShouldBeInRange(before.AddSeconds(-1), DateTimeOffset.UtcNow);
        storage.Leftovers().ShouldBeEmpty();

        // Whoever has touched the file before: its old time is not taken for the time now.
        File.SetLastWriteTimeUtc(Path.Combine(storage.Root.Locks, "clock"), DateTime.UtcNow.AddDays(-3));
        (await new FileSystemTime(storage.Root).NowAsync(CancellationToken.None)).ShouldBeGreaterThanOrEqualTo(told);
    }

    [Fact]
    public async Task A_folder_that_is_gone_tells_no_time()
    {
        using var storage = new FileSystemStorage();
        Directory.Delete(storage.Root.Locks, recursive: true);

        await Should.ThrowAsync<StorageException>(async () => await new FileSystemTime(storage.Root).NowAsync(CancellationToken.None));
        Directory.Exists(storage.Root.Locks).ShouldBeFalse();
    }

    /// <summary>The two clocks, made one after the other, show the same.</summary>
    private void Together() => _machine.TurnBack(_machine.GetUtcNow() - _store.GetUtcNow());

    private void Advance(TimeSpan by)
    {
        _store.Advance(by);
        _machine.Advance(by);
    }

    private async Task MeasureThriceAsync()
    {
        for (var i = 0; i < 3; i++)
        {
            await _clock.MeasureAsync(CancellationToken.None);
        }
    }

    private sealed class SlowStore(TimeProvider time, Action wait) : IStoreTime
    {
        public ValueTask<DateTimeOffset> NowAsync(CancellationToken cancellationToken)
        {
            var now = time.GetUtcNow();
            wait();
            return ValueTask.FromResult(now);
        }
    }
}
