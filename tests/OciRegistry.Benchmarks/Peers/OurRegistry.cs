using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

internal sealed class OurRegistry(string executable) : IStartedRegistry
{
    public string Name => "ours";

    public Task<string> VersionAsync() => Task.FromResult($"{typeof(Digest).Assembly.GetName().Version!.ToString(3)} on .NET {Environment.Version}");

    public async Task PrepareAsync(string storage)
    {
        using var store = new PreparedStore(storage);
        await store.AddAsync(PreparedContent.ManyTags, PreparedContent.Tags);
        await Parallel.ForEachAsync(PreparedContent.Repositories, async (name, _) => await store.AddAsync(name, tags: 1));
    }

    public Task<ServerProcess> StartAsync(string storage) => ServerProcess.StartAsync(executable, storage, redis: null);
}
