using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class DockerTests(PublishedServer server)
{
    [Fact]
    public async Task A_built_image_comes_back_as_it_was_pushed()
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var registry = await ServerProcess.StartAsync();
        var docker = daemon.Docker;
        var image = $"{registry.Host}/docker/server:v1";
        await BuildAsync(docker, image);

        await docker.RunAsync("push", "--quiet", image);
        var built = await docker.RunAsync("image", "inspect", "--format", "{{.Id}}", image);
        await docker.RunAsync("rmi", image);
        await docker.RunAsync("image", "prune", "--all", "--force");
        await docker.RunAsync("pull", "--quiet", image);

        var digest = await registry.Http.DigestAsync("docker/server", "v1");
        (await docker.RunAsync("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", image))
            .ShouldBe($"{registry.Host}/docker/server@{digest}");
        (await docker.RunAsync("image", "inspect", "--format", "{{.Id}}", image)).ShouldBe(built);
        await registry.Http.DeleteImageAsync("docker/server", "v1");
        var pull = await docker.TryRunAsync("pull", image);
        pull.ExitCode.ShouldNotBe(0);
        pull.Error.ShouldContain("manifest unknown");
    }

    [Fact]
    public async Task Layers_that_are_there_already_are_not_pushed_again()
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var registry = await ServerProcess.StartAsync();
        var docker = daemon.Docker;
        var image = $"{registry.Host}/docker/server:v1";
        await BuildAsync(docker, image);
        (await docker.RunAsync("push", image)).ShouldContain("Pushed");

        (await docker.RunAsync("push", image)).ShouldContain("Layer already exists");

        var copy = $"{registry.Host}/docker/copy:v1";
        await docker.RunAsync("tag", image, copy);
        (await docker.RunAsync("push", copy)).ShouldContain("Mounted from docker/server");
        (await registry.Http.DigestAsync("docker/copy", "v1"))
            .ShouldBe(await registry.Http.DigestAsync("docker/server", "v1"));
    }

    [Fact]
    public async Task An_image_pushed_by_docker_is_pulled_by_podman()
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var tools = new ContainersTools();
        var podman = tools.Podman;
        await using var registry = await ServerProcess.StartAsync();
        var image = $"{registry.Host}/docker/server:v1";
        await BuildAsync(daemon.Docker, image);
        await daemon.Docker.RunAsync("push", "--quiet", image);

        await podman.RunAsync("pull", "--quiet", "--tls-verify=false", image);

        (await podman.RunAsync("image", "inspect", "--format", "{{.Digest}}", image))
            .ShouldBe(await registry.Http.DigestAsync("docker/server", "v1"));
        ("sha256:" + await podman.RunAsync("image", "inspect", "--format", "{{.Id}}", image))
            .ShouldBe(await daemon.Docker.RunAsync("image", "inspect", "--format", "{{.Id}}", image));
    }

    private async Task BuildAsync(Tool docker, string image)
    {
        var content = await server.FolderAsync();
        await using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["Dockerfile"], """
            FROM scratch
            COPY . /app
            ENTRYPOINT ["/app/OciRegistry.Server"]
            """);
        await docker.RunAsync("build", "--quiet", "--file", folder["Dockerfile"], "--tag", image, content);
    }
}
