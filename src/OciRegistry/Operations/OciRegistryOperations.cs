using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OciRegistry;
using OciRegistry.Coordination;
using OciRegistry.Operations;
using OciRegistry.Storage;

namespace Microsoft.AspNetCore.Builder;

public static class OciRegistryOperations
{
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>
    /// Maps <c>/livez</c>, <c>/readyz</c> and <c>/metrics</c>. They are open to anybody who reaches the port; restrict
    /// the returned group (<c>RequireHost</c>, <c>RequireAuthorization</c>) where that is too many.
    /// </summary>
    public static RouteGroupBuilder MapOciRegistryOperations(this IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        var readiness = new Readiness(
            services.GetService<IStorageProbe>(), services.GetService<TimeProvider>() ?? TimeProvider.System);
        var locks = services.GetRequiredService<IRegistryLocks>();
        var metrics = new PrometheusText(
            services.GetRequiredService<IMeterFactory>(), services.GetRequiredService<RegistryMetrics>());
        services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopped.Register(metrics.Dispose);

        var operations = endpoints.MapGroup("");
        operations.MapMethods("/livez", Methods, OperationsEndpoints.GetLive);
        operations.MapMethods("/readyz", Methods, context => OperationsEndpoints.GetReady(context, readiness, locks));
        operations.MapMethods("/metrics", Methods, context => OperationsEndpoints.GetMetrics(context, metrics));
        return operations;
    }
}
