using System.Text.Encodings.Web;
using System.Text.Json;

namespace OciRegistry.Conformance.Content;

/// <summary>The JSON of manifests, open for a check to add to before it becomes a <see cref="Manifest"/>.</summary>
internal static class Documents
{
    // Clients write a media type with its plus, not with \u002B as the framework does unless told.
    private static readonly JsonSerializerOptions Plain = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static string AsText(this JsonObject document) => document.ToJsonString(Plain);

    public static JsonObject Descriptor(string mediaType, Digest digest, long size) => new()
    {
        ["mediaType"] = mediaType,
        ["digest"] = digest.ToString(),
        ["size"] = size,
    };

    public static JsonObject Image(JsonObject config, params JsonObject[] layers) => new()
    {
        ["schemaVersion"] = 2,
        ["mediaType"] = MediaTypes.ImageManifest,
        ["config"] = config,
        ["layers"] = new JsonArray(layers),
    };

    public static JsonObject ImageIndex(params JsonObject[] manifests) => new()
    {
        ["schemaVersion"] = 2,
        ["mediaType"] = MediaTypes.ImageIndex,
        ["manifests"] = new JsonArray(manifests),
    };

    /// <summary>Makes two documents of the same shape different, and so their digests.</summary>
    public static JsonObject Annotated(this JsonObject document, string key, string value)
    {
        if (document["annotations"] is not JsonObject annotations)
        {
            document["annotations"] = annotations = [];
        }

        annotations[key] = value;
        return document;
    }

    public static JsonObject WithSubject(this JsonObject document, Manifest subject)
    {
        document["subject"] = subject.Descriptor();
        return document;
    }

    public static JsonObject With(this JsonObject document, string property, JsonNode? value)
    {
        document[property] = value;
        return document;
    }
}
