using OciRegistry.Benchmarks.Peers;

namespace OciRegistry.Benchmarks.Loads;

internal static class Pushes
{
    private const string Repository = "bench/pushes";
    private const long MiB = 1 << 20;

    private static readonly Lazy<List<Content>> Known = new(() => Content.Next(40, 10 * MiB));

    public static Load Patch => Of("push 10 MiB × 4, PATCH stream", Fresh, (blob, connection) => blob.PushByPatch(connection, Repository)) with
    {
        Aim = Aim.CpuSecondsPerGiB(1.7),
    };

    public static Load Put => Of("push 10 MiB × 4, PUT", Fresh, (blob, connection) => blob.PushByPut(connection, Repository)) with
    {
        Aim = Aim.CpuSecondsPerGiB(1.7),
    };

    public static Load Chunks =>
        Of("push 10 MiB × 4, chunks of 5 MiB", Fresh, (blob, connection) => blob.PushByChunks(connection, Repository, 5 * MiB));

    /// <summary>By a client that does not ask first.</summary>
    public static Load Again => Of(
        "push 10 MiB × 4 again, PATCH stream", _ => Known.Value, (blob, connection) => blob.PushByPatch(connection, Repository));

    public static Load Huge =>
        Of("push 2 GiB × 1, PATCH stream", _ => Content.Next(1, 2048 * MiB), (blob, connection) => blob.PushByPatch(connection, Repository)) with
        {
            Connections = 1,
            Count = 1,
            Warmup = 0,
        };

    private static List<Content> Fresh(int count) => Content.Next(count, 10 * MiB);

    private static Load Of(string name, Func<int, List<Content>> blobsOf, Action<Content, Connection> push) => new()
    {
        Name = name,
        Connections = 4,
        Count = 40,
        IsBulk = true,
        Writes = true,
        NextRound = (_, count) =>
        {
            var blobs = blobsOf(count);
            return (connection, index) => push(blobs[index], connection);
        },
    };
}
