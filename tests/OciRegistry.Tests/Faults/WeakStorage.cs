using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>What may be weak about a store that keeps its contract in everything else.</summary>
[Flags]
public enum Weaknesses
{
    None = 0,

    /// <summary>New content is found up to 2 s late, and listed up to 5 s late.</summary>
    Late = 1,

    /// <summary>Some calls fail, before or after their effect.</summary>
    Failing = 2,

    /// <summary>Some calls take up to 3 s.</summary>
    Slow = 4,

    /// <summary>Some appends bring only a part of their bytes home.</summary>
    Tearing = 8,

    All = Late | Failing | Slow | Tearing,
}

/// <summary>
/// One weak storage for all replicas that share it (R3.9): what is new becomes visible by one clock, to all of them at
/// once. Documents are never late, and their conditional writes stay what they are; they only fail and take their time.
/// The n-th call of each kind meets the same weakness for the same seed, however the kinds interleave.
/// </summary>
internal sealed class WeakStorage
{
    private static readonly TimeSpan LatestFound = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LatestListed = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Slowest = TimeSpan.FromSeconds(3);

    private readonly Lock _lock = new();
    private readonly Weaknesses _weaknesses;
    private readonly double _secondsPerSecond;
    private readonly TimeProvider _time;
    private readonly Dictionary<StoreCall, Random> _random;
    private readonly Dictionary<string, (TimeSpan Found, TimeSpan Listed)> _late = [];
    private readonly long _started;

    /// <param name="seed">Of all that is drawn.</param>
    /// <param name="weaknesses">Which there are.</param>
    /// <param name="secondsPerSecond">What a second takes: by default 20 ms, and a second in the stress run.</param>
    /// <param name="time">The one clock.</param>
    public WeakStorage(
        int seed, Weaknesses weaknesses = Weaknesses.All, double? secondsPerSecond = null, TimeProvider? time = null)
    {
        _weaknesses = weaknesses;
        _secondsPerSecond = secondsPerSecond ?? DefaultSecondsPerSecond;
        _time = time ?? TimeProvider.System;
        _random = Enum.GetValues<StoreCall>().ToDictionary(call => call, call => new Random(unchecked(seed + (31 * (int)call))));
        _started = _time.GetTimestamp();
    }

    public static double DefaultSecondsPerSecond => Counts.IsStress ? 1 : 0.02;

    /// <summary>One call in so many fails before its effect, and one after it.</summary>
    public int FailsOneIn { get; init; } = 30;

    /// <summary>One append in so many is torn.</summary>
    public int TearsOneIn { get; init; } = 10;

    /// <summary>One call in so many is slow.</summary>
    public int IsSlowOneIn { get; init; } = 6;

    /// <summary>What happens to this call.</summary>
    public IEnumerable<Fault> FaultsOf(StoreCall call)
    {
        lock (_lock)
        {
            var random = _random[call];

            // As many draws whatever is switched on, so that a seed means the same with fewer weaknesses.
            var (isSlow, slowness, failsAt) = (random.Next(IsSlowOneIn) == 0, random.NextDouble(), random.Next(FailsOneIn));
            var faults = new List<Fault>();
            if (isSlow && _weaknesses.HasFlag(Weaknesses.Slow))
            {
                faults.Add(Fault.Once(call, afterEffect: false, () => Task.Delay(Scaled(Slowest * slowness), _time)));
            }

            if (failsAt < 2 && _weaknesses.HasFlag(Weaknesses.Failing))
            {
                faults.Add(Fault.Once(call, afterEffect: failsAt == 1, () => throw FaultPlan.Down()));
            }

            return faults;
        }
    }

    /// <summary>How many of the bytes an append brings home before it fails; null when it does not.</summary>
    public int? TearsAppendAt(int length)
    {
        lock (_lock)
        {
            var random = _random[StoreCall.StagedAppend];
            var (tears, at) = (random.Next(TearsOneIn) == 0, random.Next(length + 1));
            return tears && _weaknesses.HasFlag(Weaknesses.Tearing) ? at : null;
        }
    }

    /// <summary>
    /// Content, or the first staged bytes of a session, are about to be written: from now on they are late. What was
    /// written before stays visible.
    /// </summary>
    public void Write(StoreCall call, string subject)
    {
        lock (_lock)
        {
            var random = _random[call];
            var late = (
                Found: Now() + Scaled(LatestFound * random.NextDouble()), Listed: Now() + Scaled(LatestListed * random.NextDouble()));
            if (_weaknesses.HasFlag(Weaknesses.Late))
            {
                _late.TryAdd(subject, late);
            }
        }
    }

    /// <summary>Whether who looks for it by its name finds it.</summary>
    public bool Finds(string subject)
    {
        lock (_lock)
        {
            return !_late.TryGetValue(subject, out var late) || late.Found <= Now();
        }
    }

    /// <summary>Whether who lists finds it.</summary>
    public bool Lists(string subject)
    {
        lock (_lock)
        {
            return !_late.TryGetValue(subject, out var late) || late.Listed <= Now();
        }
    }

    private TimeSpan Scaled(TimeSpan delay) => delay * _secondsPerSecond;

    private TimeSpan Now() => _time.GetElapsedTime(_started);
}
