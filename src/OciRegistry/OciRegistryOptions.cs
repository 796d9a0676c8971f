namespace OciRegistry;

/// <summary>The settings of a registry that do not belong to one backend. Section <c>OciRegistry</c> in the server.</summary>
/// <remarks>
/// Some may change while the registry runs, and say so: they count from the next request on, all at once, when the options are
/// bound to a configuration that is read again (<c>BindConfiguration</c>). The others are read at the start: a registry in
/// which they change has to be started again.
/// </remarks>
public sealed class OciRegistryOptions
{
    /// <summary>What is accepted as a manifest.</summary>
    public ManifestOptions Manifests { get; } = new();

    /// <summary>What may be deleted.</summary>
    public DeleteOptions Deletes { get; } = new();

    /// <summary>How blobs are pushed.</summary>
    public UploadOptions Uploads { get; } = new();

    /// <summary>Lists of tags, repositories and referrers.</summary>
    public ListingOptions Listings { get; } = new();

    /// <summary>Who may do what.</summary>
    public AuthOptions Auth { get; } = new();

    /// <summary>How many requests are served.</summary>
    public LimitOptions Limits { get; } = new();

    /// <summary>What operators see and do.</summary>
    public OperationsOptions Operations { get; } = new();

    /// <summary>Other registries whose content is pulled through this one.</summary>
    public PullThroughOptions PullThrough { get; } = new();

    /// <summary>How it ends, when it is told to.</summary>
    public DrainOptions Drain { get; } = new();

    /// <summary>
    /// Host names of this registry, without a port, beside the one that a request names. Browsers' pages of these hosts may push and
    /// delete; those of all other sites get 403. If authentication is off and the server listens on loopback addresses only, it
    /// answers requests for these hosts, those of <c>MirrorHosts</c>, <c>localhost</c> and loopback addresses, and 421 for all others; an
    /// application that embeds the registry has <c>RequireHost</c> for that.
    /// </summary>
    /// <value>none</value>
    public IList<string> Hosts { get; set => field = value ?? []; } = [];

    /// <summary>Pages of other sites that may use the registry in a browser.</summary>
    public CrossOriginOptions Cors { get; } = new();

    /// <summary>Refuses every changing request with 405. May change while the registry runs.</summary>
    /// <value>false</value>
    [Setting(MayChange = true)]
    public bool ReadOnly { get; set; }

    /// <summary>All that is wrong with these settings, each sentence with its remedy; empty when nothing is.</summary>
    internal IEnumerable<string> Problems()
    {
        if (Manifests.MaxSize < ManifestOptions.SmallestMaxSize)
        {
            yield return $"Manifests:MaxSize is {Manifests.MaxSize}; the spec asks a registry to accept manifests of "
                + $"{ManifestOptions.SmallestMaxSize} bytes. Set it to that or more.";
        }

        if (Manifests.MaxSize > ManifestOptions.LargestMaxSize)
        {
            yield return $"Manifests:MaxSize is {Manifests.MaxSize}; a manifest is held in memory while it is checked. "
                + $"Set it to at most {ManifestOptions.LargestMaxSize}.";
        }

        if (Manifests.MaxSize > Limits.BufferedBytes)
        {
            yield return $"Limits:BufferedBytes ({Limits.BufferedBytes}) has no room for one manifest of Manifests:MaxSize "
                + $"({Manifests.MaxSize}). Raise the former or lower the latter.";
        }

        if (!Enum.IsDefined(Manifests.References))
        {
            yield return "Manifests:References is none of Strict, SparseIndexes and Off. Set it to one of them.";
        }

        if (Manifests.AcceptFallback is { } platform && !Platform.TryParse(platform, out _))
        {
            yield return $"Manifests:AcceptFallback is '{platform}', which is not a platform. Write it as linux/amd64 or linux/arm64/v8.";
        }

        if (!Enum.IsDefined(Deletes.Referenced))
        {
            yield return "Deletes:Referenced is neither Refuse nor Allow. Set it to one of them.";
        }

        if (Uploads.IdleExpiry <= TimeSpan.Zero)
        {
            yield return "Uploads:IdleExpiry must be positive. Set it to a time span such as 1.00:00:00 (one day).";
        }

        if (Uploads.AbsoluteExpiry < Uploads.IdleExpiry)
        {
            yield return $"Uploads:AbsoluteExpiry ({Uploads.AbsoluteExpiry}) is shorter than Uploads:IdleExpiry "
                + $"({Uploads.IdleExpiry}). Raise the former or lower the latter.";
        }

        if (Uploads.SweepInterval <= TimeSpan.Zero)
        {
            yield return "Uploads:SweepInterval must be positive. Set it to a time span such as 00:10:00 (ten minutes).";
        }

        if (Uploads.MaxBlobSize is <= 0)
        {
            yield return "Uploads:MaxBlobSize must be positive. Leave it out for no limit.";
        }

        if (Uploads.OrderWait < TimeSpan.Zero || Uploads.FenceWait < TimeSpan.Zero || Uploads.CommitWait < TimeSpan.Zero)
        {
            yield return "Uploads:OrderWait, Uploads:FenceWait and Uploads:CommitWait must not be negative. Leave them "
                + "out for 10 s, 1 s and 55 s.";
        }

        if (Listings.MaxPageSize is < 1 or > 100_000)
        {
            yield return $"Listings:MaxPageSize is {Listings.MaxPageSize}. Set it to a number from 1 to 100000.";
        }

        foreach (var host in Hosts.Where(host => Uri.CheckHostName(host) == UriHostNameType.Unknown))
        {
            yield return $"Hosts has '{host}', which is not a host name. Write it without scheme, port and path, as registry.example.com.";
        }

        foreach (var problem in Cors.Problems().Concat(Auth.Problems()).Concat(Limits.Problems()).Concat(PullThrough.Problems()).Concat(Drain.Problems()))
        {
            yield return problem;
        }
    }
}

/// <summary>What a pushed manifest may refer to.</summary>
public enum ManifestReferences
{
    /// <summary>Everything but the subject must be in the repository.</summary>
    Strict,

    /// <summary>An index may list manifests that are not in the repository; blobs must be.</summary>
    SparseIndexes,

    /// <summary>Nothing is checked.</summary>
    Off,
}

public sealed class ManifestOptions
{
    // spec end-7: "Registries SHOULD … allow manifests of at least 4 megabytes".
    internal const int SmallestMaxSize = 4 * 1024 * 1024;
    internal const int LargestMaxSize = 64 * 1024 * 1024;

    /// <summary>
    /// What a manifest must find in its repository before it is accepted: everything (<c>Strict</c>), all but the children of an
    /// index (<c>SparseIndexes</c>), nothing (<c>Off</c>). May change while the registry runs.
    /// </summary>
    /// <value>Strict</value>
    [Setting(MayChange = true)]
    public ManifestReferences References { get; set; } = ManifestReferences.Strict;

    /// <summary>Bytes that a manifest may have; a larger one is answered 413. May change while the registry runs.</summary>
    /// <value>4 MiB</value>
    [Setting(MayChange = true, Min = "4194304", Max = "67108864")]
    public int MaxSize { get; set; } = SmallestMaxSize;

    /// <summary>
    /// A platform, as <c>linux/amd64</c> or <c>linux/arm64/v8</c>: a client that asks for a tag and accepts image manifests but no index
    /// gets the manifest of that platform where the tag names an index, as distribution serves one of a Docker list. The digest that it
    /// gets is not that of the tag: a script that asks so for a digest to delete would delete a part of the image. Without the setting
    /// every client gets the index. May change while the registry runs.
    /// </summary>
    /// <remarks>Not on by default: docker since 1.10, podman, containerd and the suites accept both types.</remarks>
    /// <value>null</value>
    [Setting(MayChange = true)]
    public string? AcceptFallback { get; set => field = string.IsNullOrEmpty(value) ? null : value; }
}

public sealed class DeleteOptions
{
    /// <summary>
    /// Whether tags, manifests and blobs may be deleted; 405 otherwise. Upload sessions can always be cancelled. May change while
    /// the registry runs.
    /// </summary>
    /// <value>true</value>
    [Setting(MayChange = true)]
    public bool Enabled { get; set; } = true;

    /// <summary>
    /// What becomes of a DELETE that breaks an image: of a manifest that a tagged index lists, or of a blob that a manifest is made of.
    /// <c>Allow</c> deletes it, with a <c>Warning</c> header and a line in the audit log. <c>Refuse</c> answers 409. Both name up to 10 of
    /// what refers to it. In a repository of an upstream it is always deleted: the upstream has it. May change while the registry runs.
    /// </summary>
    /// <remarks>Not Refuse by default: the suite of spec v1.0 deletes blobs before the manifest that is made of them.</remarks>
    /// <value>Allow</value>
    [Setting(MayChange = true)]
    public ReferencedDeletes Referenced { get; set; } = ReferencedDeletes.Allow;
}

/// <summary>What becomes of a DELETE of content that is in use.</summary>
public enum ReferencedDeletes
{
    /// <summary>It is deleted, and what refers to it cannot be pulled any more.</summary>
    Allow,

    /// <summary>409: what refers to it has to be deleted first.</summary>
    Refuse,
}

public sealed class UploadOptions
{
    /// <summary>How long after its last accepted byte an unfinished upload is kept. It never ends while a request runs.</summary>
    /// <value>24 h</value>
    [Setting(Min = "00:00:00.0000001")]
    public TimeSpan IdleExpiry { get; set; } = TimeSpan.FromHours(24);

    /// <summary>
    /// How long after its start an unfinished upload is kept, whatever happens on it; not less than <see cref="IdleExpiry"/>.
    /// </summary>
    /// <value>7 d</value>
    [Setting(Min = "00:00:00.0000001")]
    public TimeSpan AbsoluteExpiry { get; set; } = TimeSpan.FromDays(7);

    /// <summary>How often expired uploads are looked for.</summary>
    /// <value>10 min</value>
    [Setting(Min = "00:00:00.0000001")]
    public TimeSpan SweepInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Bytes that one blob may have. More is answered 413 and ends the upload session. May change while the registry runs.
    /// </summary>
    /// <value>null: no limit</value>
    [Setting(MayChange = true, Min = "1")]
    public long? MaxBlobSize { get; set; }

    /// <summary>How long a chunk waits for the one that is running on its session, before any byte of it is read.</summary>
    /// <value>10 s</value>
    [Setting(Min = "00:00:00")]
    public TimeSpan OrderWait { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a repeated request waits for the one that it replaces to stop, before it goes on without.</summary>
    /// <value>1 s</value>
    [Setting(Min = "00:00:00")]
    public TimeSpan FenceWait { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long a closing request is held while the storage confirms the content, before it is answered 503: clients
    /// repeat a request that timed out, but give up on an error status.
    /// </summary>
    /// <value>55 s</value>
    [Setting(Min = "00:00:00")]
    public TimeSpan CommitWait { get; set; } = TimeSpan.FromSeconds(55);

    /// <summary>
    /// Whether Jib gets <c>100 Continue</c> every 5 s while the registry receives or stores what it pushes. Jib has a read timeout of
    /// 20 s and repeats the request after it. Only over HTTP/1.1, and to no other client. Switch it on where clients reach the registry
    /// without a proxy: nginx takes an interim response for the final one, and not every proxy shows that it is there. May change
    /// while the registry runs.
    /// </summary>
    /// <value>false</value>
    [Setting(MayChange = true)]
    public bool InterimResponses { get; set; }
}

public sealed class ListingOptions
{
    /// <summary>
    /// Entries of one page of tags, repositories or referrers; a longer list is linked to its next page. May change while the
    /// registry runs.
    /// </summary>
    /// <value>10,000</value>
    [Setting(MayChange = true, Min = "1", Max = "100000")]
    public int MaxPageSize { get; set; } = 10_000;
}
