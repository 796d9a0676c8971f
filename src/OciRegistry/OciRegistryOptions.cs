namespace OciRegistry;

/// <summary>The settings of a registry that do not belong to one backend. Section <c>OciRegistry</c> in the server.</summary>
public sealed class OciRegistryOptions
{
    public ManifestOptions Manifests { get; } = new();

    public DeleteOptions Deletes { get; } = new();

    public UploadOptions Uploads { get; } = new();

    public ListingOptions Listings { get; } = new();

    public AuthOptions Auth { get; } = new();

    public LimitOptions Limits { get; } = new();

    public PullThroughOptions PullThrough { get; } = new();

    public DrainOptions Drain { get; } = new();

    /// <summary>Refuses every changing request with 405.</summary>
    /// <value>false</value>
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

        if (!Enum.IsDefined(Manifests.References))
        {
            yield return "Manifests:References is none of Strict, SparseIndexes and Off. Set it to one of them.";
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

        foreach (var problem in Auth.Problems().Concat(Limits.Problems()).Concat(PullThrough.Problems()).Concat(Drain.Problems()))
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

    /// <summary>What a manifest must find in its repository before it is accepted.</summary>
    /// <value>Strict</value>
    public ManifestReferences References { get; set; } = ManifestReferences.Strict;

    /// <summary>Bytes that a manifest may have; a larger one is answered 413.</summary>
    /// <value>4 MiB</value>
    public int MaxSize { get; set; } = SmallestMaxSize;
}

public sealed class DeleteOptions
{
    /// <summary>Whether tags, manifests and blobs may be deleted; 405 otherwise. Upload sessions can always be cancelled.</summary>
    /// <value>true</value>
    public bool Enabled { get; set; } = true;
}

public sealed class UploadOptions
{
    /// <summary>How long after its last accepted byte an upload session is kept. Never while a request runs.</summary>
    /// <value>24 h</value>
    public TimeSpan IdleExpiry { get; set; } = TimeSpan.FromHours(24);

    /// <summary>How long after its start an upload session is kept, whatever happens on it.</summary>
    /// <value>7 d</value>
    public TimeSpan AbsoluteExpiry { get; set; } = TimeSpan.FromDays(7);

    /// <summary>How often expired sessions are looked for.</summary>
    /// <value>10 min</value>
    public TimeSpan SweepInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>Bytes that one blob may have; null for no limit. More is answered 413 and ends the session.</summary>
    /// <value>null</value>
    public long? MaxBlobSize { get; set; }

    /// <summary>How long a request waits for the one that is running on its session, before it reads any byte.</summary>
    /// <value>10 s</value>
    public TimeSpan OrderWait { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a replayed request waits for the one that it replaces to stop, before it goes on without.</summary>
    /// <value>1 s</value>
    public TimeSpan FenceWait { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long a closing request is held while the storage confirms the content, before it is answered 503: clients
    /// repeat a request that timed out, but give up on an error status.
    /// </summary>
    /// <value>55 s</value>
    public TimeSpan CommitWait { get; set; } = TimeSpan.FromSeconds(55);
}

public sealed class ListingOptions
{
    /// <summary>Entries of one page of tags, repositories or referrers; a longer list is linked to its next page.</summary>
    /// <value>10,000</value>
    public int MaxPageSize { get; set; } = 10_000;
}
