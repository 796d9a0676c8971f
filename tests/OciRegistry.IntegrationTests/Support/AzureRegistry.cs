using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Azure;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A replica over a container, in the test's own process: its clock and its sweeps are the test's.</summary>
internal sealed class AzureRegistry : IAsyncDisposable
{
    private readonly RegistryApp _app;

    private AzureRegistry(RegistryApp app, ManualTimeProvider? time) => (_app, Time) = (app, time);

    public HttpClient Http => _app.Http;

    /// <summary>The replica's clock, where the test drives it: a call to the storage times out only when that passes.</summary>
    public ManualTimeProvider? Time { get; }

    public RepositoryBlobs Blobs => _app.Services.GetRequiredService<RepositoryBlobs>();

    public CondemnedContent Condemned => _app.Services.GetRequiredService<CondemnedContent>();

    public IDocumentStore Documents => _app.Services.GetRequiredService<IDocumentStore>();

    /// <param name="storage">The container.</param>
    /// <param name="connectionString">How it is reached; null for directly.</param>
    /// <param name="time">Its clock; null for the machine's.</param>
    public static async Task<AzureRegistry> StartAsync(
        AzureStorage storage, string? connectionString = null, ManualTimeProvider? time = null)
    {
        void Configure(AzureBlobsOptions options)
        {
            options.ConnectionString = connectionString ?? storage.Options.ConnectionString;
            options.Container = storage.Options.Container;
        }

        var app = await RegistryApp.StartAsync(
            options =>
            {
                options.Uploads.SweepInterval = TimeSpan.FromDays(1);
                options.PullThrough.SweepInterval = TimeSpan.FromDays(1);
            },
            services =>
            {
                if (time is not null)
                {
                    services.Replace(ServiceDescriptor.Singleton<TimeProvider>(time));
                }
            },
            host: builder => builder.Services.AddOciRegistry(registry => registry.UseAzureBlobs(Configure)));
        return new AzureRegistry(app, time);
    }

    /// <summary>Takes the blob out of the repository and marks its content for removal, if that was the last link.</summary>
    public async Task ExpireAsync(string repository, Digest digest)
    {
        await Blobs.UnlinkAsync(RepositoryName.Parse(repository), digest, default);
        await Condemned.CondemnAsync(digest, default);
    }

    /// <summary>Removes what is marked; how much that was.</summary>
    public Task<int> SweepAsync() => Task.Run(() => Condemned.SweepAsync(TimeSpan.Zero, default).AsTask());

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
