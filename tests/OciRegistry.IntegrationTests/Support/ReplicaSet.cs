using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>Three server processes over one storage, with one Redis or with none between them.</summary>
internal sealed class ReplicaSet : IAsyncDisposable
{
    private readonly ServerProcess[] _servers;
    private readonly string[] _settings;
    private readonly Random _random;

    private ReplicaSet(int count, ISharedStorage storage, RedisServer? redis, string[] settings)
    {
        _servers = new ServerProcess[count];
        Storage = storage;
        Redis = redis;
        _settings = settings;
        _random = new Random(Seed.Next(TestContext.Current.TestOutputHelper!));
    }

    public ISharedStorage Storage { get; }

    public RedisServer? Redis { get; }

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

    /// <param name="shared">What they share.</param>
    /// <param name="settings">Further settings, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static async Task<ReplicaSet> StartAsync(Shared shared, params string[] settings) => await StartAsync(
        shared.IsFolder() ? new SharedFolder() : await SharedContainer.CreateAsync(), shared.HasRedis(), settings);

    public static async Task<ReplicaSet> StartAsync(ISharedStorage storage, bool withRedis, params string[] settings)
    {
        Tool.Require(Checkout.ServerExecutable);
        var redis = withRedis ? await RedisServer.StartAsync() : null;
        string[] locks = redis is null
            ? []
            : [$"OciRegistry:Redis:Configuration={redis.Address}", "OciRegistry:Redis:Lease=00:00:02"];
        var replicas = new ReplicaSet(3, storage, redis,
        [
            "OciRegistry:Uploads:OrderWait=00:00:05", "OciRegistry:Uploads:FenceWait=00:00:00.2",
            .. storage.Settings, .. locks, .. settings,
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
        _servers[index] = await ServerProcess.StartWithAsync(under, _settings);
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
            if (Storage.MayPauseNow())
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

    public async Task AssertContentIsWholeAsync()
    {
        foreach (var (digest, content) in await Storage.ContentAsync())
        {
            Digest.Of(content, digest.Algorithm).ShouldBe(digest);
        }
    }

    /// <summary>In the end nothing is left of uploads: no session, no staged bytes, no temporary file.</summary>
    public Task AssertNothingRemainsAsync() =>
        Until.TrueAsync(async () => (await Storage.RemainsAsync()).Count == 0, "nothing is staged");

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

        await Storage.DisposeAsync();
    }
}
