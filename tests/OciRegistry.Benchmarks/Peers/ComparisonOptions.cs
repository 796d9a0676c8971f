using OciRegistry.Benchmarks.Loads;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>What the command line says.</summary>
/// <param name="Server">Our executable.</param>
/// <param name="Peers">Registries that run already, besides those that are started.</param>
/// <param name="Rounds">How often each load is measured on each registry.</param>
/// <param name="Only">A part of the names of the loads that are wanted; empty: all.</param>
/// <param name="Command">How to do it again.</param>
internal sealed record ComparisonOptions(string Server, IReadOnlyList<Peer> Peers, int Rounds, string Only, string Command)
{
    public const int EnoughRounds = 5;

    public IReadOnlyList<Load> Loads =>
        [.. Load.All.Where(load => load.Name.Contains(Only, StringComparison.OrdinalIgnoreCase))];

    /// <summary>Whether the result is worth keeping.</summary>
    public bool IsFull => Rounds >= EnoughRounds && Only.Length == 0;
}
