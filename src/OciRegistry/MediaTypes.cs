namespace OciRegistry;

/// <summary>The media types that this registry gives a meaning to; any other content is opaque.</summary>
public static class MediaTypes
{
    public const string ImageManifest = "application/vnd.oci.image.manifest.v1+json";
    public const string ImageIndex = "application/vnd.oci.image.index.v1+json";
    public const string DockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
    public const string DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
    public const string OctetStream = "application/octet-stream";

    /// <summary>Layers of these types live at their <c>urls</c> and need not be in the registry.</summary>
    public static bool IsNondistributable(string mediaType) =>
        mediaType.StartsWith("application/vnd.oci.image.layer.nondistributable.", StringComparison.Ordinal)
        || mediaType.StartsWith("application/vnd.docker.image.rootfs.foreign.", StringComparison.Ordinal);

    public static bool IsImage(string mediaType) => mediaType is ImageManifest or DockerManifest;

    public static bool IsIndex(string mediaType) => mediaType is ImageIndex or DockerManifestList;

    internal static bool IsManifest(string mediaType) => IsImage(mediaType) || IsIndex(mediaType);
}
