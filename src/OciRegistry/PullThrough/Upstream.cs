namespace OciRegistry.PullThrough;

/// <summary>A registry whose content is pulled through this one.</summary>
internal sealed class Upstream(UpstreamOptions options, UpstreamClient client) : IDisposable
{
    private const string OfficialImages = "library/";

    private readonly NamePattern[] _allow = [.. options.Allow.Select(text => new NamePattern(text))];
    private readonly NamePattern[] _deny = [.. options.Deny.Select(text => new NamePattern(text))];
    private readonly string _start = options.Prefix + "/";

    public UpstreamOptions Options => options;

    public UpstreamClient Client => client;

    public UpstreamTraffic Traffic { get; } = new();

    /// <summary>What the names of its repositories begin with here.</summary>
    public RepositoryName Prefix { get; } = RepositoryName.Parse(options.Prefix);

    public bool Has(RepositoryName repository) => repository.ToString().StartsWith(_start, StringComparison.Ordinal);

    /// <summary>What the upstream calls a repository that it <see cref="Has"/>.</summary>
    public string NameThere(RepositoryName repository) => repository.ToString()[_start.Length..];

    /// <summary>Under which name a repository of the upstream is found here; false where that would be too long.</summary>
    /// <remarks>Docker Hub's official images have a short name and a long one, and must not be kept under both.</remarks>
    public bool TryGetNameHere(string there, out RepositoryName here) => RepositoryName.TryParse(
        _start + (options.IsDockerHub && !there.Contains('/', StringComparison.Ordinal) ? OfficialImages : "") + there, out here);

    /// <summary>Whether a repository, as the upstream names it, may be pulled.</summary>
    public bool Allows(string there) =>
        (_allow.Length == 0 || _allow.Any(pattern => pattern.Matches(there))) && !_deny.Any(pattern => pattern.Matches(there));

    public void Dispose() => client.Dispose();
}
