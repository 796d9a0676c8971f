namespace OciRegistry.PullThrough;

/// <summary>Time for waits: setting the machine's clock moves neither them nor what <see cref="GetUtcNow"/> says.</summary>
internal sealed class SteadyTime(TimeProvider time) : TimeProvider
{
    private readonly DateTimeOffset _start = time.GetUtcNow();
    private readonly long _began = time.GetTimestamp();

    public override long TimestampFrequency => time.TimestampFrequency;

    public override TimeZoneInfo LocalTimeZone => time.LocalTimeZone;

    public override DateTimeOffset GetUtcNow() => _start + time.GetElapsedTime(_began);

    public override long GetTimestamp() => time.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        time.CreateTimer(callback, state, dueTime, period);

    /// <summary>A moment of this time as the machine's clock shows it now: for people.</summary>
    public DateTimeOffset OnTheClock(DateTimeOffset moment) => time.GetUtcNow() + (moment - GetUtcNow());
}
