using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Image;

/// <summary>The registry as an image: published into the registry, pulled from it, and run as Kubernetes would.</summary>
public sealed class ContainerImageTests
{
    [Fact]
    public async Task The_image_is_published_into_a_running_registry_and_runs_without_root_on_a_file_system_that_it_cannot_write()
    {
        var (dotnet, skopeo) = (Tool.Require("dotnet"), Tool.Require("skopeo"));
        Tool.Require("runc");
        await using var folder = new TempFolder();
        await using var registry = await ServerProcess.StartAsync();
        await DotnetBaseImage.PushAsync(registry, "dotnet/aspnet", "10.0", folder);

        await dotnet.WithVariable("DOTNET_CONTAINER_INSECURE_REGISTRIES", registry.Host).RunAsync(
            "publish", Checkout.ServerProject, "--configuration", "Release", "-t:PublishContainer", "-nodeReuse:false",
            $"-p:ArtifactsPath={folder["artifacts"]}", // beside the build that other tests run
            "-p:ContainerRuntimeIdentifiers=\"linux-x64;linux-arm64\"", $"-p:ContainerBaseImage={registry.Host}/dotnet/aspnet:10.0",
            $"-p:ContainerRegistry={registry.Host}", "-p:ContainerImageTag=v1");

        var index = await GetAsync($"/v2/oci-registry/manifests/v1");
        index["manifests"]!.AsArray().Select(child => (string)child!["platform"]!["architecture"]!).ShouldBe(["amd64", "arm64"], ignoreOrder: true);
        foreach (var child in index["manifests"]!.AsArray())
        {
            await ShouldBeAsMeantAsync(await GetAsync($"/v2/oci-registry/manifests/{child!["digest"]}"), (string)child["platform"]!["architecture"]!);
        }

        await skopeo.RunAsync(
            "--override-arch", "amd64", "copy", "--src-tls-verify=false", $"docker://{registry.Host}/oci-registry:v1", $"oci:{folder["pulled"]}:v1");
        var port = FreePort.Next();
        var data = folder.Create("data");
        await Tool.Require("chown").RunAsync("1654:1654", data);
        var bundle = (await OciBundle.UnpackAsync(folder["pulled"], "v1", folder["bundle"]))
            .WithTemporaryFolder("/tmp").WithFolder(data, "/app/data")
            .WithVariable("ASPNETCORE_URLS", $"http://127.0.0.1:{port}");
        ((int)bundle.Process["user"]!["uid"]!).ShouldBe(1654);
        await using var container = bundle.Runnable().Start();
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        await container.WaitUntilReadyAsync(() => http.AnswersAsync(new Uri("/readyz", UriKind.Relative)));

        await skopeo.RunAsync(
            "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
            $"docker://{registry.Host}/oci-registry:v1", $"docker://127.0.0.1:{port}/itself:v1");

        (await http.DigestAsync("itself", "v1")).ShouldBe(await registry.Http.DigestAsync("oci-registry", "v1"));
        container.Log.ShouldContain("Storing in /app/data");
        container.Log.ShouldNotContain("warn:");
        (await container.EndAsync()).ShouldBe(0, container.Log);

        async Task<JsonNode> GetAsync(string path) => JsonNode.Parse(await registry.Http.GetStringAsync(new Uri(path, UriKind.Relative)))!;

        async Task ShouldBeAsMeantAsync(JsonNode manifest, string architecture)
        {
            var layers = manifest["layers"]!.AsArray();
            var own = (long)layers[^1]!["size"]!;
            TestContext.Current.TestOutputHelper!.WriteLine(
                $"{architecture}: {own / 1e6:0.0} MB compressed above the base, which here has {(layers.Sum(layer => (long)layer!["size"]!) - own) / 1e6:0.0} MB");
            own.ShouldBeLessThan(15_000_000);
            var image = await GetAsync($"/v2/oci-registry/blobs/{manifest["config"]!["digest"]}");
            ((string)image["architecture"]!).ShouldBe(architecture);
            var config = image["config"]!;
            ((string)config["User"]!).ShouldBe("1654");
            config["Entrypoint"]!.AsArray().Select(part => (string)part!).ShouldBe(["/app/OciRegistry.Server"]);
            config["ExposedPorts"]!.AsObject().ShouldContain(port => port.Key == "8080/tcp");
            config["Env"]!.AsArray().Select(part => (string)part!).ShouldContain("ASPNETCORE_HTTP_PORTS=8080");
            var labels = config["Labels"]!.AsObject();
            ((string?)labels["org.opencontainers.image.title"]).ShouldBe("oci-registry");
            ((string?)labels["org.opencontainers.image.version"]).ShouldBe("0.1.0");
            ((string?)labels["org.opencontainers.image.description"]).ShouldStartWith("A container registry with uploads");
            ((string)labels["org.opencontainers.image.base.digest"]!).ShouldMatch("^sha256:[0-9a-f]{64}$");
            labels.ShouldNotContain(label => label.Key.EndsWith(".created", StringComparison.Ordinal)); // which the SDK would cut off
        }
    }
}
