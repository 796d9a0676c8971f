namespace OciRegistry.PullThrough;

/// <summary>A registry whose content is pulled through this one.</summary>
internal sealed class Upstream(UpstreamOptions options, UpstreamClient client) : IDisposable
{
    private const string OfficialImages = "library/";

    private readonly NamePattern[] _allow = [.. options.Allow.Select(text => new NamePattern(text))];
    private readonly NamePattern[] _deny = [.. options.Deny.Select(text => new NamePattern(text))];
    private readonly string _start = options.Prefix + "/";
    private readonly string _path = options.PathOfNames;

    public UpstreamOptions Options => options;

    public UpstreamClient Client => client;

    public UpstreamTraffic Traffic { get; } = new();

    /// <summary>What the names of its repositories begin with here.</summary>
    public RepositoryName Prefix { get; } = RepositoryName.Parse(options.Prefix);

    public bool Has(RepositoryName repository) => repository.ToString().StartsWith(_start, StringComparison.Ordinal);

    /// <summary>What the upstream calls a repository that it <see cref="Has"/>.</summary>
    public string NameThere(RepositoryName repository) => repository.ToString()[_start.Length..];

    /// <summary>
    /// Returns the name here of a repository that the upstream calls <paramref name="there"/>, without the path of its address; false
    /// where the name would be too long.
    /// </summary>
    public bool TryGetNameHere(string there, out RepositoryName here) =>
        RepositoryName.TryParse(_start + (_path.Length == 0 ? LongName(there) : there), out here);

    /// <summary>
    /// Whether the full name of a repository at the upstream's host is below the path of its address; a client that names the host, or
    /// takes this registry for it, does not know of that path.
    /// </summary>
    public bool HasFullName(string name) => LongName(name).StartsWith(_path, StringComparison.Ordinal);

    /// <summary>Returns the name here of a full name that <see cref="HasFullName"/>; false where it would be too long.</summary>
    public bool TryGetNameHereOfFullName(string name, out RepositoryName here) =>
        RepositoryName.TryParse(_start + LongName(name)[_path.Length..], out here);

    /// <summary>Whether a repository, as the upstream names it, may be pulled.</summary>
    public bool Allows(string there) =>
        (_allow.Length == 0 || _allow.Any(pattern => pattern.Matches(there))) && !_deny.Any(pattern => pattern.Matches(there));

    public void Dispose() => client.Dispose();

    // Docker Hub's official images have a short name and a long one, and must not be kept under both.
    private string LongName(string there) =>
        options.IsDockerHub && !there.Contains('/', StringComparison.Ordinal) ? OfficialImages + there : there;
}
