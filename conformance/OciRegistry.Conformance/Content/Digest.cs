using System.Security.Cryptography;

namespace OciRegistry.Conformance.Content;

/// <summary>A content identifier, <c>algorithm:encoded</c>.</summary>
internal readonly record struct Digest(string Algorithm, string Encoded)
{
    public const string Sha256 = "sha256";

    public const string Sha512 = "sha512";

    public static Digest Of(ReadOnlySpan<byte> content, string algorithm = Sha256) => algorithm switch
    {
        Sha256 => new(Sha256, Convert.ToHexStringLower(SHA256.HashData(content))),
        Sha512 => new(Sha512, Convert.ToHexStringLower(SHA512.HashData(content))),
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Neither sha256 nor sha512."),
    };

    /// <summary>A well-formed digest that nothing has.</summary>
    public static Digest Unknown(string algorithm = Sha256) => Of(Guid.NewGuid().ToByteArray(), algorithm);

    public override string ToString() => $"{Algorithm}:{Encoded}";
}
