namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>The repositories and tags of the writers, and the settings of the replicas.</summary>
internal static class ChaosSettings
{
    public const string Upstream = "up/mirror";
    public const int Writers = 8;

    /// <summary>A repository of at most two blobs, which is often empty, so that it enters and leaves the catalog.</summary>
    public const string Brief = "chaos/brief";

    private static readonly string[] Shared = ["chaos/shared-a", "chaos/shared-b"];

    public static TimeSpan IdleExpiry { get; } = TimeSpan.FromSeconds(8);

    public static IReadOnlyList<string> Repositories { get; } =
        [.. Shared, Upstream, Brief, .. Enumerable.Range(0, Writers).Select(OwnRepository)];

    public static string OwnRepository(int writer) => $"chaos/own-{writer}";

    /// <summary>The tags that a writer moves: two of its own, and two that all writers move.</summary>
    public static IReadOnlyList<string> Tags(int writer) => [$"w{writer}-a", $"w{writer}-b", "all-a", "all-b"];

    public static IEnumerable<string> AllTags => Enumerable.Range(0, Writers).SelectMany(Tags).Distinct();

    /// <summary>Settings of the server, as <c>OciRegistry:Section:Name=value</c>: short intervals, so that sweeps meet pushes.</summary>
    public static string[] ServerSettings(Uri upstream) =>
    [
        $"OciRegistry:Uploads:IdleExpiry={IdleExpiry:c}",
        "OciRegistry:Uploads:SweepInterval=00:00:01",
        "OciRegistry:PullThrough:SweepInterval=00:00:01",
        "OciRegistry:PullThrough:Upstreams:0:Prefix=up",
        $"OciRegistry:PullThrough:Upstreams:0:Url={upstream}",
        "OciRegistry:PullThrough:Upstreams:0:MaxBytes=1",
        "OciRegistry:PullThrough:Upstreams:0:TagTtl=00:00:01",
        "OciRegistry:PullThrough:Upstreams:0:AllowPush=true",
    ];

    /// <summary>A repository to write to: the writer's own, a shared one, or one of the pull-through cache.</summary>
    public static string RepositoryOf(int writer, Random random) => random.Next(10) switch
    {
        < 4 => OwnRepository(writer),
        < 8 => Shared[random.Next(Shared.Length)],
        _ => Upstream,
    };

    /// <summary>A repository whose lists do not come from the upstream.</summary>
    public static string AnyOfOurs(Random random) =>
        random.Next(2) == 0 ? Shared[random.Next(Shared.Length)] : OwnRepository(random.Next(Writers));

    public static string AnyRepository(Random random) => Repositories[random.Next(Repositories.Count)];
}
