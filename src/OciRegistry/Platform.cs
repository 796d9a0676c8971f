using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace OciRegistry;

/// <summary>
/// What an image runs on, as in <c>linux/amd64</c> or <c>linux/arm/v7</c> (image-spec, image-index.md: <c>platform</c>). Names are
/// compared as containerd does: <c>x86_64</c> is amd64, <c>aarch64</c> is arm64, and arm64 is v8 where it does not say.
/// </summary>
/// <param name="Os">As Go calls it.</param>
/// <param name="Architecture">As Go calls it.</param>
/// <param name="Variant">Of the architecture; null for whichever an index lists first.</param>
internal sealed record Platform(string Os, string Architecture, string? Variant)
{
    private const string DefaultOfArm64 = "v8";

    public static bool TryParse(string text, [NotNullWhen(true)] out Platform? platform)
    {
        platform = text.Split('/') is [{ Length: > 0 } os, { Length: > 0 } architecture, .. var variant]
            && variant is [] or [{ Length: > 0 }]
            && text.All(c => c is '/' or '.' or '-' or '_' || char.IsAsciiLetterOrDigit(c))
                ? new Platform(os.ToLowerInvariant(), ArchitectureOf(architecture), variant.FirstOrDefault()?.ToLowerInvariant())
                : null;
        return platform is not null;
    }

    /// <summary>The first manifest of this platform in an index that is accepted; null when there is none, or it is no index that can be read.</summary>
    public Descriptor? FindIn(ReadOnlyMemory<byte> index, Func<Descriptor, bool> isAccepted)
    {
        try
        {
            using var json = JsonDocument.Parse(index);
            return json.RootElement.ValueKind == JsonValueKind.Object
                && json.RootElement.TryGetProperty("manifests", out var manifests) && manifests.ValueKind == JsonValueKind.Array
                    ? manifests.EnumerateArray().Where(IsOf).Select(DescriptorOf).FirstOrDefault(found => found is not null && isAccepted(found))
                    : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter: half a character in a text
        {
            return null;
        }
    }

    private bool IsOf(JsonElement manifest) =>
        manifest.ValueKind == JsonValueKind.Object
        && manifest.TryGetProperty("platform", out var platform) && platform.ValueKind == JsonValueKind.Object
        && Text(platform, "os")?.ToLowerInvariant() == Os
        && Text(platform, "architecture") is { } architecture && ArchitectureOf(architecture) == Architecture
        && (Variant is null || (Text(platform, "variant")?.ToLowerInvariant() ?? DefaultVariant) == Variant);

    private string? DefaultVariant => Architecture == "arm64" ? DefaultOfArm64 : null;

    private static string ArchitectureOf(string name) => name.ToLowerInvariant() switch
    {
        "x86_64" or "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        var other => other,
    };

    private static Descriptor? DescriptorOf(JsonElement manifest) =>
        Text(manifest, "mediaType") is { } mediaType && Digest.TryParse(Text(manifest, "digest"), out var digest)
        && manifest.TryGetProperty("size", out var number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt64(out var size)
            ? new Descriptor(mediaType, digest, size)
            : null;

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString() : null;
}
