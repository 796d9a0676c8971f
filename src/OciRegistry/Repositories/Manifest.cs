using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace OciRegistry.Repositories;

/// <summary>
/// What the registry needs to know of a manifest, an image's or an index. Its bytes are kept elsewhere, exactly as
/// pushed.
/// </summary>
internal sealed record Manifest
{
    /// <summary>
    /// One of the four types that <see cref="MediaTypes"/> calls an image or an index; what an upstream serves may have any.
    /// </summary>
    public required string MediaType { get; init; }

    /// <summary>
    /// The blobs that must be in the repository, distinct by digest: config and layers, without nondistributable ones.
    /// An index has none.
    /// </summary>
    public required IReadOnlyList<Descriptor> Blobs { get; init; }

    /// <summary>
    /// The children of an index, distinct by digest. They may be of any type: BuildKit's cache is an index of layers.
    /// </summary>
    public required IReadOnlyList<Descriptor> Manifests { get; init; }

    /// <summary>What this manifest is a referrer of. It need not exist: end-7, "MUST accept".</summary>
    public Digest? Subject { get; init; }

    /// <summary>By end-12a: the manifest's own, else the media type of an image's config, else null.</summary>
    public string? ArtifactType { get; init; }

    public IReadOnlyDictionary<string, string>? Annotations { get; init; }

    /// <summary>
    /// What it says of content whose digest has an algorithm that this registry does not know, and which has no address
    /// elsewhere either: such content can never be in the repository.
    /// </summary>
    public IReadOnlyList<OciError> Unstorable { get; init; } = [];

    /// <summary>Reads a manifest, strictly: what two clients could understand differently is refused.</summary>
    /// <param name="content">The body, within the registry's size limit.</param>
    /// <param name="contentType">The Content-Type header as it came, or null.</param>
    /// <param name="manifest">The manifest, or null when it is refused.</param>
    /// <param name="error">Why it is refused, naming the member, or null.</param>
    public static bool TryParse(
        ReadOnlyMemory<byte> content,
        string? contentType,
        [NotNullWhen(true)] out Manifest? manifest,
        [NotNullWhen(false)] out OciError? error)
    {
        try
        {
            using var document = StrictJson.Parse(content);
            manifest = ManifestReader.Read(document.RootElement, contentType);
            error = null;
            return true;
        }
        catch (JsonException e)
        {
            manifest = null;
            error = ErrorOf(e);
            return false;
        }
    }

    /// <summary>
    /// What can be read of a manifest that was stored before, or that an upstream serves: its digest vouches for it, and what
    /// it refers to is followed as far as it can be understood.
    /// </summary>
    /// <param name="content">Any bytes.</param>
    /// <param name="contentType">The Content-Type that it comes with, or null.</param>
    public static Manifest Read(ReadOnlyMemory<byte> content, string? contentType) =>
        TryParse(content, contentType, out var manifest, out _) ? manifest : LenientManifestReader.Read(content, contentType);

    internal static OciError ErrorOf(JsonException refused) => OciError.ManifestInvalid(refused.Message) with
    {
        Detail = refused.Path is null ? null : new JsonObject { ["member"] = refused.Path },
    };
}
