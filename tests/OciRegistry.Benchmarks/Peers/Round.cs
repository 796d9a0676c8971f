using System.Diagnostics;
using System.Net.Sockets;
using OciRegistry.Benchmarks.Loads;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>One load on one registry for a while: a thread for each connection, which blocks.</summary>
internal sealed class Round(Peer peer, Load load, Operation operation, int? count, TimeSpan duration)
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);
    private const int MostErrorsOfConnection = 20;

    private readonly Lock _lock = new();
    private readonly List<double> _times = [];
    private readonly List<double> _firstBytes = [];
    private readonly TaskCompletionSource _start = new();
    private long _started;
    private int _next = -1;
    private int _errors;
    private long _bytes;

    public string? FirstError { get; private set; }

    public Measurement Run()
    {
        var threads = Enumerable.Range(0, load.Connections).Select(_ => new Thread(RunConnection)).ToList();
        using var ready = new CountdownEvent(threads.Count);
        threads.ForEach(thread => thread.Start(ready));
        ready.Wait();
        var cpu = peer.Cpu;
        _started = Stopwatch.GetTimestamp();
        _start.SetResult();
        threads.ForEach(thread => thread.Join());
        var seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds;
        return new Measurement
        {
            PerSecond = _times.Count / seconds,
            BytesPerSecond = _bytes / seconds,
            P50 = _times.Count == 0 ? double.NaN : Samples.Median(_times),
            P99 = _times.Count == 0 ? double.NaN : Samples.Percentile(_times, 0.99),
            FirstByte = _times.Count == 0 ? double.NaN : Samples.Median(_firstBytes),
            Errors = _errors,
            CpuMilliseconds = cpu is { } before ? (peer.Cpu!.Value - before).Total * 1_000 / _times.Count : double.NaN,
        };
    }

    private void RunConnection(object? ready)
    {
        using var connection = new Connection(peer.Address);
        var times = new List<double>(64 * 1024);
        var firstBytes = new List<double>(64 * 1024);
        var errors = 0;
        var isOpen = Try(connection.Open, ref errors);
        ((CountdownEvent)ready!).Signal();
        _start.Task.Wait();
        while (errors < MostErrorsOfConnection && TryTakeNext(out var index))
        {
            var began = Stopwatch.GetTimestamp();
            if (isOpen && Try(() => operation(connection, index), ref errors))
            {
                times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                firstBytes.Add(connection.MillisecondsToFirstByte);
            }
            else
            {
                isOpen = Try(connection.Open, ref errors);
            }
        }

        lock (_lock)
        {
            _times.AddRange(times);
            _firstBytes.AddRange(firstBytes);
            _errors += errors;
            _bytes += connection.BodyBytes;
        }
    }

    private bool TryTakeNext(out int index)
    {
        index = Interlocked.Increment(ref _next);
        return Stopwatch.GetElapsedTime(_started) < (count is null ? duration : Longest) && !(index >= count);
    }

    private bool Try(Action action, ref int errors)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception e) when (e is SocketException or IOException or UnexpectedAnswerException)
        {
            errors++;
            lock (_lock)
            {
                FirstError ??= e.Message;
            }

            return false;
        }
    }
}
