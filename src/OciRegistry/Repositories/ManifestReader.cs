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

        var manifest = MediaTypes.IsIndex(mediaType) ? ReadIndex(self, mediaType) : ReadImage(self, mediaType);
        return manifest with
        {
            Subject = self.Find("subject") is { } subject ? ReadDescriptor(subject).Digest : null,
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

    private static Manifest ReadImage(JsonMember manifest, string mediaType)
    {
        var config = ReadDescriptor(manifest.Get("config"));
        var blobs = new DescriptorSet();
        blobs.Add(config, manifest.Get("config"));
        foreach (var member in Descriptors(manifest.Get("layers")))
        {
            var layer = ReadDescriptor(member);
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

    private static Manifest ReadIndex(JsonMember index, string mediaType)
    {
        var manifests = new DescriptorSet();
        foreach (var member in Descriptors(index.Get("manifests")))
        {
            manifests.Add(ReadDescriptor(member), member);
        }

        return new Manifest { MediaType = mediaType, Blobs = [], Manifests = manifests.ToList() };
    }

    private static IEnumerable<JsonMember> Descriptors(JsonMember list)
    {
        var length = list.ArrayLength();
        return length <= MaxDescriptors
            ? list.Items()
            : throw list.Refused($"has {length} descriptors; this registry takes up to {MaxDescriptors}.");
    }

    private static Descriptor ReadDescriptor(JsonMember descriptor)
    {
        descriptor.RequireObject("a descriptor");
        descriptor.RefuseLookalikes(DescriptorMembers);

        var mediaType = descriptor.Get("mediaType").Text();
        if (mediaType.Length == 0)
        {
            throw descriptor.Get("mediaType").Refused("must not be empty.");
        }

        var digestText = descriptor.Get("digest").Text();
        if (!Digest.TryParse(digestText, out var digest))
        {
            throw descriptor.Get("digest").Refused(
                $"is '{JsonMember.Shortened(digestText)}'. {OciError.DigestGrammar}");
        }

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
        return new Descriptor(mediaType, digest, size);
    }

    // image-spec, descriptor.md: data is the content itself, "base64 encoded", and "MUST match" digest and size.
    private static void RequireContent(JsonMember data, Digest digest, long size)
    {
        var content = data.Base64();
        if (content.Length != size)
        {
            throw data.Refused($"has {content.Length} bytes, but the descriptor's size is {size}.");
        }

        var actual = Digest.Of(content, digest.Algorithm);
        if (actual != digest)
        {
            throw data.Refused($"has the digest {actual}, but the descriptor's digest is {digest}.");
        }
    }

    /// <summary>Distinct by digest, in the order of the manifest.</summary>
    private sealed class DescriptorSet
    {
        private readonly OrderedDictionary<Digest, Descriptor> _descriptors = [];

        public void Add(Descriptor descriptor, JsonMember member)
        {
            if (_descriptors.TryGetValue(descriptor.Digest, out var same) && same.Size != descriptor.Size)
            {
                throw member.Get("size").Refused(
                    $"is {descriptor.Size}, but another descriptor of the same digest has size {same.Size}.");
            }

            _descriptors.TryAdd(descriptor.Digest, descriptor);
        }

        public IReadOnlyList<Descriptor> ToList() => [.. _descriptors.Values];
    }
}
