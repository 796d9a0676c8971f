using System.Text.Json;
using System.Text.Json.Serialization;

namespace OciRegistry.Uploads;

/// <summary>
/// What is left of the bytes hashed so far, in a layout of our own, so that any implementation of
/// <see cref="ResumableHash"/> can go on from it, in another process too.
/// </summary>
/// <param name="Algorithm">In JSON by its name in digests.</param>
/// <param name="Length">Bytes hashed, the tail's included.</param>
/// <param name="Words">The eight chaining words after the last whole block, big-endian: 32 or 64 bytes.</param>
/// <param name="Tail">The bytes after the last whole block.</param>
internal sealed record HashState(
    [property: JsonConverter(typeof(DigestAlgorithmJsonConverter))] DigestAlgorithm Algorithm,
    long Length,
    byte[] Words,
    byte[] Tail)
{
    /// <summary>Both algorithms end in the length in bits; beyond this it would not fit into 64 of them.</summary>
    private const long MaxLength = long.MaxValue / 8;

    /// <summary>The state of a hash that has seen no bytes.</summary>
    public static HashState Initial(DigestAlgorithm algorithm) => new(algorithm, 0, Sha2.InitialWords(algorithm), []);

    /// <summary>Whether two hashes have seen the same bytes; null has seen none.</summary>
    public static bool AreSame(HashState? one, HashState? other) =>
        one is null || other is null
            ? (one ?? other)?.Length is null or 0
            : one.Length == other.Length
                && one.Algorithm == other.Algorithm
                && one.Words.AsSpan().SequenceEqual(other.Words)
                && one.Tail.AsSpan().SequenceEqual(other.Tail);

    /// <exception cref="InvalidDataException">No hash can be in this state.</exception>
    public void ThrowIfInvalid()
    {
        if (Defect() is { } defect)
        {
            throw new InvalidDataException($"The saved hash state cannot be resumed: {defect}.");
        }
    }

    private string? Defect()
    {
        if (!Enum.IsDefined(Algorithm))
        {
            return "its algorithm is unknown";
        }

        if (Length is < 0 or > MaxLength)
        {
            return $"its length is {Length}";
        }

        // A document may lack any member, whatever the compiler says of null.
        var hashSize = Sha2.HashSize(Algorithm);
        if (Words?.Length != hashSize)
        {
            return $"it has {Words?.Length ?? 0} bytes of words instead of {hashSize}";
        }

        var tailLength = Length % Sha2.BlockSize(Algorithm);
        return Tail?.Length == tailLength
            ? null
            : $"it has {Tail?.Length ?? 0} bytes of tail instead of {tailLength}";
    }
}

/// <summary>Writes an algorithm as digests spell it, and reads nothing else.</summary>
internal sealed class DigestAlgorithmJsonConverter : JsonConverter<DigestAlgorithm>
{
    public override DigestAlgorithm Read(
        ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && DigestAlgorithms.TryParse(reader.GetString(), out var algorithm)
            ? algorithm
            : throw new JsonException("A digest algorithm is 'sha256' or 'sha512'.");

    public override void Write(Utf8JsonWriter writer, DigestAlgorithm value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Name());
}
