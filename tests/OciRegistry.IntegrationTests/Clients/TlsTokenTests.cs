using System.Text;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>
/// Clients over TLS with tokens, at a registry and at a cache of it, which has an account there. The image has no layers, and its
/// manifest says so with null, as docker's does.
/// </summary>
public sealed class TlsTokenTests : IAsyncLifetime
{
    private const string Cached = "team/up";

    private readonly TempFolder _folder = new();
    private Accounts _accounts = null!;
    private ServerProcess _origin = null!;
    private ServerProcess _cache = null!;
    private string _digest = null!;

    private string Authority => _folder["server.pem"];

    private string Origin => _origin.Tls!.Authority;

    private string Cache => _cache.Tls!.Authority;

    public async ValueTask InitializeAsync()
    {
        var (certificate, key) = await TestCertificate.WriteAsync(_folder.Path);
        File.Copy(certificate, Path.Combine(_folder.Create("certs"), "ca.crt"));
        _accounts = await Accounts.CreateAsync();
        string[] settings =
        [
            .. _accounts.Settings(Login.Tokens),
            $"Kestrel:Certificates:Default:Path={certificate}", $"Kestrel:Certificates:Default:KeyPath={key}",
        ];
        _origin = await ServerProcess.StartAsync(settings);
        _cache = await ServerProcess.StartAsync(
        [
            .. settings,
            $"OciRegistry:PullThrough:Upstreams:0:Prefix={Cached}", $"OciRegistry:PullThrough:Upstreams:0:Url={_origin.Tls}",
            $"OciRegistry:PullThrough:Upstreams:0:CertificateAuthority={certificate}",
            $"OciRegistry:PullThrough:Upstreams:0:Username={Accounts.Alice.Name}",
            $"OciRegistry:PullThrough:Upstreams:0:Password={Accounts.Alice.Password}",
        ]);
        _digest = await PushLayerlessAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _cache.DisposeAsync();
        await _origin.DisposeAsync();
        await _accounts.DisposeAsync();
        await _folder.DisposeAsync();
    }

    [Fact]
    public async Task Skopeo_copies_from_the_cache_to_the_registry()
    {
        await Tool.Require("skopeo").RunAsync(
            "copy", "--preserve-digests", "--src-cert-dir", _folder["certs"], "--dest-cert-dir", _folder["certs"],
            "--src-creds", Accounts.Bob.Pair, "--dest-creds", Accounts.Alice.Pair,
            $"docker://{Cache}/{Cached}/team/empty:v1", $"docker://{Origin}/team/copy:v1");

        await ShouldHaveCopyAsync();
    }

    [Fact]
    public async Task Podman_pulls_from_the_cache_and_pushes_to_the_registry()
    {
        await using var tools = new ContainersTools();
        string[] remote = ["--cert-dir", _folder["certs"], "--authfile", tools.File("auth.json")];
        foreach (var host in new[] { Cache, Origin })
        {
            await tools.Podman.RunAsync(["login", .. remote, "--username", Accounts.Alice.Name, "--password", Accounts.Alice.Password, host]);
        }

        await tools.Podman.RunAsync(["pull", "--quiet", .. remote, $"{Cache}/{Cached}/team/empty:v1"]);
        await tools.Podman.RunAsync(["push", .. remote, $"{Cache}/{Cached}/team/empty:v1", $"{Origin}/team/copy:v1"]);

        await ShouldHaveCopyAsync(isSame: false);
    }

    [Fact]
    public async Task Docker_pushes_to_the_registry_and_pulls_from_the_cache()
    {
        await using var daemon = await DockerDaemon.StartAsync();
        var docker = daemon.Docker;
        await File.WriteAllTextAsync(Path.Combine(_folder.Create("context"), "Dockerfile"), "FROM scratch\nLABEL a=b\n");
        await docker.RunAsync("build", "--quiet", "--tag", $"{Origin}/team/copy:v1", _folder["context"]);
        foreach (var host in new[] { Cache, Origin })
        {
            await docker.RunAsync("login", "--username", Accounts.Alice.Name, "--password", Accounts.Alice.Password, host);
        }

        await docker.RunAsync("push", $"{Origin}/team/copy:v1");
        await docker.RunAsync("rmi", $"{Origin}/team/copy:v1");
        await docker.RunAsync("pull", "--quiet", $"{Cache}/{Cached}/team/copy:v1");

        await ShouldHaveCopyAsync(isSame: false);
    }

    [Fact]
    public async Task Crane_copies_from_the_cache_to_the_registry()
    {
        var crane = Tool.Require("crane").WithVariable("SSL_CERT_FILE", Authority).WithVariable("DOCKER_CONFIG", _folder.Create("config"));
        foreach (var host in new[] { Cache, Origin })
        {
            await crane.RunAsync("auth", "login", host, "--username", Accounts.Alice.Name, "--password", Accounts.Alice.Password);
        }

        await crane.RunAsync("copy", $"{Cache}/{Cached}/team/empty:v1", $"{Origin}/team/copy:v1");

        (await crane.RunAsync("digest", $"{Cache}/{Cached}/team/empty:v1")).ShouldBe(_digest);
        await ShouldHaveCopyAsync();
    }

    [Fact]
    public async Task Oras_copies_from_the_cache_to_the_registry()
    {
        await Tool.Require("oras").RunAsync(
            "cp", "--no-tty", "--from-ca-file", Authority, "--to-ca-file", Authority,
            "--from-username", Accounts.Bob.Name, "--from-password", Accounts.Bob.Password,
            "--to-username", Accounts.Alice.Name, "--to-password", Accounts.Alice.Password,
            $"{Cache}/{Cached}/team/empty:v1", $"{Origin}/team/copy:v1");

        await ShouldHaveCopyAsync();
    }

    [Fact]
    public async Task Containerd_is_mirrored_by_its_hosts_file()
    {
        await using var daemon = await ContainerDaemon.StartAsync();
        await File.WriteAllTextAsync(Path.Combine(_folder.Create("hosts/" + Origin), "hosts.toml"), $"""
            server = "https://upstream.invalid"

            [host."https://{Cache}"]
              capabilities = ["pull", "resolve"]
              ca = "{Authority}"
            """);
        var image = $"{Origin}/team/empty:v1";

        await daemon.Ctr.RunAsync("content", "fetch", "--hosts-dir", _folder["hosts"], "--user", Accounts.Bob.Pair, image);

        (await daemon.Ctr.RunAsync("content", "ls", "--quiet")).ShouldContain(_digest);
        (await daemon.Ctr.RunAsync("images", "ls", $"name=={image}")).ShouldContain(_digest);
    }

    [Fact]
    public async Task Jib_skips_the_image_that_the_registry_has()
    {
        var config = RegistryClient.RandomBytes(100);
        byte[][] layers = [RegistryClient.RandomBytes(300_000), []];
        var manifest = RegistryClient.ImageManifest(config, layers);
        var client = new RetryingClient(() => _origin.Tls!, "team/jib") { User = Accounts.Alice, BaseRepository = "team/empty" };

        await client.LogInAsync();
        (await client.HasManifestAsync(manifest)).ShouldBeFalse();
        await Task.WhenAll(layers.Append(config).Select(blob => client.PushAsync(blob)));
        await client.PutManifestAsync("v1", manifest);

        (await client.HasManifestAsync(manifest)).ShouldBeTrue();
        client.Repeated.ShouldBe(0);
        using var http = await OfOriginAsync("team/jib");
        using var pulled = await http.GetManifestAsync("team/jib", "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    /// <summary>Its base image and what it makes have layers: an SDK makes no other.</summary>
    [Fact]
    public async Task The_SDK_publishes_on_a_base_of_the_cache_to_the_registry()
    {
        var layout = _folder["layout"];
        await OciLayout.CreateAsync(layout, "v1", (Checkout.Solution, "/file"));
        await Tool.Require("skopeo").RunAsync(
            "copy", "--dest-cert-dir", _folder["certs"], "--dest-creds", Accounts.Alice.Pair,
            $"oci:{layout}:v1", $"docker://{Origin}/team/base:1.0");

        await Tool.Require("dotnet")
            .WithVariable("DOTNET_CONTAINER_PULL_REGISTRY_UNAME", Accounts.Alice.Name)
            .WithVariable("DOTNET_CONTAINER_PULL_REGISTRY_PWORD", Accounts.Alice.Password)
            .WithVariable("DOTNET_CONTAINER_PUSH_REGISTRY_UNAME", Accounts.Alice.Name)
            .WithVariable("DOTNET_CONTAINER_PUSH_REGISTRY_PWORD", Accounts.Alice.Password)
            .WithVariable("SSL_CERT_DIR", $"/etc/ssl/certs:{_folder["certs"]}")
            .RunAsync(
                "publish", Checkout.ServerProject, "--no-build", "--configuration", Checkout.Configuration,
                "-nodeReuse:false", "-t:PublishContainer", $"-p:PublishDir={_folder["publish"]}/",
                "-p:ContainerRuntimeIdentifier=linux-x64", $"-p:ContainerBaseImage={Cache}/{Cached}/team/base:1.0",
                $"-p:ContainerRegistry={Origin}", "-p:ContainerRepository=team/server", "-p:ContainerImageTag=v1");

        using var http = await OfOriginAsync("team/server");
        (await http.ManifestAsync("team/server", "v1")).LayerDigests.Length.ShouldBe(2);
    }

    private async Task<string> PushLayerlessAsync()
    {
        using var http = await OfOriginAsync("team/empty");
        var config = """{"architecture":"amd64","os":"linux","config":{"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":[]}}"""u8.ToArray();
        await http.PushBlobAsync("team/empty", config);
        var manifest = Encoding.UTF8.GetBytes(
            $$"""{"schemaVersion":2,"mediaType":"{{MediaTypes.ImageManifest}}","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{{Digest.Of(config)}}","size":{{config.Length}}},"layers":null}""");
        using var pushed = await http.PutManifestAsync("team/empty", "v1", manifest);
        await pushed.ShouldHaveStatusAsync(System.Net.HttpStatusCode.Created);
        return Digest.Of(manifest).ToString();
    }

    private async Task ShouldHaveCopyAsync(bool isSame = true)
    {
        using var http = await OfOriginAsync("team/copy");
        var copy = await http.ManifestAsync("team/copy", "v1");
        copy.LayerDigests.ShouldBeEmpty();
        if (isSame)
        {
            copy.Digest.ShouldBe(_digest);
        }
    }

    private async Task<HttpClient> OfOriginAsync(string repository)
    {
        var http = WireProtocol.Http2OverTls.Client(_origin.Tls!);
        http.DefaultRequestHeaders.Authorization = await Accounts.Alice.TokenAsync(http, $"repository:{repository}:pull,push");
        return http;
    }
}
