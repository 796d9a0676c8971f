using System.Formats.Tar;
using System.Text;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.PullThrough;

/// <summary>
/// Clients that are told to take images of another registry from here, by the files that the README shows. That registry has a
/// name that no machine has, so that there is no other way; and they pull again when it is gone.
/// </summary>
public sealed class MirrorClientTests
{
    private const string Name = "upstream.invalid";
    private const string Image = $"{Name}/library/app:v1";

    [Fact]
    public async Task Containerd_takes_them_from_here_by_its_hosts_file()
    {
        await using var daemon = await ContainerDaemon.StartAsync();
        await using var upstream = await FakeUpstream.StartAsync();
        var digest = AddImage(upstream);
        await using var registry = await ServerProcess.StartAsync(
        [
            .. Settings(upstream), $"OciRegistry:PullThrough:Upstreams:0:Namespaces:0={Name}",
            "Logging:LogLevel:Microsoft.AspNetCore.Hosting.Diagnostics=Information",
        ]);
        await using var folder = new TempFolder();
        await File.WriteAllTextAsync(
            Path.Combine(folder.Create(Name), "hosts.toml"),
            await Readme.FileAsync(
                "/etc/containerd/certs.d/docker.io/hosts.toml",
                ("registry-1.docker.io", Name), ("https://registry.example.com", $"http://{registry.Host}")));

        await PullAsync();
        await upstream.DisposeAsync();
        await PullAsync();

        await registry.UntilLoggedAsync($"/v2/library/app/manifests/v1?ns={Name}");
        await registry.UntilLoggedAsync($"/v2/library/app/manifests/{digest}?ns={Name}");

        async Task PullAsync()
        {
            await daemon.Ctr.RunAsync("images", "pull", "--hosts-dir", folder.Path, Image);
            (await daemon.Ctr.RunAsync("images", "ls", $"name=={Image}")).ShouldContain(digest);
            await daemon.Ctr.RunAsync("images", "rm", "--sync", Image);
            await daemon.Ctr.RunAsync("content", "prune", "references"); // also what was unpacked: nothing is left of it
        }
    }

    [Theory]
    [InlineData("podman")]
    [InlineData("buildah")]
    public async Task Podman_and_buildah_take_them_from_here_by_registries_conf(string name)
    {
        await using var tools = new ContainersTools();
        var tool = name == "podman" ? tools.Podman : tools.Buildah;
        await using var upstream = await FakeUpstream.StartAsync();
        var digest = AddImage(upstream);
        await using var registry = await ServerProcess.StartAsync(Settings(upstream));
        var mirrored = tool.WithVariable("CONTAINERS_REGISTRIES_CONF", await RegistriesConfAsync(tools.File("registries.conf"), registry));

        await PullAsync();
        await upstream.DisposeAsync();
        await PullAsync();

        async Task PullAsync()
        {
            var id = await mirrored.RunAsync("pull", "--quiet", Image);
            (await mirrored.RunAsync("images", "--digests", "--format", "{{.Digest}}")).ShouldContain(digest);
            await mirrored.RunAsync("rmi", "--force", id);
        }
    }

    [Fact]
    public async Task Skopeo_takes_them_from_here_by_registries_conf()
    {
        var skopeo = Tool.Require("skopeo");
        await using var folder = new TempFolder();
        await using var upstream = await FakeUpstream.StartAsync();
        var digest = AddImage(upstream);
        await using var registry = await ServerProcess.StartAsync(Settings(upstream));
        var mirrored = skopeo.With("--registries-conf", await RegistriesConfAsync(folder["registries.conf"], registry));

        await mirrored.RunAsync("copy", "--all", "--preserve-digests", $"docker://{Image}", $"oci:{folder["first"]}:v1");
        await upstream.DisposeAsync();
        await mirrored.RunAsync("copy", "--all", "--preserve-digests", $"docker://{Image}", $"oci:{folder["second"]}:v1");

        OciLayout.Digest(folder["first"]).ShouldBe(digest);
        OciLayout.Digest(folder["second"]).ShouldBe(digest);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("*")]
    public async Task Dockerd_takes_those_of_docker_io_from_here_by_a_name_that_is_for_them_alone(string host)
    {
        // It says nowhere that it means docker.io, and reaches nothing beyond this machine.
        int[] ports = [FreePort.Next(), FreePort.Next()];
        await using var folder = new TempFolder();
        await File.WriteAllTextAsync(
            folder["daemon.json"],
            await Readme.FileAsync(
                "/etc/docker/daemon.json", ("https://registry.example.com:5001", $"http://127.0.0.1:{ports[1]}")));
        await using var daemon = await DockerDaemon.StartAsync("--config-file", folder["daemon.json"]);
        await using var upstream = await FakeUpstream.StartAsync();
        var digest = AddImage(upstream);
        await using var registry = await ServerProcess.StartAtAsync(
            ports,
            [
                .. Settings(upstream), "OciRegistry:PullThrough:Upstreams:0:Namespaces:0=docker.io",
                $"OciRegistry:PullThrough:Upstreams:0:MirrorHosts:0={host}:{ports[1]}",
            ]);
        var docker = daemon.Docker;

        await PullAsync();
        await upstream.DisposeAsync();
        await PullAsync();

        // Its other name has our own images.
        await registry.Http.PushImageAsync("library/app", "v1");
        (await registry.Http.DigestAsync("library/app", "v1")).ShouldNotBe(digest);
        await PullAsync();

        async Task PullAsync()
        {
            await docker.RunAsync("pull", "--quiet", "library/app:v1");
            (await docker.RunAsync("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", "library/app:v1"))
                .ShouldBe($"app@{digest}");
            await docker.RunAsync("rmi", "--force", "library/app:v1");
        }
    }

    /// <summary>An index of one image with two layers that can be unpacked; returns the digest of the index.</summary>
    private static string AddImage(FakeUpstream upstream)
    {
        var image = upstream.AddImage("library/app", "amd64", Layer("first.txt", 3_000_000), Layer("second.txt", 1_000));
        return upstream.AddIndex("library/app", "v1", image.Digest).ToString();
    }

    private static byte[] Layer(string file, int length)
    {
        using var tar = new MemoryStream();
        using (var writer = new TarWriter(tar, leaveOpen: true))
        {
            using var content = new MemoryStream(Encoding.ASCII.GetBytes(Convert.ToHexString(RegistryClient.RandomBytes(length / 2))));
            writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, file) { DataStream = content });
        }

        return tar.ToArray();
    }

    private static string[] Settings(FakeUpstream upstream) =>
    [
        "OciRegistry:PullThrough:Upstreams:0:Prefix=up", $"OciRegistry:PullThrough:Upstreams:0:Url={upstream.Url}",
        "OciRegistry:PullThrough:Upstreams:0:TagTtl=00:00:00", // so that the stopped one is asked, and old content is served
    ];

    private static async Task<string> RegistriesConfAsync(string file, ServerProcess registry)
    {
        var text = await Readme.FileAsync(
            "/etc/containers/registries.conf",
            ("\"docker.io\"", $"\"{Name}\""), ("registry.example.com/docker.io", $"{registry.Host}/up"));
        await File.WriteAllTextAsync(file, text + "insecure = true\n");
        return file;
    }
}
