using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;

namespace OciRegistry.PullThrough;

/// <summary>Whether an upstream is asked at all.</summary>
internal enum UpstreamState
{
    Closed,

    /// <summary>It is broken, and left alone.</summary>
    Open,

    /// <summary>The next request, or one that runs, shows whether it still is.</summary>
    HalfOpen,

    /// <summary>It has limited requests: all of them, or those of a kind.</summary>
    Limited,
}

/// <summary>The kinds of requests to an upstream. Docker Hub and others limit pulls of manifests, and serve the rest.</summary>
internal enum UpstreamRequest
{
    /// <summary>A GET of a manifest.</summary>
    Manifest,

    /// <summary>A GET of a blob.</summary>
    Blob,

    /// <summary>A GET of tags or referrers.</summary>
    List,

    /// <summary>A HEAD of a manifest or blob.</summary>
    Head,
}

/// <summary>An upstream's state, for whoever operates this registry.</summary>
internal sealed record UpstreamHealth(UpstreamState State, DateTimeOffset? Until, string? Problem)
{
    /// <summary>The kinds of requests that it has limited.</summary>
    public IReadOnlyList<UpstreamRequest> Limited { get; init; } = [];
}

/// <summary>
/// Leaves an upstream alone that is broken or wants to be: after some failures in a row for 1 s, doubled up to 2 min while it
/// stays broken; after a 503 with a Retry-After for as long as that says. A 429 stops requests of its kind alone.
/// </summary>
/// <remarks>
/// Polly's circuit breaker knows ratios of failures within a window, and acts on two requests at the earliest. Failures in a row
/// are counted here and are the only ones that it is told of; and a Retry-After, which counts at once, is no matter of its.
/// </remarks>
internal sealed partial class UpstreamBreaker
{
    private const int MaxFailures = 3;
    private static readonly TimeSpan LongestBreak = TimeSpan.FromMinutes(2);

    private readonly string _upstream;
    private readonly SteadyTime _time;
    private readonly ILogger _log;
    private readonly CircuitBreakerStateProvider _circuit = new();
    private readonly ResiliencePipeline<UpstreamAnswer> _pipeline;
    private readonly Lock _lock = new();
    private int _failures;
    private int _breaks;
    private bool _isCancelled;
    private DateTimeOffset _openUntil;
    private readonly (DateTimeOffset Until, UpstreamAnswer? By)[] _limits =
        new (DateTimeOffset, UpstreamAnswer?)[Enum.GetValues<UpstreamRequest>().Length];
    private string? _problem;

    public UpstreamBreaker(string upstream, TimeProvider time, ILogger log)
    {
        (_upstream, _time, _log) = (upstream, new SteadyTime(time), log);
        _pipeline = new ResiliencePipelineBuilder<UpstreamAnswer> { TimeProvider = _time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<UpstreamAnswer>
            {
                ShouldHandle = args => ValueTask.FromResult(Breaks(args.Outcome)),
                MinimumThroughput = 2,
                FailureRatio = 1e-9, // any: see the remarks
                SamplingDuration = TimeSpan.FromHours(1),
                BreakDurationGenerator = _ => ValueTask.FromResult(Break()),
                StateProvider = _circuit,
            })
            .Build();
    }

    public UpstreamHealth Health
    {
        get
        {
            var circuit = _circuit.CircuitState; // not within our lock: Polly calls us within its own
            lock (_lock)
            {
                var now = _time.GetUtcNow();
                var limitedUntil = _limits.Max(limit => limit.Until);
                return now < limitedUntil
                        ? new(UpstreamState.Limited, _time.OnTheClock(limitedUntil), _problem)
                        {
                            Limited = [.. Enum.GetValues<UpstreamRequest>().Where(kind => now < _limits[(int)kind].Until)],
                        }
                    : circuit == CircuitState.Closed ? new(UpstreamState.Closed, null, _problem)
                    : circuit == CircuitState.Open && now < _openUntil ? new(UpstreamState.Open, _time.OnTheClock(_openUntil), _problem)
                    : new(UpstreamState.HalfOpen, null, _problem);
            }
        }
    }

    public async ValueTask<UpstreamAnswer> SendAsync(
        UpstreamRequest kind, Func<CancellationToken, ValueTask<UpstreamAnswer>> send, CancellationToken cancellationToken)
    {
        if (LimitOf(kind) is { } limit)
        {
            return limit;
        }

        try
        {
            var answer = await _pipeline.ExecuteAsync(send, cancellationToken);
            Remember(kind, answer);
            return answer;
        }
        catch (BrokenCircuitException)
        {
            return Open();
        }
    }

    private UpstreamAnswer Open()
    {
        lock (_lock)
        {
            var wait = _openUntil - _time.GetUtcNow();
            return new UpstreamAnswer
            {
                Outcome = UpstreamOutcome.Down,
                Problem = _problem,
                RetryAfter = wait > TimeSpan.Zero ? wait : TimeSpan.FromSeconds(1), // one request is on its way to see
            };
        }
    }

    private UpstreamAnswer? LimitOf(UpstreamRequest kind)
    {
        lock (_lock)
        {
            var (until, by) = _limits[(int)kind];
            var wait = until - _time.GetUtcNow();
            return wait > TimeSpan.Zero
                ? new UpstreamAnswer { Outcome = by!.Outcome, Problem = by.Problem, RetryAfter = wait }
                : null;
        }
    }

    private void Remember(UpstreamRequest kind, UpstreamAnswer answer)
    {
        lock (_lock)
        {
            _problem = answer.Problem ?? _problem;
            if (answer.RetryAfter is not { } wait)
            {
                return;
            }

            if (answer.Outcome == UpstreamOutcome.Limited)
            {
                if (TryLimit(kind, wait, answer))
                {
                    LogLimitedOf(_log, _upstream, kind, _time.OnTheClock(_limits[(int)kind].Until), answer.Problem);
                }

                return;
            }

            var isNew = false;
            foreach (var each in Enum.GetValues<UpstreamRequest>())
            {
                isNew |= TryLimit(each, wait, answer);
            }

            if (isNew)
            {
                LogLimited(_log, _upstream, _time.OnTheClock(_time.GetUtcNow() + wait), answer.Problem);
            }
        }
    }

    /// <summary>Whether there was no limit before: requests that were sent meanwhile are answered alike.</summary>
    private bool TryLimit(UpstreamRequest kind, TimeSpan wait, UpstreamAnswer answer)
    {
        var (now, before) = (_time.GetUtcNow(), _limits[(int)kind].Until);
        if (now + wait > before)
        {
            _limits[(int)kind] = (now + wait, answer);
        }

        return before <= now;
    }

    private bool Breaks(Outcome<UpstreamAnswer> outcome)
    {
        var circuit = _circuit.CircuitState;
        lock (_lock)
        {
            // Whoever is cancelled has seen nothing. Polly would take that for an answer, and close, were it the request that
            // was to see whether the upstream is back: so it opens again, and the next request is let through.
            _isCancelled = outcome.Result is null;
            if (outcome.Result is not { } answer)
            {
                return circuit == CircuitState.HalfOpen;
            }

            _problem = answer.Problem ?? _problem;
            if (answer.IsFailure)
            {
                return ++_failures >= MaxFailures;
            }

            if (_breaks > 0)
            {
                LogClosed(_log, _upstream);
            }

            (_failures, _breaks) = (0, 0);
            return false;
        }
    }

    private TimeSpan Break()
    {
        lock (_lock)
        {
            if (_isCancelled)
            {
                return TimeSpan.Zero;
            }

            var wait = TimeSpan.FromSeconds(Math.Min(LongestBreak.TotalSeconds, Math.Pow(2, _breaks++)));
            _openUntil = _time.GetUtcNow() + wait;
            LogOpened(_log, _upstream, wait.TotalSeconds, _problem);
            return wait;
        }
    }

    [LoggerMessage(LogLevel.Warning, "The upstream '{Upstream}' is left alone for {Seconds} s, and what is kept of it goes on to be served: {Problem}")]
    private static partial void LogOpened(ILogger logger, string upstream, double seconds, string? problem);

    [LoggerMessage(LogLevel.Information, "The upstream '{Upstream}' answers again.")]
    private static partial void LogClosed(ILogger logger, string upstream);

    [LoggerMessage(LogLevel.Warning, "The upstream '{Upstream}' has asked to be left alone until {Until:u}: {Problem}")]
    private static partial void LogLimited(ILogger logger, string upstream, DateTimeOffset until, string? problem);

    [LoggerMessage(
        LogLevel.Warning,
        "The upstream '{Upstream}' has limited requests of the kind {Kind} until {Until:u}. Others continue. {Problem}")]
    private static partial void LogLimitedOf(ILogger logger, string upstream, UpstreamRequest kind, DateTimeOffset until, string? problem);
}
