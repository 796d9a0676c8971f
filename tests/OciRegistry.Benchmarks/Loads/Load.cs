using OciRegistry.Benchmarks.Peers;

namespace OciRegistry.Benchmarks.Loads;

/// <summary>One request, or those that belong together.</summary>
internal delegate void Operation(Connection connection, int index);

/// <summary>One use of a registry, repeated over some connections at once.</summary>
internal sealed record Load
{
    public required string Name { get; init; }

    public required int Connections { get; init; }

    /// <summary>Puts the content there that is needed, over the protocol; throws when the registry has no such operation.</summary>
    public Action<Peer, Connection> Prepare { get; init; } = (_, _) => { };

    /// <summary>Makes what a round sends, which takes time that is not measured; the argument is the number of operations.</summary>
    public required Func<Peer, int, Operation> NextRound { get; init; }

    /// <summary>How many operations a round has; null: as many as fit into its time.</summary>
    public int? Count { get; init; }

    /// <summary>How many operations come before the first round; null: as many as a round has.</summary>
    public int? Warmup { get; init; }

    /// <summary>Whether the bytes are what costs: then it is told what a GiB does.</summary>
    public bool IsBulk { get; init; }

    /// <summary>Whether the storage is changed: then what is not on the disk yet is waited for before each round.</summary>
    public bool Writes { get; init; }

    /// <summary>Whether <see cref="PreparedContent"/> is asked for, where it is.</summary>
    public bool NeedsPreparedContent { get; init; }

    /// <summary>What our own figures are to be.</summary>
    public Aim? Aim { get; init; }

    /// <summary>All of them, in an order in which none disturbs the next; what creates much comes late.</summary>
    public static IReadOnlyList<Load> All =>
    [
        ManifestReads.ByTag, ManifestReads.ByDigest,
        BlobReads.Head, BlobReads.Small, BlobReads.Large, BlobReads.Ranges, BlobReads.Storm,
        Lists.Tags, Lists.Referrers,
        Artifacts.DifferentRepositories, Artifacts.OneRepository,
        Pushes.Patch, Pushes.Put, Pushes.Chunks, Pushes.Again, Pushes.Huge,
    ];
}
