using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// What stands for Microsoft's image <c>dotnet/aspnet</c>, which is not to be had here: this machine's own framework, and the
/// libraries that it needs, under the paths that they have there.
/// </summary>
internal static class DotnetBaseImage
{
    private static readonly string[] Architectures = ["amd64", "arm64"];
    private static readonly string[] Parts = ["host", "shared"];
    private static readonly string[] ByName = ["libssl.so.3", "libcrypto.so.3"];

    /// <summary>Pushes it for both architectures. The one for arm64 has the same files, and is for publishing only.</summary>
    public static async Task PushAsync(ServerProcess registry, string repository, string tag, TempFolder folder)
    {
        var (umoci, skopeo) = (Tool.Require("umoci"), Tool.Require("skopeo"));
        var framework = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "../../.."));
        var libraries = await CopyLibrariesAsync(framework, folder.Create("libraries"));
        var layout = folder["base"];
        await OciLayout.CreateAsync(
            layout,
            "amd64",
            [
                .. Parts.Select(part => (Path.Combine(framework, part), $"/usr/share/dotnet/{part}")),
                .. Directory.GetDirectories(libraries).Select(part => (part, $"/{Path.GetFileName(part)}")),
            ]);
        foreach (var architecture in Architectures.Reverse())
        {
            await umoci.RunAsync(
                "config", "--image", $"{layout}:amd64", "--tag", architecture, "--os", "linux", "--architecture", architecture);
            await skopeo.RunAsync(
                "copy", "--dest-tls-verify=false", $"oci:{layout}:{architecture}", $"docker://{registry.Host}/{repository}:{architecture}");
        }

        var children = new List<JsonObject>();
        foreach (var architecture in Architectures)
        {
            var manifest = await registry.Http.GetByteArrayAsync(new Uri($"/v2/{repository}/manifests/{architecture}", UriKind.Relative));
            var child = RegistryClient.Describe(manifest, MediaTypes.ImageManifest);
            child["platform"] = new JsonObject { ["os"] = "linux", ["architecture"] = architecture };
            children.Add(child);
        }

        using var put = await registry.Http.PutManifestAsync(repository, tag, RegistryClient.ImageIndex(children), MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    /// <summary>What the framework's own libraries are linked with, and OpenSSL, which it loads by name.</summary>
    private static async Task<string> CopyLibrariesAsync(string framework, string target)
    {
        var known = await Tool.Require("/sbin/ldconfig").RunAsync("-p");
        string[] loaded =
        [
            .. ByName.Select(name => known.Split('\n')
                .First(line => line.Contains(name, StringComparison.Ordinal)).Split("=> ")[1].Trim()),
        ];
        var linked = await Tool.Require("ldd").TryRunAsync(
            [.. Directory.EnumerateFiles(framework, "*.so", SearchOption.AllDirectories), .. loaded]);
        var paths = linked.Output.Split([' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Where(word => word.StartsWith("/lib", StringComparison.Ordinal) && File.Exists(word))
            .Concat(loaded).Distinct();
        foreach (var path in paths)
        {
            var copy = Path.Combine(target, path.TrimStart('/'));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(path, copy, overwrite: true);
        }

        return target;
    }
}
