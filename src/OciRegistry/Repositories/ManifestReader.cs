using System.Text.Json;

namespace OciRegistry.Repositories;

/// <summary>
/// Image manifests and indexes by the image-spec (manifest.md, image-index.md, descriptor.md), and docker's two types
/// of the same shape. Members that are not read here may be anything.
/// </summary>
internal static class ManifestReader
{
    private const int MaxDescriptors = 100_000;

    private static readonly string[] ManifestMembers =
        ["schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"];

    private static readonly string[] DescriptorMembers =
        ["mediaType", "digest", "size", "data", "platform", "annotations"];

    /// <exception cref="JsonException">The manifest is refused; message and path are for who pushes it.</exception>
    public static Manifest Read(JsonElement root, string? contentType)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new JsonException("A manifest is a JSON object.");
        }

        var self = new JsonMember(root, "");
        self.RefuseLookalikes(ManifestMembers);
        var declared = ManifestMediaType.Declared(contentType, self.Find("mediaType")?.Text());
        RequireSchemaVersion2(self);
        var mediaType = declared ?? ManifestMediaType.Inferred(self);
        ManifestMediaType.RefuseMembersOfOtherTypes(self, mediaType);

        var unstorable = new List<OciError>();
        var manifest = MediaTypes.IsIndex(mediaType) ? ReadIndex(self, mediaType, unstorable) : ReadImage(self, mediaType, unstorable);
        return manifest with
        {
            Unstorable = unstorable,
            Subject = self.Find("subject") is { } subject ? ReadDescriptor(subject, []).Digest : null,
            ArtifactType = self.Find("artifactType")?.Text() is { Length: > 0 } own ? own : manifest.ArtifactType,
            Annotations = self.Find("annotations")?.Texts(),
        };
    }

    private static void RequireSchemaVersion2(JsonMember manifest)
    {
        var version = manifest.Get("schemaVersion");
        if (!version.IsInteger(out var number))
        {
            throw version.Refused("must be the number 2.");
        }

        if (number != 2)
        {
            throw version.Refused(number == 1 ? ManifestMediaType.Schema1Refused : $"is {number}; it must be 2.");
        }
    }

    private static Manifest ReadImage(JsonMember manifest, string mediaType, List<OciError> unstorable)
    {
        var config = ReadDescriptor(manifest.Get("config"), unstorable);
        var blobs = new DescriptorSet();
        blobs.Add(config, manifest.Get("config"));
        foreach (var member in manifest.Items("layers", MaxDescriptors))
        {
            var layer = ReadDescriptor(member, unstorable);
            if (!MediaTypes.IsNondistributable(layer.MediaType))
            {
                blobs.Add(layer, member);
            }
        }

        return new Manifest
        {
            MediaType = mediaType,
            Blobs = blobs.ToList(),
            Manifests = [],
            ArtifactType = config.MediaType,
        };
    }

    private static Manifest ReadIndex(JsonMember index, string mediaType, List<OciError> unstorable)
    {
        var manifests = new DescriptorSet();
        foreach (var member in index.Items("manifests", MaxDescriptors))
        {
            manifests.Add(ReadDescriptor(member, unstorable), member);
        }

        return new Manifest { MediaType = mediaType, Blobs = [], Manifests = manifests.ToList() };
    }

    private static Named ReadDescriptor(JsonMember descriptor, List<OciError> unstorable)
    {
        descriptor.RequireObject("a descriptor");
        descriptor.RefuseLookalikes(DescriptorMembers);

        var mediaType = descriptor.Get("mediaType").Text();
        if (mediaType.Length == 0)
        {
            throw descriptor.Get("mediaType").Refused("must not be empty.");
        }

        var digest = ReadDigest(descriptor.Get("digest"));

        if (!descriptor.Get("size").IsInteger(out var size) || size < 0)
        {
            throw descriptor.Get("size").Refused($"must be a whole number of bytes, from 0 to {long.MaxValue}.");
        }

        if (descriptor.Find("data") is { } data)
        {
            RequireContent(data, digest, size);
        }

        descriptor.Find("platform")?.RequireObject("an object");
        descriptor.Find("annotations")?.Texts();
        if (digest is null && !HasUrls(descriptor))
        {
            unstorable.Add(Manifest.ErrorOf(descriptor.Get("digest").Refused(
                $"is '{JsonMember.Shortened(descriptor.Get("digest").Text())}'; this registry stores content by sha256 and sha512 only.")));
        }

        return new Named(mediaType, digest, size);
    }

    /// <summary>Null for an algorithm that this registry does not know: such a digest may be named, but is no content here.</summary>
    private static Digest? ReadDigest(JsonMember member)
    {
        var text = member.Text();
        return Digest.TryParse(text, out var digest) ? digest
            : Digest.IsOfUnknownAlgorithm(text) ? null
            : throw member.Refused($"is '{JsonMember.Shortened(text)}'. {OciError.DigestGrammar}");
    }

    // image-spec, descriptor.md: "a list of URIs from which this object MAY be downloaded".
    private static bool HasUrls(JsonMember descriptor) =>
        descriptor.Find("urls") is { Value: { ValueKind: JsonValueKind.Array } list } && list.GetArrayLength() > 0;

    // image-spec, descriptor.md: data is the content itself, "base64 encoded", and "MUST match" digest and size.
    private static void RequireContent(JsonMember data, Digest? digest, long size)
    {
        var content = data.Base64();
        if (content.Length != size)
        {
            throw data.Refused($"has {content.Length} bytes, but the descriptor's size is {size}.");
        }

        if (digest is { } known && Digest.Of(content, known.Algorithm) is var actual && actual != known)
        {
            throw data.Refused($"has the digest {actual}, but the descriptor's digest is {digest}.");
        }
    }

    /// <summary>What a descriptor names; the digest is null when its algorithm is unknown.</summary>
    private readonly record struct Named(string MediaType, Digest? Digest, long Size);

    /// <summary>Those whose digest is known, distinct by it, in the order of the manifest.</summary>
    private sealed class DescriptorSet
    {
        private readonly OrderedDictionary<Digest, Descriptor> _descriptors = [];

        public void Add(Named descriptor, JsonMember member)
        {
            if (descriptor.Digest is not { } digest)
            {
                return;
            }

            if (_descriptors.TryGetValue(digest, out var same) && same.Size != descriptor.Size)
            {
                throw member.Get("size").Refused(
                    $"is {descriptor.Size}, but another descriptor of the same digest has size {same.Size}.");
            }

            _descriptors.TryAdd(digest, new Descriptor(descriptor.MediaType, digest, descriptor.Size));
        }

        public IReadOnlyList<Descriptor> ToList() => [.. _descriptors.Values];
    }
}
