using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry;
using OciRegistry.Endpoints;
using OciRegistry.Hosting;
using static OciRegistry.Endpoints.RegistryAction;

namespace Microsoft.AspNetCore.Builder;

public static class OciRegistryEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Maps the registry under <c>/v2/</c>, in the order of spec.md#endpoints. Conventions that are added to the returned
    /// group (authorization, rate limits, hosts) apply to every operation. Clients expect <c>/v2/</c> at the root of a host;
    /// below a path of yours it works with <c>UsePathBase</c> or <c>Map</c> branches, not inside another group.
    /// </summary>
    public static RouteGroupBuilder MapOciRegistry(this IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        var blobs = services.GetRequiredService<BlobEndpoints>();
        var uploads = services.GetRequiredService<UploadEndpoints>();
        var manifests = services.GetRequiredService<ManifestEndpoints>();
        var lists = services.GetRequiredService<ListEndpoints>();
        var referrers = services.GetRequiredService<ReferrerEndpoints>();

        var group = endpoints.MapGroup("/v2");
        var v2 = new RepositoryEndpoints(group);
        v2.Map("GET HEAD", RepositoryRoute.Version, Access.LoggedIn, GetVersion);       // end-1
        v2.Map<Digest>("GET HEAD", RepositoryRoute.Blob, Pull, blobs.Get);              // end-2
        v2.Map<Reference>("GET HEAD", RepositoryRoute.Manifest, Pull, manifests.Get);   // end-3
        v2.Map("POST", RepositoryRoute.Uploads, Push, uploads.Start);                   // end-4a 4b 4c 11
        v2.Map<UploadSessionId>("PATCH", RepositoryRoute.Upload, Push, uploads.Append); // end-5
        v2.Map<UploadSessionId>("PUT", RepositoryRoute.Upload, Push, uploads.Complete); // end-6
        v2.Map<Reference>("PUT", RepositoryRoute.Manifest, Push, manifests.Put);        // end-7a 7b
        v2.Map("GET HEAD", RepositoryRoute.TagList, Pull, lists.Tags);                  // end-8a 8b
        v2.Map<Reference>("DELETE", RepositoryRoute.Manifest, Delete, manifests.Delete);// end-9
        v2.Map<Digest>("DELETE", RepositoryRoute.Blob, Delete, blobs.Delete);           // end-10
        v2.Map<Digest>("GET HEAD", RepositoryRoute.Referrers, Pull, referrers.Get);     // end-12a 12b
        v2.Map<UploadSessionId>("GET HEAD", RepositoryRoute.Upload, Status, uploads.Status);// end-13
        v2.Map<UploadSessionId>("DELETE", RepositoryRoute.Upload, Cancel, uploads.Cancel);// end-14
        v2.Map("GET HEAD", RepositoryRoute.Catalog, Access.Catalog, lists.Catalog);     // extension _catalog
        v2.MapRest();
        MapTokens(endpoints);
        return group;
    }

    /// <summary>
    /// Answers what no other endpoint of the application takes in the envelope of the registry's errors, and <c>/</c> with 200,
    /// which load balancers ask for: for a server that is a registry and nothing else.
    /// </summary>
    public static IEndpointConventionBuilder MapOciRegistryFallback(this IEndpointRouteBuilder endpoints)
    {
        var request = endpoints.ServiceProvider.GetRequiredService<RegistryRequest>();
        return endpoints.MapFallback("/{**path}", context => request.InvokeAsync(
            context, "/{**path}", Pull, Access.Open, [], unknown => IsRoot(unknown.Request) ? AnswerRoot(unknown.Response)
                : unknown.WriteErrorAsync(OciError.NotFound())));
    }

    private static bool IsRoot(HttpRequest request) =>
        request.Path.Value is null or "" or "/" && (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method));

    private static Task AnswerRoot(HttpResponse response)
    {
        response.Headers.CacheControl = "no-cache";
        response.ContentLength = 0;
        return Task.CompletedTask;
    }

    // Not in the group: whatever an application asks of who uses the registry, it cannot ask of who is about to log in.
    private static void MapTokens(IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        if (!services.GetRequiredService<IOptions<OciRegistryOptions>>().Value.Auth.IssuesTokens)
        {
            return;
        }

        var request = services.GetRequiredService<RegistryRequest>();
        var tokens = services.GetRequiredService<TokenEndpoints>();
        Map(TokenEndpoints.Path, HttpMethods.Get, tokens.Get);
        Map(TokenEndpoints.Path, HttpMethods.Post, tokens.Post);
        Map(TokenEndpoints.KeysPath, HttpMethods.Get, tokens.GetKeys);

        void Map(string path, string method, RequestDelegate handle) => endpoints.MapMethods(
            path, [method], context => request.InvokeAsync(context, path, Pull, Access.Open, [], handle));
    }

    private static Task GetVersion(HttpContext context) => context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
    {
        json.WriteStartObject();
        json.WriteEndObject();
    });
}
