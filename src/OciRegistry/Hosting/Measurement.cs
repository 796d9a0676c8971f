using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Coordination;
using OciRegistry.Storage;

namespace OciRegistry.Hosting;

/// <summary>Has the stores and locks of a registry measured, whichever they are: in one place for each contract.</summary>
internal static class Measurement
{
    /// <summary>The key of what is measured, among the services.</summary>
    public const string Inner = "OciRegistry.Unmeasured";

    private static readonly Func<IServiceProvider, object> Documents =
        services => new MeasuredDocumentStore(InnerOf<IDocumentStore>(services), Metrics(services));

    private static readonly Func<IServiceProvider, object> Blobs =
        services => new MeasuredBlobStore(InnerOf<IBlobStore>(services), Metrics(services));

    private static readonly Func<IServiceProvider, object> Uploads =
        services => new MeasuredUploadStore(InnerOf<IUploadStore>(services), Metrics(services));

    private static readonly Func<IServiceProvider, object> Locks =
        services => new MeasuredLocks(InnerOf<IRegistryLocks>(services), Metrics(services));

    public static void Add(IServiceCollection services)
    {
        Add(services, typeof(IDocumentStore), Documents);
        Add(services, typeof(IBlobStore), Blobs);
        Add(services, typeof(IUploadStore), Uploads);
        Add(services, typeof(IRegistryLocks), Locks);
    }

    // What is measured stays a service of the container, which disposes it.
    private static void Add(IServiceCollection services, Type service, Func<IServiceProvider, object> measured)
    {
        var inner = services.Last(descriptor => descriptor.ServiceType == service && !descriptor.IsKeyedService);
        if (inner.ImplementationFactory == measured)
        {
            return; // the registry was added before
        }

        services.Add(inner switch
        {
            { ImplementationInstance: { } instance } => new ServiceDescriptor(service, Inner, instance),
            { ImplementationFactory: { } factory } =>
                new ServiceDescriptor(service, Inner, (provider, _) => factory(provider), inner.Lifetime),
            _ => new ServiceDescriptor(service, Inner, inner.ImplementationType!, inner.Lifetime),
        });
        services.Replace(new ServiceDescriptor(service, measured, inner.Lifetime));
    }

    private static T InnerOf<T>(IServiceProvider services)
        where T : notnull => services.GetRequiredKeyedService<T>(Inner);

    private static RegistryMetrics Metrics(IServiceProvider services) => services.GetRequiredService<RegistryMetrics>();
}
