using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary><c>dotnet publish -t:PublishContainer</c>: no daemon, base image and result in the same registry.</summary>
public sealed class DotnetPublishTests(PublishedServer server)
{
    [Theory]
    [InlineData(false)] // each layer in one PATCH
    [InlineData(true)] // in chunks of 64 KiB without Content-Range
    public async Task A_container_published_by_the_SDK_is_pulled_on_top_of_its_base(bool chunked)
    {
        var dotnet = Tool.Require("dotnet");
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", $"docker://{registry.Host}/base/files:1.0");

        await dotnet
            .WithVariable("DOTNET_CONTAINER_INSECURE_REGISTRIES", registry.Host)
            .WithVariable("DOTNET_CONTAINER_DEBUG_REGISTRY_FORCE_CHUNKED_UPLOAD", chunked ? "true" : "false")
            .RunAsync(
                "publish", Checkout.ServerProject, "--no-build", "--configuration", Checkout.Configuration,
                "-nodeReuse:false", "-t:PublishContainer", $"-p:PublishDir={folder["publish"]}/",
                "-p:ContainerRuntimeIdentifier=linux-x64", $"-p:ContainerBaseImage={registry.Host}/base/files:1.0",
                $"-p:ContainerRegistry={registry.Host}", "-p:ContainerRepository=apps/server", "-p:ContainerImageTag=v1");
        await skopeo.RunAsync(
            "copy", "--src-tls-verify=false", $"docker://{registry.Host}/apps/server:v1", $"oci:{folder["out"]}:v1");

        var image = await registry.Http.ManifestAsync("apps/server", "v1");
        var baseImage = await registry.Http.ManifestAsync("base/files", "1.0");
        image.LayerDigests.Length.ShouldBe(baseImage.LayerDigests.Length + 1);
        image.LayerDigests.ShouldBe([.. baseImage.LayerDigests, image.LayerDigests[^1]]);
        OciLayout.Digest(folder["out"]).ShouldBe(image.Digest);
        (await registry.Http.TagsAsync("apps/server")).ShouldBe(["v1"]);
        await registry.Http.DeleteImageAsync("apps/server", "v1");
    }
}
