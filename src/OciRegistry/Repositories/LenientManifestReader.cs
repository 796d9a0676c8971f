using System.Text;
using System.Text.Json;

namespace OciRegistry.Repositories;

/// <summary>
/// Reads what <see cref="ManifestReader"/> refuses: a manifest that an upstream serves is passed on as it is, whatever is
/// wrong with it. Nothing but digests and sizes decides what it refers to.
/// </summary>
internal static class LenientManifestReader
{
    private const int MaxDescriptors = 100_000;
    private const int MaxMediaType = 255;

    // The last is that of the artifact manifest, which OCI 1.1 dropped before its release.
    private static readonly string[] BlobLists = ["layers", "blobs"];

    public static Manifest Read(ReadOnlyMemory<byte> content, string? contentType)
    {
        try
        {
            using var json = JsonDocument.Parse(content);
            return json.RootElement.ValueKind == JsonValueKind.Object ? Read(json.RootElement, contentType) : Unread(contentType);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter: half a character in a name
        {
            return Unread(contentType);
        }
    }

    private static Manifest Read(JsonElement root, string? contentType)
    {
        var config = root.TryGetProperty("config", out var member) ? ReadDescriptor(member) : null;
        var mediaType = TypeOf(contentType) ?? TypeOf(Text(root, "mediaType"))
            ?? (root.TryGetProperty("manifests", out _) ? MediaTypes.ImageIndex
                : config is not null ? MediaTypes.ImageManifest
                : MediaTypes.OctetStream);
        var blobs = BlobLists.SelectMany(list => Descriptors(root, list)).Where(blob => !MediaTypes.IsNondistributable(blob.MediaType));
        return new Manifest
        {
            MediaType = mediaType,
            Blobs = Distinct(config is null ? blobs : blobs.Prepend(config)),
            Manifests = Distinct(Descriptors(root, "manifests")),
            Subject = root.TryGetProperty("subject", out var subject) ? ReadDescriptor(subject)?.Digest : null,
            ArtifactType = Text(root, "artifactType") ?? (MediaTypes.IsIndex(mediaType) ? null : config?.MediaType),
            Annotations = Texts(root, "annotations"),
        };
    }

    private static Manifest Unread(string? contentType) =>
        new() { MediaType = TypeOf(contentType) ?? MediaTypes.OctetStream, Blobs = [], Manifests = [] };

    /// <summary>
    /// The media type to serve it with; null when it is not to be told. No type but of <c>application/</c>: what a browser shows
    /// must not come from wherever an upstream is.
    /// </summary>
    private static string? TypeOf(string? contentType) =>
        contentType?.Split(';')[0].Trim().ToLowerInvariant() is { Length: <= MaxMediaType } type
        && type.StartsWith("application/", StringComparison.Ordinal)
        && type is not ("application/json" or MediaTypes.OctetStream)
        && Ascii.IsValid(type) && !type.AsSpan().ContainsAnyInRange('\0', ' ')
            ? type
            : null;

    private static IEnumerable<Descriptor> Descriptors(JsonElement root, string list) =>
        root.TryGetProperty(list, out var member) && member.ValueKind == JsonValueKind.Array
            ? member.EnumerateArray().Take(MaxDescriptors).Select(ReadDescriptor).OfType<Descriptor>()
            : [];

    private static Descriptor? ReadDescriptor(JsonElement descriptor) =>
        descriptor.ValueKind == JsonValueKind.Object
        && Digest.TryParse(Text(descriptor, "digest"), out var digest)
        && descriptor.TryGetProperty("size", out var number)
        && number.ValueKind == JsonValueKind.Number && number.TryGetInt64(out var size) && size >= 0
            ? new Descriptor(Text(descriptor, "mediaType") ?? "", digest, size)
            : null;

    private static Descriptor[] Distinct(IEnumerable<Descriptor> descriptors) =>
        [.. descriptors.DistinctBy(descriptor => descriptor.Digest)];

    private static Dictionary<string, string>? Texts(JsonElement root, string name)
    {
        if (!root.TryGetProperty(name, out var member) || member.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        var texts = new Dictionary<string, string>();
        foreach (var text in member.EnumerateObject())
        {
            if (TextOf(text.Value) is { } value)
            {
                texts[text.Name] = value;
            }
        }

        return texts;
    }

    private static string? Text(JsonElement root, string name) =>
        root.TryGetProperty(name, out var member) && TextOf(member) is { Length: > 0 } text ? text : null;

    private static string? TextOf(JsonElement member)
    {
        try
        {
            return member.ValueKind == JsonValueKind.String ? member.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null; // half a character, which is JSON by the grammar, but no text
        }
    }
}
