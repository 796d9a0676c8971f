using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>Moving here from another registry.</summary>
public sealed class DistributionTests(PublishedServer server)
{
    [Fact]
    public async Task An_image_copied_from_a_docker_registry_keeps_its_digest()
    {
        await using var source = await DistributionRegistry.StartAsync();
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", $"docker://{source.Host}/old/server:v1");

        await skopeo.RunAsync(
            "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
            $"docker://{source.Host}/old/server:v1", $"docker://{registry.Host}/new/server:v1");

        (await registry.Http.DigestAsync("new/server", "v1")).ShouldBe(OciLayout.Digest(layout));
    }

    [Fact]
    public async Task A_docker_registry_is_moved_here_by_one_sync()
    {
        await using var source = await DistributionRegistry.StartAsync();
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        foreach (var tag in new[] { "v1", "v2", "latest" })
        {
            await skopeo.RunAsync(
                "copy", "--dest-tls-verify=false", $"oci:{layout}:v1", $"docker://{source.Host}/server:{tag}");
        }

        await skopeo.RunAsync(
            "sync", "--src=docker", "--dest=docker", "--src-tls-verify=false", "--dest-tls-verify=false",
            $"{source.Host}/server", $"{registry.Host}/moved");

        (await registry.Http.TagsAsync("moved/server")).ShouldBe(["latest", "v1", "v2"]);
        (await registry.Http.DigestAsync("moved/server", "latest")).ShouldBe(OciLayout.Digest(layout));
    }
}
