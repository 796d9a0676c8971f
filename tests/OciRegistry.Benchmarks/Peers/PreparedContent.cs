using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>What takes too long over the protocol: 10,000 repositories with a tag each, and one with 100,000.</summary>
internal static class PreparedContent
{
    public const string ManyTags = "bench/many-tags";
    public const int Tags = 100_000;

    public static IEnumerable<string> Repositories => Enumerable.Range(0, 10_000).Select(i => $"bench/repository-{i:d5}");

    public static IEnumerable<string> TagNames => Enumerable.Range(0, Tags).Select(PreparedStore.TagName);
}
