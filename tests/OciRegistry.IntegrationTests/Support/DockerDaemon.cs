namespace OciRegistry.IntegrationTests.Support;

/// <summary>A Docker engine on folders of its own, without network; <see cref="Docker"/> is the client that talks to it.</summary>
internal sealed class DockerDaemon : IAsyncDisposable
{
    private readonly BackgroundProcess _process;
    private readonly TempFolder _folder;

    private DockerDaemon(BackgroundProcess process, TempFolder folder, Tool docker) =>
        (_process, _folder, Docker) = (process, folder, docker);

    public Tool Docker { get; }

    /// <param name="options">Further options, such as <c>--registry-mirror=http://127.0.0.1:5001</c>.</param>
    public static async Task<DockerDaemon> StartAsync(params string[] options)
    {
        var (dockerd, docker) = (Tool.Require("dockerd"), Tool.Require("docker"));
        Tool.RequireRoot("dockerd");
        var folder = new TempFolder();
        var socket = $"unix://{folder["docker.sock"]}";
        var process = dockerd.WithVariable("HTTPS_PROXY", "http://127.0.0.1:1").Start( // nobody: it reaches this machine alone
        [
            "--host", socket, "--data-root", folder["data"], "--exec-root", folder["exec"], "--pidfile", folder["pid"],
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            .. options,
        ]);
        var daemon = new DockerDaemon(process, folder, docker
            .WithVariable("DOCKER_HOST", socket)
            .WithVariable("DOCKER_CONFIG", folder.Create("config"))
            .WithVariable("DOCKER_BUILDKIT", "0")); // BuildKit needs a plugin that Debian's package lacks
        try
        {
            await process.WaitUntilReadyAsync(async () => (await daemon.Docker.TryRunAsync("version")).ExitCode == 0);
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        await _folder.DisposeAsync();
    }
}
