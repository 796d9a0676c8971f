namespace OciRegistry.IntegrationTests.Support;

/// <summary>podman and buildah on a store of their own, which goes with it.</summary>
internal sealed class ContainersTools : IAsyncDisposable
{
    private readonly TempFolder _folder = new();

    public Tool Podman => OnOwnStore("podman");

    public Tool Buildah => OnOwnStore("buildah");

    public string File(string name) => _folder[name];

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    private Tool OnOwnStore(string name)
    {
        var tool = Tool.Require(name);
        Tool.RequireRoot(name);
        return tool.With("--root", _folder["root"], "--runroot", _folder["run"], "--storage-driver", "overlay");
    }
}
