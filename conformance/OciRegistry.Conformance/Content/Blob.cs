namespace OciRegistry.Conformance.Content;

/// <summary>Bytes and the digest they are pushed under.</summary>
internal sealed record Blob(byte[] Bytes, Digest Digest)
{
    public static Blob Empty { get; } = Of([]);

    public static Blob Of(byte[] bytes, string algorithm = Digest.Sha256) => new(bytes, Digest.Of(bytes, algorithm));

    /// <summary>Content that no earlier run can have pushed: an anonymous mount must not find it.</summary>
    public static Blob Random(int size, string algorithm = Digest.Sha256)
    {
        var bytes = new byte[size];
        System.Random.Shared.NextBytes(bytes);
        return Of(bytes, algorithm);
    }

    public byte[] Slice(int start, int length) => Bytes.AsSpan(start, length).ToArray();

    public JsonObject Descriptor(string mediaType) => Documents.Descriptor(mediaType, Digest, Bytes.Length);
}
