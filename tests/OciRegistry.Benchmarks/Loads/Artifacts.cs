namespace OciRegistry.Benchmarks.Loads;

/// <summary>A blob, a config and a manifest of 1 KiB each.</summary>
internal static class Artifacts
{
    private static int _lastRound;

    public static Load OneRepository => Of("small artifacts, one repository × 16", (_, _) => "bench/artifacts");

    public static Load DifferentRepositories => Of(
        "small artifacts, different repositories × 16", (round, index) => $"bench/artifacts-{round}/repository-{index}");

    private static Load Of(string name, Func<int, int, string> repositoryOf) => new()
    {
        Name = name,
        Connections = 16,
        Count = 600,
        Writes = true,
        Aim = Aim.PerSecond(400),
        NextRound = (_, count) =>
        {
            var round = ++_lastRound;
            var blobs = Content.Next(2 * count, 1024);
            return (connection, index) =>
            {
                var repository = repositoryOf(round, index);
                var (layer, config) = (blobs[2 * index], blobs[(2 * index) + 1]);
                layer.PushByPut(connection, repository);
                config.PushByPut(connection, repository);
                Content.PutManifest(connection, repository, $"tag-{round}-{index}", config, layer);
            };
        },
    };
}
