namespace OciRegistry;

/// <summary>What a manifest says of something it refers to (image-spec, descriptor.md). Size in bytes.</summary>
public sealed record Descriptor(string MediaType, Digest Digest, long Size)
{
    /// <summary>For referrers: the manifest's type, by the rule of end-12a.</summary>
    public string? ArtifactType { get; init; }

    public IReadOnlyDictionary<string, string>? Annotations { get; init; }
}
