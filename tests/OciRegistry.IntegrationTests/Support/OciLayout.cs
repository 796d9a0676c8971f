using System.Text.Json.Nodes;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A folder in the OCI image layout.</summary>
internal static class OciLayout
{
    /// <summary>Makes one with an image for linux/amd64, which has a layer for each file or folder.</summary>
    public static async Task CreateAsync(string layout, string tag, params (string Source, string Target)[] layers)
    {
        var umoci = Tool.Require("umoci");
        string[] image = ["--image", $"{layout}:{tag}"];
        await umoci.RunAsync("init", "--layout", layout);
        await umoci.RunAsync(["new", .. image]);
        foreach (var (source, target) in layers)
        {
            await umoci.RunAsync(["insert", "--rootless", .. image, source, target]);
        }

        await umoci.RunAsync(["config", .. image, "--os", "linux", "--architecture", "amd64"]);
    }

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
