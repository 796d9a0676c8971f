using OciRegistry.Coordination;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Guarantees;

/// <summary>One process of the registry. Once doomed, it may die at any moment, and whoever asks it may be told so.</summary>
internal sealed class Replica(string name, FaultyRegistry registry, RequestLog log)
{
    public string Name => name;

    public FaultyRegistry Registry => registry;

    public RequestLog Log => log;

    public bool IsDoomed { get; private set; }

    public string DieIn(int calls)
    {
        IsDoomed = true;
        registry.Plan.DieIn(calls);
        return name;
    }
}

/// <summary>The replicas of one registry: one folder, one lock service, and each that dies is followed by another.</summary>
internal sealed class Replicas(ReplicaStorage storage, Locks locks, WeakStorage weak) : IAsyncDisposable
{
    private readonly InProcessLocks _lockService = new(TimeProvider.System);
    private readonly List<Replica> _all = [];

    public IReadOnlyList<Replica> All => _all;

    public bool HaveLocks => locks == Locks.Granted;

    /// <summary>How many have died.</summary>
    public int Died { get; private set; }

    public Replica Any(Random random) => _all[random.Next(_all.Count)];

    public Replica Named(string name) => _all.Single(replica => replica.Name == name);

    public async Task StartAsync(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _all.Add(await StartAsync(((char)('A' + i)).ToString()));
        }
    }

    /// <summary>Whoever has died since is followed by another process.</summary>
    public async Task ReviveAsync()
    {
        for (var i = 0; i < _all.Count; i++)
        {
            if (_all[i].Registry.Plan.IsDead)
            {
                Died++;
                await _all[i].Registry.DisposeAsync();
                _all[i].Log.Close();
                _all[i] = await StartAsync(_all[i].Name);
            }
        }
    }

    public async Task AssertNoLockIsHeldAsync()
    {
        foreach (var replica in _all)
        {
            await replica.Registry.AssertNoLockIsHeldAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var replica in _all)
        {
            await replica.Registry.DisposeAsync();
        }
    }

    private async Task<Replica> StartAsync(string name)
    {
        var log = new RequestLog();
        var registry = await FaultyRegistry.StartAsync(
            locks, Settings, root: storage.Root, weak: weak, lockService: _lockService, filter: log);
        return new Replica(name, registry, log);
    }

    private static void Settings(UploadOptions uploads)
    {
        // Shorter than a slow call: whoever is in the middle of one may be overtaken.
        uploads.OrderWait = TimeSpan.FromMilliseconds(10);
        uploads.FenceWait = TimeSpan.FromMilliseconds(2);
        uploads.CommitWait = TimeSpan.FromSeconds(10);
    }
}

/// <summary>The folder of the replicas, and what is on record there, read past them all.</summary>
internal sealed class ReplicaStorage : IDisposable
{
    private readonly FileSystemStorage _storage = new();
    private readonly UploadSessionDocuments _sessions;

    public ReplicaStorage() => _sessions = new UploadSessionDocuments(_storage.Documents());

    public string Root => _storage.Root.Root;

    /// <summary>
    /// The session on record, with its staged bytes: those that are recorded are never written again, so they can be read
    /// while others write.
    /// </summary>
    public async Task<UploadRecord> ReadAsync(string location)
    {
        var id = FaultyRegistry.SessionOf(location);
        while (true)
        {
            if (await _sessions.ReadAsync(id, CancellationToken.None) is not { } read)
            {
                return new UploadRecord(null, null, 0, 0);
            }

            var session = read.Session;
            if (session.State != UploadState.Open)
            {
                return new UploadRecord(session, null, session.Offset, session.LastStart);
            }

            var writer = session.Writer is { } w && w.Offset >= session.Offset
                && (w.Generation == session.Generation || w.Offset > w.Start)
                ? w
                : null;
            var acknowledged = Staged(session.Staged, session.Offset);
            var staged = writer is null ? acknowledged : Staged(new StagedKey(id, writer.Generation), writer.Offset);
            if (acknowledged is not null && staged is not null)
            {
                return new UploadRecord(session, acknowledged, writer?.Offset ?? session.Offset, writer?.Start ?? session.LastStart)
                {
                    StagedByAll = staged,
                };
            }

            (await _sessions.ReadAsync(id, CancellationToken.None))?.Version
                .ShouldNotBe(read.Version, "acknowledged bytes are not there");
        }
    }

    public void Dispose() => _storage.Dispose();

    private byte[]? Staged(StagedKey key, long length)
    {
        using var file = Posix.OpenRead(_storage.Root.StagedGeneration(key));
        var bytes = new byte[length];
        return length == 0 || (file is not null && RandomAccess.Read(file, bytes, 0) == length) ? bytes : null;
    }
}
