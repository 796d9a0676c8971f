using System.Text.Json.Nodes;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>What a folder in the OCI image layout holds.</summary>
internal static class OciLayout
{
    /// <summary>The digest of its only image.</summary>
    public static string Digest(string layout)
    {
        var index = JsonNode.Parse(File.ReadAllText(Path.Combine(layout, "index.json")))!;
        return (string)index["manifests"]!.AsArray().ShouldHaveSingleItem()!["digest"]!;
    }

    public static string[] Blobs(string layout) =>
        [.. Directory.EnumerateFiles(Path.Combine(layout, "blobs", "sha256"))
            .Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
}
