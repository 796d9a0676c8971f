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
        await OciLayout.CreateAsync(layout, "v1", (published, "/app"), (Checkout.Solution, "/doc/Registry.sln"));
        var umoci = Tool.Require("umoci");
        await umoci.RunAsync("config", "--image", $"{layout}:v1", "--config.entrypoint", "/app/OciRegistry.Server");
        await umoci.RunAsync("gc", "--layout", layout);
        return layout;
    }
}
