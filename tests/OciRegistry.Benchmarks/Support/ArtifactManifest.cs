using System.Text;

namespace OciRegistry.Benchmarks.Support;

/// <summary>The smallest image manifest: one config, one layer.</summary>
internal static class ArtifactManifest
{
    public const string MediaType = "application/vnd.oci.image.manifest.v1+json";

    public static byte[] Of(Digest config, long configSize, Digest layer, long layerSize) => Encoding.UTF8.GetBytes($$"""
        {
          "schemaVersion": 2,
          "mediaType": "{{MediaType}}",
          "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": "{{config}}", "size": {{configSize}} },
          "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "{{layer}}", "size": {{layerSize}} }]
        }
        """);
}
