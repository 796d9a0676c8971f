using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Loads;

internal static class BlobReads
{
    private const string Repository = "bench/blobs";
    private const long MiB = 1 << 20;
    private const int Clients = 40;
    private const int RangeLength = 64 * 1024;

    private static readonly Lazy<List<Content>> Smalls = new(() => Content.Next(64, 10 * 1024));
    private static readonly Lazy<List<Content>> Larges = new(() => Content.Next(4, 100 * MiB));
    private static readonly Lazy<List<Content>> Layers = new(() => Content.Next(8, 16 * MiB));

    public static Load Head => Of("blob HEAD × 16", 16, Smalls, "HEAD") with { Aim = Aim.CpuMilliseconds(0.03) };

    public static Load Small => Of("blob GET 10 KiB × 64", 64, Smalls, "GET");

    public static Load Large => Of("blob GET 100 MiB × 4", 4, Larges, "GET") with
    {
        Count = 40,
        IsBulk = true,
        Aim = Aim.CpuSecondsPerGiB(0.25),
    };

    public static Load Ranges => Of("blob GET, ranges of 64 KiB × 16", 16, Larges, "GET") with
    {
        NextRound = (peer, _) =>
        {
            var requests = Larges.Value.SelectMany(blob => Enumerable.Range(0, 100).Select(_ =>
            {
                var from = Random.Shared.NextInt64(blob.Length - RangeLength);
                return Request.To(peer, "GET", PathOf(blob), 206, $"Range: bytes={from}-{from + RangeLength - 1}\r\n");
            })).ToArray();
            return (connection, index) => connection.Exchange(requests[index % requests.Length]);
        },
    };

    /// <summary>Clients that pull the same image at once: manifest, config, and the layers one after the other.</summary>
    public static Load Storm => new()
    {
        Name = "40 clients pull an image of 8 × 16 MiB",
        Connections = Clients,
        Count = Clients,
        Warmup = 4,
        IsBulk = true,
        Prepare = (_, connection) =>
        {
            foreach (var blob in Layers.Value.Append(Smalls.Value[0]))
            {
                blob.PushByPut(connection, Repository);
            }

            var layers = Layers.Value.Select(layer => (layer.Digest, layer.Length)).ToList();
            Content.PutManifest(
                connection, Repository, "image", ArtifactManifest.Of(Smalls.Value[0].Digest, Smalls.Value[0].Length, layers));
        },
        NextRound = (peer, _) =>
        {
            var manifest = $"/v2/{Repository}/manifests/image";
            var requests = Layers.Value.Prepend(Smalls.Value[0]).Select(blob => Request.To(peer, "GET", PathOf(blob)))
                .Prepend(Request.To(peer, "GET", manifest))
                .Prepend(Request.To(peer, "HEAD", manifest))
                .ToArray();
            return (connection, _) => Array.ForEach(requests, connection.Exchange);
        },
    };

    private static Load Of(string name, int connections, Lazy<List<Content>> blobs, string method) => new()
    {
        Name = name,
        Connections = connections,
        Prepare = (_, connection) => blobs.Value.ForEach(blob => blob.PushByPut(connection, Repository)),
        NextRound = (peer, _) =>
        {
            var requests = blobs.Value.Select(blob => Request.To(peer, method, PathOf(blob))).ToArray();
            return (connection, index) => connection.Exchange(requests[index % requests.Length]);
        },
    };

    private static string PathOf(Content blob) => $"/v2/{Repository}/blobs/{blob.Digest}";
}
