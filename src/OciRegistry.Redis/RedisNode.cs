using System.Diagnostics;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace OciRegistry.Redis;

/// <summary>What came of a call: its value, or null when there is none.</summary>
/// <param name="Value">What the script returned.</param>
/// <param name="IsSent">Without a value: whether the server may have run it all the same, now or later.</param>
internal readonly record struct RedisAnswer(long? Value, bool IsSent)
{
    public static RedisAnswer NotAsked => default;

    public bool IsUnclear => Value is null && IsSent;
}

/// <summary>
/// One independent Redis. A call takes at most the time-out; a server that failed is not asked any more until a probe,
/// one each second, finds that it takes writes again.
/// </summary>
internal sealed partial class RedisNode : IAsyncDisposable
{
    private const int TimeoutsInARow = 3;
    private const int ProbesOfAConnection = 3;
    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    private readonly RedisConfiguration _configuration;
    private readonly string _name;
    private readonly RedisKey _probeKey;
    private readonly RedisChannel _channel;
    private readonly Action<string> _received;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RegistryMetrics? _metrics;
    private readonly ITimer _probes;
    private readonly Lock _lock = new();
    private Task<IConnectionMultiplexer> _connection;
    private IConnectionMultiplexer? _subscribed;
    private volatile string? _problem;
    private int _timeouts;
    private int _failedProbes;
    private int _probing;
    private int _inFlight;
    private volatile bool _isDisposed;

    /// <summary>Begins to connect.</summary>
    /// <param name="configuration">Where to.</param>
    /// <param name="options">Prefix and time-out.</param>
    /// <param name="channel">What to listen to.</param>
    /// <param name="received">Gets every message; must not block.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Hears of each change between working and not.</param>
    /// <param name="metrics">Hears of each call; null for nobody.</param>
    public RedisNode(
        RedisConfiguration configuration,
        RedisLocksOptions options,
        string channel,
        Action<string> received,
        TimeProvider time,
        ILogger logger,
        RegistryMetrics? metrics)
    {
        _configuration = configuration;
        if (options.CertificateAuthority is { } authority)
        {
            configuration.Options.CertificateValidation += CertificateAuthority.TrustOnlyIn(authority);
        }

        _name = $"Redis at {string.Join(", ", configuration.EndPoints)}";
        _probeKey = $"{options.KeyPrefix}probe";
        _channel = new RedisChannel(channel, RedisChannel.PatternMode.Literal);
        _received = received;
        _timeout = options.Timeout;
        _time = time;
        _logger = logger;
        _metrics = metrics;
        _connection = ConnectAsync();
        _probes = time.CreateTimer(static node => _ = ((RedisNode)node!).ProbeAsync(), this, ProbeInterval, ProbeInterval);
        _ = GreetAsync(_connection);
    }

    /// <summary>Why it is not asked at the moment, and what to do about it; null while it works.</summary>
    public string? Problem => _problem;

    /// <summary>Calls that have not ended yet.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Runs a script; never throws for what a server may do.</summary>
    public Task<RedisAnswer> RunAsync(string script, RedisKey[] keys, RedisValue[] values) =>
        _problem is null
            ? MeasureAsync(script, keys, values)
            : Task.FromResult(RedisAnswer.NotAsked);

    public async ValueTask DisposeAsync()
    {
        _isDisposed = true;
        await _probes.DisposeAsync();
        await CloseAsync(_connection);
    }

    private async Task<RedisAnswer> MeasureAsync(string script, RedisKey[] keys, RedisValue[] values)
    {
        var operation = RedisScripts.NameOf(script);
        using var activity = RegistryTraces.Start($"redis {operation}", ActivityKind.Client);
        activity?.SetTag("db.system.name", "redis");
        activity?.SetTag("db.operation.name", operation);
        var began = Stopwatch.GetTimestamp();
        var answer = await CallAsync(connection => EvaluateAsync(connection, script, keys, values));
        _metrics?.RedisCalled(Stopwatch.GetElapsedTime(began), operation, hasFailed: answer.Value is null);
        if (answer.Value is null)
        {
            activity?.SetStatus(ActivityStatusCode.Error);
        }

        return answer;
    }

    // 1.2.6: a call that waits for its answer does so for ever, and one that was given up may still be carried out.
    private async Task<RedisAnswer> CallAsync(Func<IConnectionMultiplexer, Task<long>> call)
    {
        Interlocked.Increment(ref _inFlight);
        try
        {
            var calling = SendAsync(call, _time.GetTimestamp());
            Observe(calling);
            var value = await calling.WaitAsync(_timeout, _time);
            Volatile.Write(ref _timeouts, 0);
            return new(value, IsSent: true);
        }
        catch (Exception exception) when (RedisProblem.IsOne(exception))
        {
            Failed(exception);
            return new(null, IsSent: true);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    private async Task<long> SendAsync(Func<IConnectionMultiplexer, Task<long>> call, long began)
    {
        var connection = await _connection;
        if (_time.GetElapsedTime(began) >= _timeout)
        {
            throw new TimeoutException(); // given up while it connected: must not be sent any more
        }

        return await call(connection);
    }

    private static async Task<long> EvaluateAsync(
        IConnectionMultiplexer connection, string script, RedisKey[] keys, RedisValue[] values)
    {
        var database = connection.GetDatabase();
        try
        {
            return (long)await database.ScriptEvaluateAsync(script, keys, values);
        }
        catch (RedisServerException exception) when (exception.Message.Contains("NOSCRIPT", StringComparison.Ordinal))
        {
            // Somebody flushed the scripts, or it is another server now. 1.2.6 does not notice by itself.
            return (long)await database.ScriptEvaluateAsync(script, keys, values, CommandFlags.NoScriptCache);
        }
    }

    private void Failed(Exception exception)
    {
        if (RedisProblem.IsForeignKey(exception))
        {
            Log.ForeignKey(_logger, _name, exception.Message);
            return;
        }

        // One time-out may be a pause of ours; without a connection there is no doubt.
        if (exception is TimeoutException
            && Interlocked.Increment(ref _timeouts) < TimeoutsInARow
            && _connection.IsCompletedSuccessfully)
        {
            return;
        }

        lock (_lock)
        {
            var known = _problem;
            _problem = RedisProblem.Describe(_name, exception, _timeout);
            if (known is null && !_isDisposed)
            {
                Log.Degraded(_logger, _problem);
            }
        }
    }

    private void Works()
    {
        lock (_lock)
        {
            if (_problem is not null)
            {
                _problem = null;
                Log.Recovered(_logger, _name);
            }
        }
    }

    private async Task GreetAsync(Task<IConnectionMultiplexer> connection)
    {
        await Task.WhenAny(connection);
        await ProbeAsync();
    }

    private async Task ProbeAsync()
    {
        if (_isDisposed || !_connection.IsCompleted || Interlocked.Exchange(ref _probing, 1) != 0)
        {
            return;
        }

        try
        {
            if (_failedProbes >= ProbesOfAConnection)
            {
                Reconnect();
            }

            // While it works a PING costs it nothing; whether it takes writes is asked when it has refused one.
            var takesWrites = _problem is not null;
            var answer = await CallAsync(async connection =>
            {
                await connection.GetDatabase().PingAsync();
                await SubscribeAsync(connection);
                return takesWrites ? await EvaluateAsync(connection, RedisScripts.Probe, [_probeKey], []) : 1;
            });

            if (answer.Value is null)
            {
                _failedProbes++;
            }
            else
            {
                _failedProbes = 0;
                if (takesWrites)
                {
                    Works();
                }
            }
        }
        finally
        {
            Volatile.Write(ref _probing, 0);
        }
    }

    // 1.2.6 takes a subscription while it is not connected and says nothing; after a lost connection it renews it.
    private async Task SubscribeAsync(IConnectionMultiplexer connection)
    {
        if (_subscribed != connection)
        {
            await connection.GetSubscriber().SubscribeAsync(_channel, (_, message) => _received((string)message ?? ""));
            _subscribed = connection;
        }
    }

    // A connection may hang for good, and 1.2.6 does not find out: after some failed probes it is given up for a new one.
    private void Reconnect()
    {
        _failedProbes = 0;
        var given = _connection;
        _connection = ConnectAsync();
        _ = CloseAsync(given);
        _ = GreetAsync(_connection);
    }

    // On the pool: resolving names and opening sockets may block.
    private Task<IConnectionMultiplexer> ConnectAsync() => Task.Run(async () =>
    {
        var connection = await ConnectionMultiplexer.ConnectAsync(_configuration.Options.Clone());

        // true: one continuation that blocks holds up everybody's answers. By the interface, as all versions have it there.
        ((IConnectionMultiplexer)connection).PreserveAsyncOrder = false;
        return (IConnectionMultiplexer)connection;
    });

    private static async Task CloseAsync(Task<IConnectionMultiplexer> connection)
    {
        try
        {
            await (await connection).CloseAsync(allowCommandsToComplete: false); // true, and Dispose, block
        }
        catch (Exception exception) when (RedisProblem.IsOne(exception))
        {
            // It is given up anyway.
        }
    }

    private static void Observe(Task task) => _ = task.ContinueWith(
        static failed => _ = failed.Exception,
        CancellationToken.None,
        TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
        TaskScheduler.Default);

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Warning, "{Problem} Uploads go on with compare-and-swap alone where no lock is to be had.")]
        public static partial void Degraded(ILogger logger, string problem);

        [LoggerMessage(2, LogLevel.Information, "{Server} works again.")]
        public static partial void Recovered(ILogger logger, string server);

        [LoggerMessage(3, LogLevel.Warning, "{Server} has a value of somebody else under a key of a lock, which is not given "
            + "then. Set another Redis:KeyPrefix. ({Answer})")]
        public static partial void ForeignKey(ILogger logger, string server, string answer);
    }
}
