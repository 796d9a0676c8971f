namespace OciRegistry.IntegrationTests.Support;

/// <summary>A containerd on folders of its own; <see cref="Ctr"/> is the client that talks to it.</summary>
internal sealed class ContainerDaemon : IAsyncDisposable
{
    private readonly BackgroundProcess _process;
    private readonly TempFolder _folder;

    private ContainerDaemon(BackgroundProcess process, TempFolder folder, Tool ctr) =>
        (_process, _folder, Ctr) = (process, folder, ctr);

    public Tool Ctr { get; }

    public static async Task<ContainerDaemon> StartAsync()
    {
        var (containerd, ctr) = (Tool.Require("containerd"), Tool.Require("ctr"));
        Tool.RequireRoot("containerd");
        var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["config.toml"], $"""
            version = 2
            root = "{folder["root"]}"
            state = "{folder["state"]}"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
            [grpc]
              address = "{folder["sock"]}"
            [ttrpc]
              address = "{folder["ttrpc"]}"
            """);
        var process = containerd.Start("--config", folder["config.toml"]);
        var daemon = new ContainerDaemon(process, folder, ctr.With("--address", folder["sock"]));
        try
        {
            await process.WaitUntilReadyAsync(async () => (await daemon.Ctr.TryRunAsync("version")).ExitCode == 0);
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
