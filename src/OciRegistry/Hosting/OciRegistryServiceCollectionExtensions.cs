using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using OciRegistry;
using OciRegistry.Auth;
using OciRegistry.Coordination;
using OciRegistry.Endpoints;
using OciRegistry.Hosting;
using OciRegistry.Operations;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Uploads;

namespace Microsoft.Extensions.DependencyInjection;

public static class OciRegistryServiceCollectionExtensions
{
    /// <summary>
    /// Adds a registry; <c>app.MapOciRegistry()</c> puts it on the air. On its own it stores in the folder <c>data</c> and
    /// locks within the process.
    /// </summary>
    public static IServiceCollection AddOciRegistry(
        this IServiceCollection services, Action<OciRegistryBuilder>? configure = null)
    {
        services.AddOptions<OciRegistryOptions>().ValidateOnStart();
        services.TryAddEnumerable(
            ServiceDescriptor.Singleton<IValidateOptions<OciRegistryOptions>, OciRegistryOptionsValidation>());
        services.TryAddSingleton<CurrentOptions>();
        services.TryAddSingleton<IOptions<OciRegistryOptions>>(static provider => provider.GetRequiredService<CurrentOptions>());
        services.AddRoutingCore();
        services.AddMetrics();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<MatcherPolicy, RepositoryRoutePolicy>());
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<RegistryMetrics>();
        services.TryAddSingleton<IRegistryLocks, InProcessLocks>();
        services.TryAddSingleton<StoreClock>();

        services.TryAddSingleton<RepositoryCatalog>();
        services.TryAddSingleton<CondemnedContent>();
        services.TryAddSingleton<RepositoryBlobs>();
        services.TryAddSingleton<TagStore>();
        services.TryAddSingleton<ReferredSubjects>();
        services.TryAddSingleton<ReferrerIndex>();
        services.TryAddSingleton<ManifestReferenceCheck>();
        services.TryAddSingleton<ReferencingManifests>();
        services.TryAddSingleton<ManifestDocuments>();
        services.TryAddSingleton<ManifestStore>();

        services.TryAddSingleton<UploadSessionDocuments>();
        services.TryAddSingleton<StagedHash>();
        services.TryAddSingleton<UploadCommit>();
        services.TryAddSingleton<UploadSessions>();
        services.TryAddSingleton<UploadExpiry>();
        services.AddHostedService<StorageStart>();
        services.AddHostedService<StoreClockService>();
        services.AddHostedService<UploadExpiryService>();

        services.TryAddSingleton<Upstreams>();
        services.TryAddSingleton<PulledRepositories>();
        services.TryAddSingleton<PulledParts>();
        services.TryAddSingleton<ResolvedTags>();
        services.TryAddSingleton<PulledEntries>();
        services.TryAddSingleton<RecentlyUnknown>();
        services.TryAddSingleton<PulledManifests>();
        services.TryAddSingleton<PulledBlobs>();
        services.TryAddSingleton<PulledTags>();
        services.TryAddSingleton<PulledReferrers>();
        services.TryAddSingleton<PushedParts>();
        services.TryAddSingleton<PushedOver>();
        services.TryAddSingleton<PulledDeletion>();
        services.TryAddSingleton<PulledSweep>();
        services.TryAddSingleton<Prefetch>();
        services.AddHostedService(static provider => provider.GetRequiredService<PulledBlobs>());
        services.AddHostedService<PulledSweepService>();
        services.AddHostedService<UpstreamFilesService>();

        services.TryAddSingleton<AuthFiles>();
        services.TryAddSingleton<FailedLogins>();
        services.TryAddSingleton(static provider => new LoginQueue(provider.GetRequiredService<FailedLogins>()));
        services.TryAddSingleton<Logins>();
        services.TryAddSingleton<RobotAccounts>();
        services.TryAddSingleton<SigningKeys>();
        services.TryAddSingleton<RegistryTokens>();
        services.TryAddSingleton<Issuers>();
        services.TryAddSingleton<ClientCertificates>();
        services.TryAddSingleton<RequestLimits>();
        services.TryAddSingleton<BufferedBodies>();
        services.TryAddSingleton<PolicyExplanation>();
        services.AddOptions<JwtBearerOptions>();
        services.AddSingleton<IConfigureOptions<JwtBearerOptions>, IssuerHandlers>();
        services.TryAddEnumerable(
            ServiceDescriptor.Singleton<IPostConfigureOptions<JwtBearerOptions>, JwtBearerPostConfigureOptions>());
        services.AddHostedService<AuthFilesService>();
        services.AddHostedService<SigningKeysService>();

        services.TryAddSingleton<Drain>();
        services.AddHostedService(static provider => provider.GetRequiredService<Drain>());
        services.TryAddSingleton<AuditLog>();
        services.TryAddSingleton<Identification>();
        services.TryAddSingleton<Refusals>();
        services.TryAddSingleton<AccessControl>();
        services.TryAddSingleton<TokenEndpoints>();
        services.AddCors();
        services.TryAddSingleton<RegistryRequest>();
        services.TryAddSingleton<InterimResponses>();
        services.TryAddSingleton<BlobEndpoints>();
        services.TryAddSingleton<ReferencedContent>();
        services.TryAddSingleton<UploadEndpoints>();
        services.TryAddSingleton<ManifestBody>();
        services.TryAddSingleton<AcceptFallback>();
        services.TryAddSingleton<ManifestEndpoints>();
        services.TryAddSingleton<ListEndpoints>();
        services.TryAddSingleton<ReferrerEndpoints>();
        services.TryAddSingleton(static provider => new Readiness(
            provider.GetService<IStorageProbe>(), provider.GetRequiredService<TimeProvider>()));
        services.TryAddSingleton<Health>();

        var builder = new OciRegistryBuilder(services);
        configure?.Invoke(builder);
        if (services.All(service => service.ServiceType != typeof(IDocumentStore)))
        {
            builder.UseFileSystem();
        }

        Measurement.Add(services);
        return services;
    }
}
