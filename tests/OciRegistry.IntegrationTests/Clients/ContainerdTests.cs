using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class ContainerdTests(PublishedServer server)
{
    [Fact]
    public async Task An_imported_image_comes_back_as_it_was_pushed()
    {
        await using var daemon = await ContainerDaemon.StartAsync();
        var tar = Tool.Require("tar");
        var layout = await server.LayoutAsync();
        await using var registry = await ServerProcess.StartAsync();
        await using var folder = new TempFolder();
        var ctr = daemon.Ctr;
        var name = $"{registry.Host}/containerd/server";
        await tar.RunAsync("--create", "--directory", layout, "--file", folder["image.tar"], ".");
        await ctr.RunAsync("images", "import", "--digests", "--base-name", name, folder["image.tar"]);

        await ctr.RunAsync("images", "push", "--plain-http", $"{name}:v1");
        await ctr.RunAsync("images", "rm", "--sync", $"{name}:v1");
        await ctr.RunAsync("images", "pull", "--plain-http", $"{name}:v1");

        var digest = await registry.Http.DigestAsync("containerd/server", "v1");
        digest.ShouldBe(OciLayout.Digest(layout));
        (await ctr.RunAsync("images", "ls", $"name=={name}:v1")).ShouldContain(digest);
        await registry.Http.DeleteImageAsync("containerd/server", "v1");
        var pull = await ctr.TryRunAsync("images", "pull", "--plain-http", $"{name}:v1");
        pull.ExitCode.ShouldNotBe(0);
        pull.Error.ShouldContain("not found");
    }
}
