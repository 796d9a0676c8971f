using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>A registry that runs and is compared.</summary>
/// <param name="Name">As it shows in the table.</param>
/// <param name="Address">Plain http.</param>
/// <param name="Process">What its processor time and memory are read from; null when they are nobody's business.</param>
/// <param name="HasManyTags">Whether <see cref="PreparedContent"/> is in its storage.</param>
internal sealed record Peer(string Name, Uri Address, int? Process, bool HasManyTags)
{
    public CpuTime? Cpu => Process is { } process ? CpuTime.Of(process) : null;
}
