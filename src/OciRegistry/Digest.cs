using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace OciRegistry;

/// <summary>The hash functions that content may be addressed by (image-spec, descriptor.md#registered-algorithms).</summary>
public enum DigestAlgorithm
{
    /// <summary>SHA-256: every client, the one that a registry must support.</summary>
    Sha256,

    /// <summary>SHA-512: optional in the spec, supported here everywhere.</summary>
    Sha512,
}

/// <summary>
/// A digest in its only accepted spelling: <c>sha256:</c> and 64, or <c>sha512:</c> and 128, lower-case hex digits.
/// </summary>
public readonly record struct Digest : ISpanParsable<Digest>
{
    internal static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private static readonly SearchValues<char> AlgorithmCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789");
    private static readonly SearchValues<char> AlgorithmSeparators = SearchValues.Create("+._-");
    private static readonly SearchValues<char> EncodedCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=_-");

    private readonly string? _text;

    private Digest(DigestAlgorithm algorithm, string text) => (Algorithm, _text) = (algorithm, text);

    public DigestAlgorithm Algorithm { get; }

    /// <summary>The encoded part: hex digits without the algorithm.</summary>
    public string Hex => ToString()[(Algorithm.Name().Length + 1)..];

    /// <summary>The digest of <paramref name="content"/>.</summary>
    public static Digest Of(ReadOnlySpan<byte> content, DigestAlgorithm algorithm = DigestAlgorithm.Sha256) =>
        FromHash(algorithm, algorithm == DigestAlgorithm.Sha256 ? SHA256.HashData(content) : SHA512.HashData(content));

    /// <summary>The digest whose hash value is <paramref name="hash"/> (32 or 64 bytes).</summary>
    public static Digest FromHash(DigestAlgorithm algorithm, ReadOnlySpan<byte> hash) =>
        new(algorithm, $"{algorithm.Name()}:{Convert.ToHexStringLower(hash)}");

    public static bool TryParse(ReadOnlySpan<char> text, out Digest digest)
    {
        digest = default;
        var colon = text.IndexOf(':');
        if (colon < 0 || !DigestAlgorithms.TryParse(text[..colon], out var algorithm))
        {
            return false;
        }

        var encoded = text[(colon + 1)..];
        if (encoded.Length != algorithm.HexLength() || encoded.ContainsAnyExcept(HexDigits))
        {
            return false;
        }

        digest = new Digest(algorithm, text.ToString());
        return true;
    }

    /// <summary>
    /// Whether it is a digest by the grammar of image-spec (descriptor.md#digests), of an algorithm that is not supported here.
    /// </summary>
    public static bool IsOfUnknownAlgorithm(ReadOnlySpan<char> text)
    {
        var colon = text.IndexOf(':');
        return colon > 0
            && !DigestAlgorithms.TryParse(text[..colon], out _)
            && text[(colon + 1)..] is { IsEmpty: false } encoded
            && !encoded.ContainsAnyExcept(EncodedCharacters)
            && IsAlgorithm(text[..colon]);
    }

    // algorithm-component [algorithm-separator algorithm-component]...
    private static bool IsAlgorithm(ReadOnlySpan<char> text)
    {
        foreach (var component in text.SplitAny(AlgorithmSeparators))
        {
            if (text[component].IsEmpty || text[component].ContainsAnyExcept(AlgorithmCharacters))
            {
                return false;
            }
        }

        return true;
    }

    public static Digest Parse(string text) => TryParse(text, out var digest)
        ? digest
        : throw new FormatException($"'{text}' is no sha256 or sha512 digest.");

    public override string ToString() => _text ?? throw new InvalidOperationException("The default Digest has no value.");

    static Digest IParsable<Digest>.Parse(string s, IFormatProvider? provider) => Parse(s);

    static Digest ISpanParsable<Digest>.Parse(ReadOnlySpan<char> s, IFormatProvider? provider) => Parse(s.ToString());

    static bool IParsable<Digest>.TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out Digest result) =>
        TryParse(s, out result);

    static bool ISpanParsable<Digest>.TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out Digest result) =>
        TryParse(s, out result);
}

/// <summary>What the grammar of digests says about each algorithm.</summary>
public static class DigestAlgorithms
{
    public static string Name(this DigestAlgorithm algorithm) =>
        algorithm == DigestAlgorithm.Sha256 ? "sha256" : "sha512";

    public static int HexLength(this DigestAlgorithm algorithm) => algorithm == DigestAlgorithm.Sha256 ? 64 : 128;

    public static bool TryParse(ReadOnlySpan<char> name, out DigestAlgorithm algorithm)
    {
        algorithm = name is "sha512" ? DigestAlgorithm.Sha512 : DigestAlgorithm.Sha256;
        return name is "sha256" or "sha512";
    }
}
