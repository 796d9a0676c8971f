using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>Three server processes over one folder, with one Redis or with none between them.</summary>
internal sealed class ReplicaSet : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly ServerProcess[] _servers;
    private readonly string[] _settings;
    private readonly Random _random;

    private ReplicaSet(int count, RedisServer? redis, string[] settings)
    {
        _servers = new ServerProcess[count];
        Redis = redis;
        _settings = settings;
        _random = new Random(Seed.Next(TestContext.Current.TestOutputHelper!));
        Root = _folder.Create("data");
    }

    public RedisServer? Redis { get; }

    public string Root { get; }

    public int Count => _servers.Length;

    public ServerProcess this[int index] => _servers[index];

    /// <summary>A replica by chance, as a balancer without stickiness would choose it.</summary>
    public ServerProcess Any
    {
        get
        {
            lock (_random)
            {
                return _servers[_random.Next(Count)];
            }
        }
    }

    /// <param name="withRedis">Else every process has locks of its own, which the others know nothing of.</param>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static async Task<ReplicaSet> StartAsync(bool withRedis, params string[] settings)
    {
        Tool.Require(Checkout.ServerExecutable);
        var redis = withRedis ? await RedisServer.StartAsync() : null;
        string[] locks = redis is null
            ? []
            : [$"OciRegistry:Redis:Configuration={redis.Address}", "OciRegistry:Redis:Lease=00:00:02"];
        var replicas = new ReplicaSet(3, redis,
        [
            "OciRegistry:Uploads:OrderWait=00:00:05", "OciRegistry:Uploads:FenceWait=00:00:00.2", .. locks, .. settings,
        ]);
        try
        {
            await Task.WhenAll(Enumerable.Range(0, 3).Select(i => replicas.StartAsync(i)));
            return replicas;
        }
        catch
        {
            await replicas.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a replica that was killed or stopped.</summary>
    /// <param name="index">Which.</param>
    /// <param name="under">A program that is to start it, as its last argument.</param>
    public async Task StartAsync(int index, Tool? under = null)
    {
        _servers[index]?.Http.Dispose();
        _servers[index] = await ServerProcess.StartOnAsync(Root, under, _settings);
    }

    /// <summary>
    /// Holds a replica (SIGSTOP) where it is not within a write to a document: what it holds there, for microseconds, is a
    /// lock file that the others wait for (KilledProcessTests has that case).
    /// </summary>
    public async Task PauseAsync(int index)
    {
        while (true)
        {
            _servers[index].Pause();
            if (Directory.GetFiles(Path.Combine(Root, "locks")).All(IsFree)) // it may have made one a moment ago
            {
                return;
            }

            _servers[index].Resume();
            await Task.Yield();
        }
    }

    public int Choose(int count)
    {
        lock (_random)
        {
            return _random.Next(count);
        }
    }

    /// <summary>Everything that belongs to an upload: session documents, staged bytes, temporary files.</summary>
    public List<string> UploadFiles() => [.. SessionFiles(), .. FilesIn("tmp")];

    /// <summary>Session documents and staged bytes.</summary>
    public List<string> SessionFiles() => [.. FilesIn("_data"), .. FilesIn(Path.Combine("documents", "_uploads"))];

    public List<string> BlobFiles() => FilesIn("blobs");

    public void AssertBlobsAreWhole()
    {
        foreach (var file in BlobFiles())
        {
            Digest.Of(File.ReadAllBytes(file)).Hex.ShouldBe(Path.GetFileName(file));
        }
    }

    /// <summary>No lock is held in Redis, and nobody waits for one.</summary>
    public Task AssertNoLockIsHeldAsync() => Redis is null
        ? Task.CompletedTask
        : Until.TrueAsync(async () => (await Redis.RunAsync("--raw", "KEYS", "*uploads/*")).Length == 0, "no lock is held");

    /// <summary>Whether each replica, asked now, serves the blob whole, or says that it is unknown.</summary>
    public async Task ShouldServeAsync(string repository, byte[] content)
    {
        foreach (var server in _servers)
        {
            using var pulled = await server.Http.GetBlobAsync(repository, Digest.Of(content), isRead: false);
            await pulled.ShouldBeContentAsync(Digest.Of(content), content);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers.OfType<ServerProcess>())
        {
            await server.DisposeAsync();
        }

        if (Redis is not null)
        {
            await Redis.DisposeAsync();
        }

        await _folder.DisposeAsync();
    }

    private static bool IsFree(string lockFile)
    {
        using var file = Posix.OpenReadWrite(lockFile, create: false)!;
        return Posix.TryLock(file);
    }

    private List<string> FilesIn(string folder) => Directory.Exists(Path.Combine(Root, folder))
        ? [.. Directory.EnumerateFiles(Path.Combine(Root, folder), "*", SearchOption.AllDirectories)]
        : [];
}
