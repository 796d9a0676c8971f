using Microsoft.Extensions.Caching.Memory;

namespace OciRegistry.PullThrough;

/// <summary>
/// What upstreams did not have a moment ago, so that a client that asks in a loop does not become many requests to them. Only
/// looked at for what is not here: what is pushed or fetched meanwhile is found.
/// </summary>
internal sealed class RecentlyUnknown(TimeProvider time) : IDisposable
{
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(10);

    private readonly MemoryCache _unknown = new(new MemoryCacheOptions { SizeLimit = 10_000 });

    public bool Contains(RepositoryName repository, string resource) =>
        _unknown.TryGetValue((repository, resource), out (long Since, TimeSpan Life) known)
        && time.GetElapsedTime(known.Since) < known.Life;

    public void Add(RepositoryName repository, string resource) => Add(repository, resource, Life);

    /// <summary>For what seldom appears, so that it need not be asked for again so soon.</summary>
    public void Add(RepositoryName repository, string resource, TimeSpan life)
    {
        if (life > TimeSpan.Zero)
        {
            _unknown.Set(
                (repository, resource),
                (time.GetTimestamp(), life),
                new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = life });
        }
    }

    public void Dispose() => _unknown.Dispose();
}
