using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace OciRegistry;

/// <summary>What an image runs on, as in <c>linux/amd64</c> or <c>linux/arm/v7</c> (image-spec, image-index.md: <c>platform</c>).</summary>
/// <param name="Os">As Go calls it.</param>
/// <param name="Architecture">As Go calls it.</param>
/// <param name="Variant">Of the architecture; null for whichever an index lists first.</param>
internal sealed record Platform(string Os, string Architecture, string? Variant)
{
    public static bool TryParse(string text, [NotNullWhen(true)] out Platform? platform)
    {
        platform = text.Split('/') is [{ Length: > 0 } os, { Length: > 0 } architecture, .. var variant]
            && variant is [] or [{ Length: > 0 }]
            && text.All(c => c is '/' or '.' or '-' or '_' || char.IsAsciiLetterOrDigit(c))
                ? new Platform(os, architecture, variant.FirstOrDefault())
                : null;
        return platform is not null;
    }

    /// <summary>The first manifest that an index lists for this platform; null when there is none, or it is no index that can be read.</summary>
    public Descriptor? FindIn(ReadOnlyMemory<byte> index)
    {
        try
        {
            using var json = JsonDocument.Parse(index);
            return json.RootElement.ValueKind == JsonValueKind.Object
                && json.RootElement.TryGetProperty("manifests", out var manifests) && manifests.ValueKind == JsonValueKind.Array
                    ? manifests.EnumerateArray().Where(IsOf).Select(DescriptorOf).FirstOrDefault(found => found is not null)
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
        && Text(platform, "os") == Os && Text(platform, "architecture") == Architecture
        && (Variant is null || Text(platform, "variant") == Variant);

    private static Descriptor? DescriptorOf(JsonElement manifest) =>
        Text(manifest, "mediaType") is { } mediaType && Digest.TryParse(Text(manifest, "digest"), out var digest)
        && manifest.TryGetProperty("size", out var number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt64(out var size)
            ? new Descriptor(mediaType, digest, size)
            : null;

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString() : null;
}
