using System.Text.Json;

namespace OciRegistry.Repositories;

/// <summary>
/// Which of the four types a manifest has, by its Content-Type, its <c>mediaType</c> and its members. They must agree:
/// clients differ in which of them they go by (CVE-2021-41190).
/// </summary>
internal static class ManifestMediaType
{
    public const string Schema1Refused = "is that of docker's image manifest schema 1, which this registry does not "
        + "support. Build or push the image with a client of 2017 or later, or convert it: "
        + "'skopeo copy --format v2s2' does.";

    private const string Schema1 = "application/vnd.docker.distribution.manifest.v1+json";
    private const string SignedSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    private const string ArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json";

    private static readonly string[] Supported =
        [MediaTypes.ImageManifest, MediaTypes.ImageIndex, MediaTypes.DockerManifest, MediaTypes.DockerManifestList];

    private static string Listed => string.Join(", ", Supported[..^1]) + " or " + Supported[^1];

    /// <summary>What Content-Type and the member <c>mediaType</c> say; null when neither says anything.</summary>
    public static string? Declared(string? contentType, string? member)
    {
        var header = WithoutParameters(contentType);
        RequireSupported(header, "Content-Type");
        RequireSupported(member, "mediaType");
        if (header is not null && member is not null && header != member)
        {
            throw Refused("mediaType", $"is '{member}', but the Content-Type is '{header}'. They must be the same.");
        }

        return header ?? member;
    }

    /// <summary>What the members say when nothing else does. Docker's types do not go without saying.</summary>
    public static string Inferred(JsonMember manifest)
    {
        if (manifest.Find("manifests") is null && manifest.Find("config") is not null && manifest.Has("layers"))
        {
            return MediaTypes.ImageManifest;
        }

        return manifest.Has("manifests")
            ? MediaTypes.ImageIndex
            : throw Refused(
                "mediaType",
                "is missing, the Content-Type does not tell either, and there is neither 'manifests' nor 'config' with "
                + $"'layers'. Push with a Content-Type of {Listed}.");
    }

    public static void RefuseMembersOfOtherTypes(JsonMember manifest, string mediaType)
    {
        var ofImage = manifest.Find("config") ?? manifest.Find("layers");
        var ofIndex = manifest.Find("manifests");
        if (ofImage is { } one && ofIndex is { } other)
        {
            throw other.Refused($"and '{one.Path}' are in one manifest. It is either an index or an image.");
        }

        if ((MediaTypes.IsIndex(mediaType) ? ofImage : ofIndex) is { } alien)
        {
            throw alien.Refused($"does not belong into a manifest of type {mediaType}.");
        }
    }

    /// <summary>In the spelling of <see cref="MediaTypes"/>; null for a header that leaves it open.</summary>
    private static string? WithoutParameters(string? contentType)
    {
        var type = contentType?.Split(';')[0].Trim().ToLowerInvariant();
        return type is "" or "*/*" or "application/json" or MediaTypes.OctetStream ? null : type;
    }

    private static void RequireSupported(string? mediaType, string where)
    {
        if (mediaType is null || Supported.Contains(mediaType))
        {
            return;
        }

        throw Refused(where, mediaType switch
        {
            Schema1 or SignedSchema1 => Schema1Refused,
            ArtifactManifest => "is that of the artifact manifest, which OCI 1.1 dropped before its release. Push an "
                + $"image manifest ({MediaTypes.ImageManifest}) with 'artifactType'; current clients do.",
            _ => $"is '{JsonMember.Shortened(mediaType)}', no manifest type that this registry knows. Push a config or "
                + $"a layer as a blob; a manifest is of type {Listed}.",
        });
    }

    private static JsonException Refused(string member, string problem) =>
        new($"{member} {problem}", member, null, null);
}
