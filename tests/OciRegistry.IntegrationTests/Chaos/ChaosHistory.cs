using System.Collections.Concurrent;

namespace OciRegistry.IntegrationTests.Chaos;

internal enum KeyKind
{
    /// <summary>A tag; its value is the digest that it points to.</summary>
    Tag,

    /// <summary>A manifest in a repository; its value is <see cref="ChaosHistory.Present"/>.</summary>
    Manifest,

    /// <summary>A blob in a repository; its value is <see cref="ChaosHistory.Present"/>.</summary>
    Blob,
}

/// <summary>A tag, manifest or blob that clients write and read; it has a value, or null when absent.</summary>
internal readonly record struct ChaosKey(KeyKind Kind, string Repository, string Name)
{
    public override string ToString() => $"{Repository} {Kind.ToString().ToLowerInvariant()} {Name}";
}

/// <summary>
/// All requests and responses as the clients saw them, per key. Times are <see cref="System.Diagnostics.Stopwatch"/>
/// timestamps, taken before a request is sent and after its response has arrived.
/// </summary>
internal sealed class ChaosHistory
{
    /// <summary>The value of a manifest or blob that exists.</summary>
    public const string Present = "present";

    /// <summary>In a read: some value, unknown which.</summary>
    public const string Some = "something";

    private readonly ConcurrentDictionary<ChaosKey, KeyHistory> _keys = new();
    private readonly ConcurrentQueue<string> _violations = new();

    public IEnumerable<ChaosKey> Keys => _keys.Keys;

    /// <summary>Responses that are wrong whatever happened before: wrong bytes, status 500.</summary>
    public IReadOnlyCollection<string> Violations => _violations;

    public KeyHistory this[ChaosKey key] => _keys.GetOrAdd(key, _ => new KeyHistory());

    public void Violate(string what) => _violations.Enqueue(what);

    /// <summary>Replaces the history by the values that the audit has found.</summary>
    public void BeginWith(IReadOnlyDictionary<ChaosKey, string> values)
    {
        _keys.Clear();
        foreach (var (key, value) in values)
        {
            this[key].Add(new ChaosWrite(value, 0, new ChaosCall("audit", 0, "of the previous round")) { End = 0, Fate = Fate.Succeeded });
        }
    }
}

internal sealed class KeyHistory
{
    private readonly Lock _lock = new();
    private readonly List<ChaosWrite> _writes = [];
    private readonly List<ChaosRead> _reads = [];

    public IReadOnlyList<ChaosWrite> Writes
    {
        get
        {
            lock (_lock)
            {
                return [.. _writes];
            }
        }
    }

    public IReadOnlyList<ChaosRead> Reads
    {
        get
        {
            lock (_lock)
            {
                return [.. _reads];
            }
        }
    }

    public void Add(ChaosWrite write)
    {
        lock (_lock)
        {
            _writes.Add(write);
        }
    }

    public void Add(ChaosRead read)
    {
        lock (_lock)
        {
            _reads.Add(read);
        }
    }
}

/// <summary>A request as it is shown in a violation.</summary>
internal sealed class ChaosCall(string actor, int replica, string request)
{
    public bool IsPull => request.StartsWith("GET ", StringComparison.Ordinal) || request.StartsWith("HEAD ", StringComparison.Ordinal);

    /// <summary>Status and request id, or why there was no response.</summary>
    public string Outcome { get; set; } = "running";

    public override string ToString() => $"{actor,-8} replica {replica}  {request}  {Outcome}";
}

internal enum Fate
{
    Running,

    /// <summary>Answered 2xx: it has taken effect.</summary>
    Succeeded,

    /// <summary>Answered 4xx, or never sent: it has no effect, now or later.</summary>
    Rejected,

    /// <summary>Interrupted, or answered 5xx: it may have taken effect, or may yet.</summary>
    Unknown,
}

/// <param name="Value">The key's new value; null when it deletes.</param>
/// <param name="Start">Before it was sent.</param>
/// <param name="Call">The request.</param>
internal sealed record ChaosWrite(string? Value, long Start, ChaosCall Call)
{
    /// <summary>After the response had arrived, or the client gave up.</summary>
    public long End { get; set; } = long.MaxValue;

    public Fate Fate { get; set; }

    /// <summary>The process that handled it: an interrupted request ends with its process at the latest.</summary>
    public ChaosProcess? Process { get; set; }
}

/// <param name="Value">The value read; null when absent, or <see cref="ChaosHistory.Some"/>.</param>
/// <param name="Start">Before the request was sent.</param>
/// <param name="End">After the response had arrived.</param>
/// <param name="Call">The request.</param>
internal sealed record ChaosRead(string? Value, long Start, long End, ChaosCall Call);

/// <summary>One process of a replica, from its start until it is killed.</summary>
internal sealed class ChaosProcess
{
    private long _ended = long.MaxValue;
    private volatile bool _isDoomed;

    /// <summary>Whether it is being killed, or was.</summary>
    public bool IsDoomed
    {
        get => _isDoomed;
        set => _isDoomed = value;
    }

    /// <summary>From when on nothing that it did can take effect; the maximum while it runs.</summary>
    public long Ended
    {
        get => Volatile.Read(ref _ended);
        set => Volatile.Write(ref _ended, value);
    }
}
