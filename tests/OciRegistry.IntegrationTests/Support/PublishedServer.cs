using OciRegistry.IntegrationTests.Support;

[assembly: AssemblyFixture(typeof(PublishedServer))]

namespace OciRegistry.IntegrationTests.Support;

/// <summary>The content of the tests' images: this registry itself, published once a run.</summary>
public sealed class PublishedServer : IAsyncDisposable
{
    private readonly TempFolder _folder = new();
    private readonly Lazy<Task<string>> _published;
    private readonly Lazy<Task<string>> _layout;

    public PublishedServer() => (_published, _layout) = (new(PublishAsync), new(MakeLayoutAsync));

    /// <summary>The folder of the published files.</summary>
    public Task<string> FolderAsync() => _published.Value;

    /// <summary>An OCI layout that holds <c>v1</c>: the published files and a second, small layer.</summary>
    public Task<string> LayoutAsync() => _layout.Value;

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    private async Task<string> PublishAsync()
    {
        var folder = _folder["published"];
        await Tool.Require("dotnet").RunAsync(
            "publish", Checkout.ServerProject, "--no-build", "--configuration", Checkout.Configuration,
            "-nodeReuse:false", "--output", folder);
        return folder;
    }

    private async Task<string> MakeLayoutAsync()
    {
        var published = await FolderAsync();
        var layout = _folder["layout"];
        string[] image = ["--image", $"{layout}:v1"];
        var umoci = Tool.Require("umoci");
        await umoci.RunAsync("init", "--layout", layout);
        await umoci.RunAsync(["new", .. image]);
        await umoci.RunAsync(["insert", "--rootless", .. image, published, "/app"]);
        await umoci.RunAsync(["insert", "--rootless", .. image, Checkout.Solution, "/doc/Registry.sln"]);
        await umoci.RunAsync(["config", .. image, "--os", "linux", "--architecture", "amd64"]);
        await umoci.RunAsync(["config", .. image, "--config.entrypoint", "/app/OciRegistry.Server"]);
        await umoci.RunAsync("gc", "--layout", layout);
        return layout;
    }
}
