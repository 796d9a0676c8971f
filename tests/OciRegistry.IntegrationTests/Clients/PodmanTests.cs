using System.Text.Json.Nodes;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class PodmanTests(PublishedServer server)
{
    [Fact]
    public async Task A_built_image_comes_back_as_it_was_pushed()
    {
        await using var tools = new ContainersTools();
        var podman = tools.Podman;
        await using var registry = await ServerProcess.StartAsync();
        var image = $"{registry.Host}/podman/server:v1";
        await BuildAsync(podman, $"--tag={image}");

        await podman.RunAsync("push", "--tls-verify=false", "--digestfile", tools.File("digest"), image);
        var built = await podman.RunAsync("image", "inspect", "--format", "{{.Id}}", image);
        await podman.RunAsync("rmi", "--force", image);
        await podman.RunAsync("pull", "--quiet", "--tls-verify=false", image);

        var pushed = await File.ReadAllTextAsync(tools.File("digest"));
        (await registry.Http.DigestAsync("podman/server", "v1")).ShouldBe(pushed);
        (await podman.RunAsync("image", "inspect", "--format", "{{.Digest}}", image)).ShouldBe(pushed);
        (await podman.RunAsync("image", "inspect", "--format", "{{.Id}}", image)).ShouldBe(built);
        await registry.Http.DeleteImageAsync("podman/server", "v1");
        var pull = await podman.TryRunAsync("pull", "--tls-verify=false", image);
        pull.ExitCode.ShouldNotBe(0);
        pull.Error.ShouldContain("manifest unknown");
    }

    [Fact]
    public async Task Search_finds_repositories_and_tags()
    {
        await using var tools = new ContainersTools();
        var podman = tools.Podman;
        await using var registry = await ServerProcess.StartAsync();
        var image = $"{registry.Host}/podman/server:v1";
        await BuildAsync(podman, $"--tag={image}");
        await podman.RunAsync("push", "--tls-verify=false", image);

        var tags = await podman.RunAsync(
            "search", "--tls-verify=false", "--list-tags", $"{registry.Host}/podman/server");
        var repositories = await podman.RunAsync(
            "search", "--tls-verify=false", "--format", "{{.Name}}", $"{registry.Host}/podman");

        tags.Split(['\n', ' '], StringSplitOptions.RemoveEmptyEntries)
            .ShouldBe(["NAME", "TAG", $"{registry.Host}/podman/server", "v1"]);
        repositories.ShouldBe($"{registry.Host}/podman/server");
    }

    [Fact]
    public async Task A_manifest_list_of_two_platforms_is_pushed_whole_and_pulled_by_platform()
    {
        await using var tools = new ContainersTools();
        var podman = tools.Podman;
        var skopeo = Tool.Require("skopeo");
        await using var registry = await ServerProcess.StartAsync();
        var list = $"{registry.Host}/podman/list:v1";
        await BuildAsync(podman, "--platform=linux/amd64,linux/arm64", $"--manifest={list}");

        await podman.RunAsync("manifest", "push", "--all", "--tls-verify=false", list, $"docker://{list}");

        var stored = await registry.Http.ManifestAsync("podman/list", "v1");
        stored.PlatformsInOrder.ShouldBe(["linux/amd64", "linux/arm64"]);
        await podman.RunAsync("rmi", "--all", "--force");
        await podman.RunAsync("pull", "--quiet", "--tls-verify=false", "--platform", "linux/arm64", list);
        (await podman.RunAsync("image", "inspect", "--format", "{{.Architecture}}", list)).ShouldBe("arm64");

        await skopeo.RunAsync(
            "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
            $"docker://{list}", $"docker://{registry.Host}/other/list:v1");
        (await registry.Http.DigestAsync("other/list", "v1")).ShouldBe(stored.Digest);
        await registry.Http.DeleteImageAsync("podman/list", "v1");
    }

    [Fact]
    public async Task An_image_of_buildah_comes_back_as_it_was_pushed()
    {
        await using var tools = new ContainersTools();
        var buildah = tools.Buildah;
        await using var registry = await ServerProcess.StartAsync();
        var image = $"{registry.Host}/buildah/server:v1";
        var container = await buildah.RunAsync("from", "scratch");
        await buildah.RunAsync("copy", "--quiet", container, await server.FolderAsync(), "/app");
        await buildah.RunAsync("commit", "--quiet", container, image);

        await buildah.RunAsync("push", "--tls-verify=false", "--digestfile", tools.File("digest"), image);
        await buildah.RunAsync("rmi", "--force", image);
        await buildah.RunAsync("pull", "--quiet", "--tls-verify=false", image);

        var pushed = await File.ReadAllTextAsync(tools.File("digest"));
        var images = JsonNode.Parse(await buildah.RunAsync("images", "--json"))!.AsArray();
        (await registry.Http.DigestAsync("buildah/server", "v1")).ShouldBe(pushed);
        images.Select(pulled => (string)pulled!["digest"]!).ShouldBe([pushed]);
    }

    private async Task BuildAsync(Tool podman, params string[] options)
    {
        var content = await server.FolderAsync();
        await using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["Containerfile"], """
            FROM scratch
            COPY . /app
            ENTRYPOINT ["/app/OciRegistry.Server"]
            """);
        await podman.RunAsync(
            ["build", "--quiet", "--no-cache", "--isolation=chroot", "--file", folder["Containerfile"], .. options, content]);
    }
}
