using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using OciRegistry.Server;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Tests.Support;

/// <summary>
/// A registry embedded as an application would, on the program's transport: real Kestrel on a free loopback port, real
/// files in a folder of its own, which is deleted with it unless it was handed in.
/// </summary>
internal sealed class RegistryApp : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly bool _ownsRoot;

    private RegistryApp(WebApplication app, string root, bool ownsRoot, LogCapture log)
    {
        (_app, Root, _ownsRoot, Log) = (app, root, ownsRoot, log);
        Url = new Uri(app.Services.GetRequiredService<IServer>().Features
            .Get<IServerAddressesFeature>()!.Addresses.Single());
        Http = RegistryClient.To(Url);
    }

    public Uri Url { get; }

    /// <summary>The folder that the registry stores in.</summary>
    public string Root { get; }

    public HttpClient Http { get; }

    public IServiceProvider Services => _app.Services;

    /// <summary>What the registry has logged, warnings and worse.</summary>
    public LogCapture Log { get; }

    public static async Task<RegistryApp> StartAsync(
        Action<OciRegistryOptions>? options = null,
        Action<IServiceCollection>? services = null,
        string? root = null,
        Action<WebApplicationBuilder>? host = null)
    {
        var folder = root ?? Directory.CreateTempSubdirectory("oci-registry-").FullName;
        var log = new LogCapture();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(log);
        builder.Services.AddOciRegistry(registry =>
        {
            registry.UseFileSystem(folder);
            registry.Configure(open => open.Operations.Admin = true); // tests look through it at registries without logins
            if (options is not null)
            {
                registry.Configure(options);
            }
        });
        RegistryTransport.Configure(builder);
        builder.Services.Replace(ServiceDescriptor.Singleton<IStoreTime>(TimeOfStorage));
        services?.Invoke(builder.Services);
        host?.Invoke(builder);
        var app = builder.Build();
        app.MapOciRegistry();
        app.MapOciRegistryOperations();
        app.MapOciRegistryAdmin();
        await app.StartAsync();
        return new RegistryApp(app, folder, root is null, log);
    }

    /// <summary>Tells it to stop, as the host does on SIGTERM; done when it has.</summary>
    /// <param name="hostTime">Cancelled when the host waits no longer.</param>
    public Task StopAsync(CancellationToken hostTime = default) => _app.StopAsync(hostTime);

    /// <summary>The folder's clock; where a test has time of its own, its storage has the same.</summary>
    private static IStoreTime TimeOfStorage(IServiceProvider provider) =>
        provider.GetRequiredService<TimeProvider>() is var time && time == TimeProvider.System
            ? new FileSystemTime(provider.GetRequiredService<FileSystemRoot>())
            : new StoreTimeOf(time);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        if (_ownsRoot)
        {
            Directory.Delete(Root, recursive: true);
        }
    }
}
