using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace OciRegistry.Storage;

/// <summary>
/// The clock by which everything ages that is deleted when it is old: the storage's. The clocks of replicas may be days apart;
/// a replica that compared its own with another one's stamps would delete live uploads and cached content.
/// </summary>
/// <remarks>
/// Stamps use <see cref="Now"/>, which may be ahead and never behind: content then stays longer. Decisions to delete use
/// <see cref="MeasureAsync"/>, once per sweep: a sweep that is slow or was paused takes things for younger than they are.
/// An application that brings its own stores has no <see cref="IStoreTime"/>: this machine's clock is used.
/// </remarks>
internal sealed partial class StoreClock(
    TimeProvider time, RegistryMetrics metrics, ILogger<StoreClock> log, IStoreTime? store = null)
{
    /// <summary>How far this machine's clock may be off before the registry reports it.</summary>
    internal static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(60);

    private Measurement? _last;
    private string? _problem;

    /// <summary>The storage's time, for stamps: from the last measurement and what has passed since.</summary>
    /// <remarks>
    /// The monotonic clock stands still while the machine is suspended, the wall clock jumps when somebody sets it: the later
    /// of the two. Before the first measurement: this machine's clock.
    /// </remarks>
    public DateTimeOffset Now
    {
        get
        {
            if (Volatile.Read(ref _last) is not { } last)
            {
                return time.GetUtcNow();
            }

            var elapsed = time.GetElapsedTime(last.Timestamp);
            var onTheWall = time.GetUtcNow() - last.Machine;
            return last.Store + (elapsed > onTheWall ? elapsed : onTheWall);
        }
    }

    /// <summary>What this machine's clock showed when a stamp was made: to compare the stamp with times of its own.</summary>
    public DateTimeOffset ToMachine(DateTimeOffset stamp) => stamp + (time.GetUtcNow() - Now);

    /// <summary>Null while this machine's clock agrees with the storage's, else a sentence on what to do.</summary>
    public string? Problem => Volatile.Read(ref _problem);

    /// <summary>The storage's time, measured now: for what deletes.</summary>
    /// <exception cref="StorageException">The storage cannot tell its time: delete nothing.</exception>
    public async ValueTask<DateTimeOffset> MeasureAsync(CancellationToken cancellationToken)
    {
        var (before, timestamp) = (time.GetUtcNow(), time.GetTimestamp());
        if (store is null)
        {
            return before;
        }

        var now = await store.NowAsync(cancellationToken);
        Volatile.Write(ref _last, new Measurement(now, before, timestamp));

        // The storage read its clock some time during the call: only what is outside of that is an offset.
        var after = before + time.GetElapsedTime(timestamp);
        Report(before > now ? before - now : after < now ? after - now : TimeSpan.Zero);
        return now;
    }

    private void Report(TimeSpan offset)
    {
        metrics.ClockMeasured(offset);
        var problem = offset.Duration() <= Tolerance
            ? null
            : $"This machine's clock is {offset.Duration():d\\.hh\\:mm\\:ss} {(offset > TimeSpan.Zero ? "ahead of" : "behind")} the "
                + "storage's. Synchronize it (NTP): tokens that this replica issues or checks have wrong times.";
        var before = Interlocked.Exchange(ref _problem, problem);
        if (problem is not null && before is null)
        {
            LogOff(log, problem);
        }
        else if (problem is null && before is not null)
        {
            LogRight(log);
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Problem}", EventName = "ClockOff")]
    private static partial void LogOff(ILogger logger, string problem);

    [LoggerMessage(LogLevel.Information, "This machine's clock agrees with the storage's again.", EventName = "ClockRight")]
    private static partial void LogRight(ILogger logger);

    /// <param name="Store">The storage's time.</param>
    /// <param name="Machine">This machine's wall clock, just before.</param>
    /// <param name="Timestamp">This machine's monotonic clock, just before.</param>
    private sealed record Measurement(DateTimeOffset Store, DateTimeOffset Machine, long Timestamp);
}

/// <summary>Measures the storage's time before the registry serves, and every minute.</summary>
internal sealed partial class StoreClockService(StoreClock clock, TimeProvider time, ILogger<StoreClockService> log)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await MeasureAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            await MeasureAsync(stoppingToken);
        }
    }

    /// <summary>A failure ends nothing: what was measured before goes on, and the sweeps measure for themselves.</summary>
    private async ValueTask MeasureAsync(CancellationToken cancellationToken)
    {
        try
        {
            await clock.MeasureAsync(cancellationToken);
        }
        catch (StorageException e)
        {
            LogFailed(log, e);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The storage's time could not be measured. The next attempt is in a minute.", EventName = "ClockNotMeasured")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
