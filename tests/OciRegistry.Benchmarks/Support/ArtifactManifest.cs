using System.Text;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Image manifests with one config.</summary>
internal static class ArtifactManifest
{
    public const string MediaType = "application/vnd.oci.image.manifest.v1+json";

    /// <summary>The smallest: one layer.</summary>
    public static byte[] Of(Digest config, long configSize, Digest layer, long layerSize) =>
        Of(config, configSize, [(layer, layerSize)]);

    public static byte[] Of(Digest config, long configSize, IEnumerable<(Digest Digest, long Size)> layers, string more = "") =>
        Encoding.UTF8.GetBytes($$"""
            {
              "schemaVersion": 2,
              "mediaType": "{{MediaType}}",
              "config": {{Descriptor("config.v1+json", config, configSize)}},
              "layers": [{{string.Join(", ", layers.Select(layer => Descriptor("layer.v1.tar", layer.Digest, layer.Size)))}}]{{more}}
            }
            """);

    /// <summary>One that refers to a subject; the number tells it from others.</summary>
    public static byte[] OfReferrer(Digest subject, long subjectSize, Digest layer, long layerSize, int number)
    {
        var more = $$"""
            , "subject": {{Descriptor("manifest.v1+json", subject, subjectSize)}}, "annotations": { "number": "{{number}}" }
            """;
        return Of(layer, layerSize, [(layer, layerSize)], more);
    }

    private static string Descriptor(string type, Digest digest, long size) =>
        $$"""{ "mediaType": "application/vnd.oci.image.{{type}}", "digest": "{{digest}}", "size": {{size}} }""";
}
