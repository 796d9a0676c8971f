using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Net.Http.Headers;
using OciRegistry;
using OciRegistry.Endpoints;
using OciRegistry.Operations;

namespace Microsoft.AspNetCore.Builder;

public static class OciRegistryOperations
{
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>
    /// Maps <c>/livez</c>, <c>/readyz</c>, <c>/startupz</c> and <c>/metrics</c>. They are open to anybody who reaches the port; restrict
    /// the returned group (<c>RequireHost</c>, <c>RequireAuthorization</c>) where that is too many.
    /// </summary>
    public static RouteGroupBuilder MapOciRegistryOperations(this IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        var health = services.GetRequiredService<Health>();
        var metrics = services.GetRequiredService<RegistryMetrics>();
        var text = new PrometheusText(services.GetRequiredService<IMeterFactory>(), metrics);
        var lifetime = services.GetRequiredService<IHostApplicationLifetime>();
        lifetime.ApplicationStopped.Register(text.Dispose);

        var operations = endpoints.MapGroup("");
        operations.MapMethods("/livez", Methods, OperationsEndpoints.GetLive);
        operations.MapMethods("/readyz", Methods, health.GetReady);
        operations.MapMethods("/startupz", Methods, context => OperationsEndpoints.GetStarted(context, lifetime));
        operations.MapMethods("/metrics", Methods, context => OperationsEndpoints.GetMetrics(context, text));
        return operations;
    }

    /// <summary>
    /// Maps the admin API: the upload sessions there are (<c>GET /admin/uploads</c>), one with its timeline
    /// (<c>GET /admin/uploads/{session}</c>), and ending one (<c>DELETE</c>); robot accounts (<c>GET</c> and <c>POST
    /// /admin/robots</c>, <c>DELETE /admin/robots/{name}</c>); which rule decides (<c>GET /admin/explain</c>); how the upstreams
    /// are (<c>GET /admin/upstreams</c>), what is wrong with which component (<c>GET /admin/health</c>), and fetching images ahead of their
    /// pulls (<c>POST /admin/prefetch</c>). The first three are for subjects with the action <c>admin</c>, for the repositories in which
    /// they have it; the others for operators, who have it in <c>**</c>. In an open registry all of it is off unless
    /// <see cref="OperationsOptions.Admin"/> is set, or the server has a port of its own for it.
    /// </summary>
    public static RouteGroupBuilder MapOciRegistryAdmin(this IEndpointRouteBuilder endpoints)
    {
        var request = endpoints.ServiceProvider.GetRequiredService<RegistryRequest>();
        var view = ActivatorUtilities.CreateInstance<UploadsView>(endpoints.ServiceProvider);
        var admin = endpoints.MapGroup("/admin");
        Map("/uploads", Methods, RegistryAction.Pull, view.List);
        Map("/uploads/{session}", Methods, RegistryAction.Pull, view.Get);
        Map("/uploads/{session}", [HttpMethods.Delete], RegistryAction.Cancel, view.Abort);
        var robots = ActivatorUtilities.CreateInstance<RobotsView>(endpoints.ServiceProvider);
        Map("/robots", Methods, RegistryAction.Pull, robots.List);
        Map("/robots", [HttpMethods.Post], RegistryAction.Pull, robots.Create);
        Map("/robots/{name}", [HttpMethods.Delete], RegistryAction.Pull, robots.Revoke);
        var policies = ActivatorUtilities.CreateInstance<PoliciesView>(endpoints.ServiceProvider);
        Map("/explain", Methods, RegistryAction.Pull, policies.Explain);
        var upstreams = ActivatorUtilities.CreateInstance<UpstreamsView>(endpoints.ServiceProvider);
        Map("/upstreams", Methods, RegistryAction.Pull, upstreams.List, isForOperators: true);
        Map("/health", Methods, RegistryAction.Pull, endpoints.ServiceProvider.GetRequiredService<Health>().GetDetails, isForOperators: true);
        var prefetch = ActivatorUtilities.CreateInstance<PrefetchView>(endpoints.ServiceProvider);
        Map("/prefetch", [HttpMethods.Post], RegistryAction.Pull, prefetch.Start, isForOperators: true);
        return admin;

        void Map(string pattern, string[] methods, RegistryAction action, RequestDelegate handle, bool isForOperators = false) =>
            admin.MapMethods(pattern, methods, context => request.InvokeAsync(
                context,
                "/admin" + pattern,
                action,
                isForOperators ? Access.Operator : Access.Admin,
                [],
                HttpMethods.IsPost(context.Request.Method) ? WithJson(handle) : handle));
    }

    // A browser sends other types for a page of any site without asking first, JSON only after a preflight request, which fails.
    private static RequestDelegate WithJson(RequestDelegate handle) => context =>
        MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type)
        && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            ? handle(context)
            : context.WriteErrorAsync(OciError.Unsupported(
                "The request needs a JSON body. Send it with Content-Type: application/json.", StatusCodes.Status415UnsupportedMediaType));
}
