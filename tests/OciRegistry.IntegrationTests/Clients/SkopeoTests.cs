using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class SkopeoTests(PublishedServer server)
{
    [Fact]
    public async Task An_image_copied_in_and_out_again_keeps_its_digest()
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        var image = $"docker://{registry.Host}/team/server:v1";

        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", image);
        await skopeo.RunAsync("copy", "--src-tls-verify=false", image, $"oci:{folder["out"]}:v1");

        var digest = OciLayout.Digest(layout);
        (await registry.Http.DigestAsync("team/server", "v1")).ShouldBe(digest);
        OciLayout.Digest(folder["out"]).ShouldBe(digest);
        OciLayout.Blobs(folder["out"]).ShouldBe(OciLayout.Blobs(layout));
    }

    [Fact]
    public async Task Inspect_and_list_tags_tell_what_is_stored()
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        foreach (var tag in new[] { "v1", "v2" })
        {
            await skopeo.RunAsync(
                "copy", "--dest-tls-verify=false", $"oci:{layout}:v1", $"docker://{registry.Host}/team/server:{tag}");
        }

        var inspected = JsonNode.Parse(
            await skopeo.RunAsync("inspect", "--tls-verify=false", $"docker://{registry.Host}/team/server:v1"))!;
        var listed = JsonNode.Parse(
            await skopeo.RunAsync("list-tags", "--tls-verify=false", $"docker://{registry.Host}/team/server"))!;

        ((string)inspected["Digest"]!).ShouldBe(OciLayout.Digest(layout));
        inspected["Layers"]!.AsArray().Count.ShouldBe(2);
        listed["Tags"]!.AsArray().Select(tag => (string)tag!).ShouldBe(["v1", "v2"]);
    }

    [Fact]
    public async Task A_repository_synced_to_a_folder_and_back_is_the_same()
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", $"docker://{registry.Host}/server:v1");

        await skopeo.RunAsync(
            "sync", "--src=docker", "--dest=dir", "--src-tls-verify=false", $"{registry.Host}/server", folder.Path);
        await skopeo.RunAsync(
            "sync", "--src=dir", "--dest=docker", "--dest-tls-verify=false", folder.Path, $"{registry.Host}/synced");

        (await registry.Http.TagsAsync("synced/server")).ShouldBe(["v1"]);
        (await registry.Http.DigestAsync("synced/server", "v1")).ShouldBe(OciLayout.Digest(layout));
    }

    [Fact]
    public async Task A_deleted_image_is_gone()
    {
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        var image = $"docker://{registry.Host}/team/server:v1";
        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", image);

        await skopeo.RunAsync("delete", "--tls-verify=false", image);

        await registry.Http.ShouldNotHaveAsync("team/server", "v1");
        (await registry.Http.TagsAsync("team/server")).ShouldBeEmpty();
        var pull = await skopeo.TryRunAsync("inspect", "--tls-verify=false", image);
        pull.ExitCode.ShouldNotBe(0);
        pull.Error.ShouldContain("manifest unknown");
    }
}
