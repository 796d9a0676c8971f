using OciRegistry.Benchmarks.Peers;

namespace OciRegistry.Benchmarks.Loads;

internal static class ManifestReads
{
    private const string Repository = "bench/manifests";

    private static readonly Content Config = Content.Next(1024);
    private static readonly Content Layer = Content.Next(1024);
    private static Digest _digest;

    public static Load ByTag => Of("manifest GET by tag × 16", () => "latest");

    public static Load ByDigest => Of("manifest GET by digest × 16", () => _digest.ToString());

    private static Load Of(string name, Func<string> reference) => new()
    {
        Name = name,
        Connections = 16,
        Aim = Aim.CpuMilliseconds(0.03),
        Prepare = (_, connection) =>
        {
            Config.PushByPut(connection, Repository);
            Layer.PushByPut(connection, Repository);
            _digest = Content.PutManifest(connection, Repository, "latest", Config, Layer);
        },
        NextRound = (peer, _) =>
        {
            var request = Request.To(peer, "GET", $"/v2/{Repository}/manifests/{reference()}");
            return (connection, _) => connection.Exchange(request);
        },
    };
}
