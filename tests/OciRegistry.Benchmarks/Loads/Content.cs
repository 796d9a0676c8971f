using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Loads;

/// <summary>Blobs of noise that no registry has seen, with digests that are computed before anything is measured.</summary>
internal sealed record Content(Noise Noise, Digest Digest)
{
    private static long _lastSeed;

    public long Length => Noise.Length;

    public static Content Next(long length)
    {
        var noise = new Noise(Interlocked.Increment(ref _lastSeed), length);
        return new Content(noise, noise.Digest());
    }

    public static List<Content> Next(int count, long length) => [.. Enumerable.Range(0, count).Select(_ => Next(length))];

    /// <summary>POST, PUT with the bytes.</summary>
    public void PushByPut(Connection connection, string repository) =>
        connection.Exchange("PUT", Closing(Start(connection, repository)), 201, Noise, 0, Length);

    /// <summary>POST, PATCH with the bytes as a stream, PUT: what docker does.</summary>
    public void PushByPatch(Connection connection, string repository)
    {
        connection.ExchangeStream("PATCH", Start(connection, repository), 202, Noise);
        connection.Exchange("PUT", Closing(connection.Location!), 201);
    }

    /// <summary>POST, a PATCH for each chunk, PUT.</summary>
    public void PushByChunks(Connection connection, string repository, long chunk)
    {
        var location = Start(connection, repository);
        for (long from = 0; from < Length; from += chunk)
        {
            var length = Math.Min(chunk, Length - from);
            connection.Exchange("PATCH", location, 202, Noise, from, length, $"Content-Range: {from}-{from + length - 1}\r\n");
            location = connection.Location!;
        }

        connection.Exchange("PUT", Closing(location), 201);
    }

    /// <summary>A manifest with this config and one layer, under this tag.</summary>
    public static Digest PutManifest(Connection connection, string repository, string tag, Content config, Content layer)
    {
        var manifest = ArtifactManifest.Of(config.Digest, config.Length, layer.Digest, layer.Length);
        PutManifest(connection, repository, tag, manifest);
        return Digest.Of(manifest);
    }

    public static void PutManifest(Connection connection, string repository, string reference, ReadOnlySpan<byte> manifest) =>
        connection.Exchange(
            "PUT", $"/v2/{repository}/manifests/{reference}", 201, manifest, $"Content-Type: {ArtifactManifest.MediaType}\r\n");

    private static string Start(Connection connection, string repository)
    {
        connection.Exchange("POST", $"/v2/{repository}/blobs/uploads/", 202);
        return connection.Location!;
    }

    private string Closing(string location) =>
        $"{location}{(location.Contains('?', StringComparison.Ordinal) ? '&' : '?')}digest={Digest}";
}
