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

        await PublishAsync(
            dotnet.WithVariable("DOTNET_CONTAINER_DEBUG_REGISTRY_FORCE_CHUNKED_UPLOAD", chunked ? "true" : "false"),
            folder, registry, "base/files:1.0", "apps/server");
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
    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task A_container_is_published_by_who_may_push_it(Login login)
    {
        var dotnet = Tool.Require("dotnet");
        var skopeo = Tool.Require("skopeo");
        var layout = await server.LayoutAsync();
        await using var folder = new TempFolder();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        await skopeo.RunAsync(
            "copy", "--dest-tls-verify=false", "--dest-creds", Accounts.Alice.Pair,
            $"oci:{layout}:v1", $"docker://{registry.Host}/team/base:1.0");

        await PublishAsync(
            dotnet
                .WithVariable("DOTNET_CONTAINER_REGISTRY_UNAME", Accounts.Alice.Name)
                .WithVariable("DOTNET_CONTAINER_REGISTRY_PWORD", Accounts.Alice.Password),
            folder, registry, "team/base:1.0", "team/server");

        await Accounts.Alice.SignInAsync(registry, login, "team/server");
        (await registry.Http.ManifestAsync("team/server", "v1")).LayerDigests.Length.ShouldBe(3);
    }

    private static Task<string> PublishAsync(
        Tool dotnet, TempFolder folder, ServerProcess registry, string baseImage, string repository) => dotnet
        .WithVariable("DOTNET_CONTAINER_INSECURE_REGISTRIES", registry.Host)
        .RunAsync(
            "publish", Checkout.ServerProject, "--no-build", "--configuration", Checkout.Configuration,
            "-nodeReuse:false", "-t:PublishContainer", $"-p:PublishDir={folder["publish"]}/",
            "-p:ContainerRuntimeIdentifier=linux-x64", $"-p:ContainerBaseImage={registry.Host}/{baseImage}",
            $"-p:ContainerRegistry={registry.Host}", $"-p:ContainerRepository={repository}", "-p:ContainerImageTag=v1");
}
