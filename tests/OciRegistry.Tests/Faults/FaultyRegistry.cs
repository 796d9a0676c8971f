using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Coordination;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Faults;

/// <summary>A registry whose stores fail by plan and whose locks are counted.</summary>
internal sealed class FaultyRegistry : IAsyncDisposable
{
    private readonly RegistryApp _app;

    private FaultyRegistry(RegistryApp app, FaultPlan plan) => (_app, Plan) = (app, plan);

    public FaultPlan Plan { get; }

    public HttpClient Http => _app.Http;

    public Uri Url => _app.Url;

    public LogCapture Log => _app.Log;

    public TestLocks Locks => (TestLocks)_app.Services.GetRequiredService<IRegistryLocks>();

    public FileSystemRoot Root => _app.Services.GetRequiredService<FileSystemRoot>();

    public IDocumentStore Documents => _app.Services.GetRequiredService<IDocumentStore>();

    public UploadSessionDocuments Sessions => _app.Services.GetRequiredService<UploadSessionDocuments>();

    public RepositoryBlobs Blobs => _app.Services.GetRequiredService<RepositoryBlobs>();

    public PulledSweep PulledSweep => _app.Services.GetRequiredService<PulledSweep>();

    public PulledBlobs PulledBlobs => _app.Services.GetRequiredService<PulledBlobs>();

    public CondemnedContent Condemned => _app.Services.GetRequiredService<CondemnedContent>();

    public static async Task<FaultyRegistry> StartAsync(
        Locks locks = Faults.Locks.Granted,
        Action<UploadOptions>? uploads = null,
        TimeProvider? time = null,
        string? root = null,
        WeakStorage? weak = null,
        IRegistryLocks? lockService = null,
        IStartupFilter? filter = null,
        Action<OciRegistryOptions>? settings = null,
        Action<IServiceCollection>? services = null)
    {
        var plan = new FaultPlan { Weak = weak };
        var app = await RegistryApp.StartAsync(
            options =>
            {
                options.Uploads.OrderWait = TimeSpan.FromSeconds(1);
                options.Uploads.FenceWait = TimeSpan.FromMilliseconds(100);
                options.Uploads.CommitWait = TimeSpan.FromMilliseconds(300);
                uploads?.Invoke(options.Uploads);
                settings?.Invoke(options);
            },
            all =>
            {
                services?.Invoke(all);
                if (filter is not null)
                {
                    all.AddSingleton(filter);
                }

                if (time is not null)
                {
                    all.Replace(ServiceDescriptor.Singleton(time));
                }

                Decorate<IDocumentStore>(all, inner => new FaultyDocumentStore(inner, plan));
                Decorate<IUploadStore>(all, inner =>
                {
                    var faulty = new FaultyUploadStore(inner, plan);
                    return BlockStaging.IsWanted ? new BlockStaging(faulty) : faulty;
                });
                Decorate<IBlobStore>(all, inner => new FaultyBlobStore(inner, plan));
                Decorate<IRegistryLocks>(all, inner => new TestLocks(lockService ?? inner, locks));
            },
            root);
        return new FaultyRegistry(app, plan);
    }

    /// <summary>A whole sweep that begins now: the registry's own may be running, because time was advanced.</summary>
    public Task SweepAsync() => Until.TrueAsync(
        () => _app.Services.GetRequiredService<UploadExpiry>().SweepAsync(CancellationToken.None).AsTask(), "nobody sweeps");

    public async Task<UploadSession?> SessionAsync(string location) =>
        (await Sessions.ReadAsync(SessionOf(location), CancellationToken.None))?.Session;

    public static UploadSessionId SessionOf(string location) =>
        UploadSessionId.TryParse(location.Split('?')[0].Split('/')[^1], out var id)
            ? id
            : throw new FormatException($"'{location}' names no session.");

    /// <summary>Every file below the root that belongs to an upload: staged bytes, session documents, temporary files.</summary>
    public List<string> UploadFiles() =>
    [
        .. FilesIn(Root.Staged), .. FilesIn(Root.Folder(RegistryLayout.Uploads)), .. FilesIn(Root.Temporary),
    ];

    public List<string> BlobFiles() => FilesIn(Root.Blobs);

    /// <summary>What readers see is named by what it is.</summary>
    public void AssertBlobsAreWhole()
    {
        foreach (var file in BlobFiles())
        {
            var algorithm = Path.GetRelativePath(Root.Blobs, file).Split('/')[0];
            var digest = Digest.Parse($"{algorithm}:{Path.GetFileName(file)}");
            Digest.Of(File.ReadAllBytes(file), digest.Algorithm).ShouldBe(digest);
        }
    }

    public Task AssertNoLockIsHeldAsync() => Until.TrueAsync(() => Locks.Held == 0, "no lock is held");

    public async ValueTask DisposeAsync()
    {
        Plan.ReleaseAll();
        await _app.DisposeAsync();
    }

    private static List<string> FilesIn(string folder) => Directory.Exists(folder)
        ? [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)]
        : [];

    private static void Decorate<T>(IServiceCollection services, Func<T, T> decorate)
        where T : class
    {
        // What is measured; the faults stand before it, where the registry meets them.
        var measured = services.Last(service => service.ServiceType == typeof(T) && !service.IsKeyedService).ImplementationFactory!;
        services.Replace(ServiceDescriptor.Singleton<T>(provider => decorate((T)measured(provider))));
    }
}
