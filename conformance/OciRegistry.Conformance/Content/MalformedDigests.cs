namespace OciRegistry.Conformance.Content;

/// <summary>Digests that no registry can take: not of the grammar, or of an algorithm that nobody registered.</summary>
internal static class MalformedDigests
{
    public static IEnumerable<string> InPath(Digest good) =>
    [
        "sha256:baddigeststring",
        $"sha256:{good.Encoded[1..]}",
        $"sha256:{good.Encoded}0",
        $"sha256:{good.Encoded.ToUpperInvariant()}",
        $"sha256:{good.Encoded[1..]}g",
        $"sha512:{good.Encoded}",
        $"md5:{good.Encoded[..32]}",
        $"nope:{good.Encoded}",
        $"SHA256:{good.Encoded}",
        "sha256:",
    ];

    public static IEnumerable<string> InQuery(Digest good) =>
        [.. InPath(good), $":{good.Encoded}", good.Encoded, "", "sha256:..%2F..%2F..%2Fetc%2Fpasswd"];
}
