using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OciRegistry;
using OciRegistry.Coordination;
using OciRegistry.Endpoints;
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

    /// <summary>
    /// Maps <c>/admin/uploads</c>: the upload sessions there are (<c>GET</c>), one with its timeline
    /// (<c>GET /admin/uploads/{session}</c>), and ending one (<c>DELETE</c>). Answered on the machine itself only, which an
    /// application behind a proxy on the same machine must see to itself.
    /// </summary>
    public static RouteGroupBuilder MapOciRegistryAdmin(this IEndpointRouteBuilder endpoints)
    {
        var request = endpoints.ServiceProvider.GetRequiredService<RegistryRequest>();
        var view = ActivatorUtilities.CreateInstance<UploadsView>(endpoints.ServiceProvider);
        var admin = endpoints.MapGroup("/admin");
        Map("/uploads", Methods, RegistryAction.Pull, view.List);
        Map("/uploads/{session}", Methods, RegistryAction.Pull, view.Get);
        Map("/uploads/{session}", [HttpMethods.Delete], RegistryAction.Cancel, view.Abort);
        return admin;

        void Map(string pattern, string[] methods, RegistryAction action, RequestDelegate handle) =>
            admin.MapMethods(pattern, methods, context => request.InvokeAsync(
                context,
                "/admin" + pattern,
                action,
                [],
                here => UploadsView.IsFromHere(here) ? handle(here) : here.WriteErrorAsync(OciError.Denied(
                    "The operator's view is answered on the registry's own machine only, and not through a proxy."))));
    }
}
