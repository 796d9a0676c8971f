using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>What ORAS sends and asks, request by request, with each answer checked.</summary>
public sealed class ArtifactTests(PublishedServer server)
{
    private const string Sbom = "application/vnd.example.sbom.v1";
    private const string Signature = "application/vnd.example.signature.v1";
    private const string EmptyMediaType = "application/vnd.oci.empty.v1+json";
    private static readonly byte[] Empty = "{}"u8.ToArray();

    [Fact]
    public async Task Artifacts_attached_to_an_image_are_its_referrers()
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        var image = $"docker://{registry.Host}/team/server:v1";
        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", image);
        var subject = await registry.Http.DigestAsync("team/server", "v1");

        var sbom = await AttachAsync(registry.Http, subject, Sbom);
        var signature = await AttachAsync(registry.Http, subject, Signature);

        (await ReferrersAsync(registry.Http, subject)).ShouldBe([sbom, signature], ignoreOrder: true);
        (await ReferrersAsync(registry.Http, subject, Sbom)).ShouldBe([sbom]);
        (await ReferrersAsync(registry.Http, subject, "application/vnd.example.other")).ShouldBeEmpty();
        (await registry.Http.TagsAsync("team/server")).ShouldBe(["v1"]); // no fallback tag: nobody needs it here

        using var deleted = await registry.Http.DeleteAsync($"/v2/team/server/manifests/{sbom}");
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await ReferrersAsync(registry.Http, subject)).ShouldBe([signature]);
        (await skopeo.RunAsync("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image)).ShouldBe(subject);
    }

    /// <summary>Pushes config, file and manifest as <c>oras attach</c> does; the answer must name the subject.</summary>
    private static async Task<string> AttachAsync(HttpClient http, string subject, string artifactType)
    {
        var file = Encoding.UTF8.GetBytes($"content of {artifactType}");
        await http.PushBlobAsync("team/server", Empty);
        await http.PushBlobAsync("team/server", file);
        var size = (await http.GetByteArrayAsync(new Uri($"/v2/team/server/manifests/{subject}", UriKind.Relative))).Length;
        var manifest = Encoding.UTF8.GetBytes(new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.ImageManifest,
            ["artifactType"] = artifactType,
            ["config"] = RegistryClient.Describe(Empty, EmptyMediaType),
            ["layers"] = new JsonArray(RegistryClient.Describe(file, artifactType)),
            ["subject"] = new JsonObject
            {
                ["mediaType"] = MediaTypes.ImageManifest,
                ["digest"] = subject,
                ["size"] = size,
            },
        }.ToJsonString());
        var digest = Digest.Of(manifest).ToString();
        using var response = await http.PutManifestAsync("team/server", digest, manifest);
        response.StatusCode.ShouldBe(HttpStatusCode.Created);
        response.Header("OCI-Subject").ShouldBe(subject);
        return digest;
    }

    private static async Task<string[]> ReferrersAsync(HttpClient http, string subject, string? artifactType = null)
    {
        var filter = artifactType is null ? "" : $"?artifactType={Uri.EscapeDataString(artifactType)}";
        using var response = await http.GetAsync(new Uri($"/v2/team/server/referrers/{subject}{filter}", UriKind.Relative));
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Header("OCI-Filters-Applied").ShouldBe(artifactType is null ? null : "artifactType");
        var index = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        return [.. index["manifests"]!.AsArray().Select(manifest => (string)manifest!["digest"]!)];
    }
}
