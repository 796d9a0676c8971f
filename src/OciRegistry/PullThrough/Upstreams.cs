using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace OciRegistry.PullThrough;

/// <summary>The upstreams that are configured, and which repository is whose.</summary>
internal sealed partial class Upstreams : IDisposable
{
    private readonly Upstream[] _longestFirst;

    // Of each name, the upstreams with the longest path first.
    private readonly Dictionary<string, Upstream[]> _byNamespace;
    private readonly Dictionary<string, Upstream[]> _byHost;

    public Upstreams(
        IOptions<OciRegistryOptions> options, TimeProvider time, IMeterFactory meters, ILogger<UpstreamClient> log)
    {
        All = [.. options.Value.PullThrough.Upstreams.Select(
            one => new Upstream(one, new UpstreamClient(one, time, log, () => Current(options.Value.PullThrough, one))))];
        _longestFirst = [.. All.OrderByDescending(upstream => upstream.Options.Prefix.Length)];
        _byNamespace = ByName(one => one.AllNamespaces());
        _byHost = ByName(one => one.MirrorHosts);
        UpstreamMetrics.Observe(meters, All);
        if (All.Count > 0)
        {
            LogConfigured(log, string.Join(", ", All.Select(one => $"{one.Options.Prefix} -> {new Uri(one.Options.Url).Authority}")));
        }
    }

    /// <summary>In the order of the settings.</summary>
    public IReadOnlyList<Upstream> All { get; }

    /// <summary>Whose repository it is; null for one of our own.</summary>
    public Upstream? Of(RepositoryName repository)
    {
        foreach (var upstream in _longestFirst)
        {
            if (upstream.Has(repository))
            {
                return upstream;
            }
        }

        return null;
    }

    public bool Knows(string ns) => _byNamespace.ContainsKey(ns);

    /// <summary>
    /// Which repository a request is about: the named one, or one of the upstream that the client means besides. False for a
    /// namespace that is not configured: nothing is ever fetched from where a client says. Without any upstream a namespace says
    /// nothing. With a namespace or a mirror's host the name is the upstream's full one, and false where no upstream has it.
    /// </summary>
    /// <param name="named">In the path.</param>
    /// <param name="ns">What <c>?ns=</c> says (spec.md#proxying); null or empty when it says nothing.</param>
    /// <param name="host">The Host header.</param>
    /// <param name="repository">The one to look in.</param>
    public bool TryFind(RepositoryName named, string? ns, string host, out RepositoryName repository)
    {
        repository = named;
        if (_longestFirst.Length == 0)
        {
            return true; // a mirror that was filled by hand: all it has is its own
        }

        if (!string.IsNullOrEmpty(ns))
        {
            return _byNamespace.TryGetValue(ns, out var meant) && TryFindByFullName(meant, named.ToString(), out repository);
        }

        if (Of(named) is { } upstream)
        {
            return upstream.TryGetNameHere(upstream.NameThere(named), out repository);
        }

        return MirroredAt(host) is not { } mirrored || TryFindByFullName(mirrored, named.ToString(), out repository);
    }

    public void Dispose()
    {
        foreach (var upstream in All)
        {
            upstream.Dispose();
        }
    }

    // A reload takes accounts alone, but an embedding program may change more: an account goes to no other upstream than its own.
    private static UpstreamOptions Current(PullThroughOptions now, UpstreamOptions one) =>
        now.Upstreams.FirstOrDefault(other => other.Prefix == one.Prefix && other.Url == one.Url) ?? one;

    private static bool TryFindByFullName(Upstream[] longestPathFirst, string name, out RepositoryName repository)
    {
        foreach (var upstream in longestPathFirst)
        {
            if (upstream.HasFullName(name))
            {
                return upstream.TryGetNameHereOfFullName(name, out repository);
            }
        }

        repository = default;
        return false;
    }

    private Upstream[]? MirroredAt(string host) =>
        _byHost.Count == 0 ? null
        : _byHost.TryGetValue(host, out var upstreams) ? upstreams
        : host.LastIndexOf(':') is > 0 and var port && _byHost.TryGetValue($"*{host[port..]}", out upstreams) ? upstreams
        : null;

    private Dictionary<string, Upstream[]> ByName(Func<UpstreamOptions, IEnumerable<string>> names) =>
        All.SelectMany(upstream => names(upstream.Options).Select(name => (Name: name, Upstream: upstream)))
            .GroupBy(named => named.Name, named => named.Upstream, StringComparer.OrdinalIgnoreCase)
            .ToDictionary(
                named => named.Key,
                named => named.Distinct().OrderByDescending(upstream => upstream.Options.PathOfNames.Length).ToArray(),
                StringComparer.OrdinalIgnoreCase);

    [LoggerMessage(LogLevel.Information, "Content is pulled through from {Upstreams}.")]
    private static partial void LogConfigured(ILogger logger, string upstreams);
}
