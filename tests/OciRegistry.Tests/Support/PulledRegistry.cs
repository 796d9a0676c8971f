using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.PullThrough;

namespace OciRegistry.Tests.Support;

/// <summary>A registry with one upstream: what it has as <c>x/y</c> is <c>up/x/y</c> here.</summary>
internal sealed class PulledRegistry : IAsyncDisposable
{
    public const string Prefix = "up";

    private PulledRegistry(FakeUpstream upstream, RegistryApp app) => (Upstream, App) = (upstream, app);

    public FakeUpstream Upstream { get; }

    public RegistryApp App { get; }

    public HttpClient Http => App.Http;

    public UpstreamTraffic Traffic => App.Services.GetRequiredService<Upstreams>().All[0].Traffic;

    public PulledBlobs Blobs => App.Services.GetRequiredService<PulledBlobs>();

    public static async Task<PulledRegistry> StartAsync(
        Action<UpstreamOptions>? upstream = null,
        Action<OciRegistryOptions>? options = null,
        TimeProvider? time = null,
        Action<IServiceCollection>? services = null,
        string? root = null,
        FakeUpstream? fake = null)
    {
        fake ??= await FakeUpstream.StartAsync();
        var app = await RegistryApp.StartAsync(
            all =>
            {
                var one = new UpstreamOptions { Prefix = Prefix, Url = fake.Url.AbsoluteUri };
                upstream?.Invoke(one);
                all.PullThrough.Upstreams.Add(one);
                options?.Invoke(all);
            },
            all =>
            {
                if (time is not null)
                {
                    all.Replace(ServiceDescriptor.Singleton(time));
                }

                services?.Invoke(all);
            },
            root);
        return new PulledRegistry(fake, app);
    }

    /// <summary>What its sweep does every hour.</summary>
    public ValueTask SweepAsync() => App.Services.GetRequiredService<PulledSweep>().SweepAsync(CancellationToken.None);

    /// <summary>Waits for the end of what is being fetched.</summary>
    public Task UntilIdleAsync() => Until.TrueAsync(() => !Blobs.Running.Any() && Traffic.Fetching == 0, "nothing is being fetched");

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        await Upstream.DisposeAsync();
    }
}
