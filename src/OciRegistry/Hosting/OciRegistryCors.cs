using Microsoft.AspNetCore.Cors.Infrastructure;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry;
using OciRegistry.Endpoints;

namespace Microsoft.AspNetCore.Builder;

public static class OciRegistryCors
{
    private static readonly TimeSpan PreflightAge = TimeSpan.FromMinutes(10);

    private static readonly string[] Methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    private static readonly string[] RequestHeaders =
    [
        "Accept", "Authorization", "Content-Range", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Range", RegistryRequest.IdHeader,
        "traceparent", "tracestate",
    ];

    private static readonly string[] ResponseHeaders =
    [
        "Accept-Ranges", "Age", "Allow", "Content-Length", "Content-Range", "Docker-Content-Digest", "Docker-Distribution-Api-Version",
        "Docker-Upload-UUID", "ETag", "Link", "Location", "OCI-Filters-Applied", "OCI-Namespace", "OCI-Subject", "OCI-Tag", "Range",
        "Retry-After", "Warning", "WWW-Authenticate", RegistryRequest.IdHeader,
    ];

    /// <summary>
    /// Answers the CORS preflight requests of pages in <see cref="CrossOriginOptions.Origins"/>, and lets these pages read responses under
    /// <c>/v2/</c> and <c>/token</c>, with ASP.NET Core's own CORS middleware. Does nothing without such origins. Call it before
    /// <c>UseRouting</c>, behind <c>UsePathBase</c>.
    /// </summary>
    public static IApplicationBuilder UseOciRegistryCors(this IApplicationBuilder app)
    {
        var origins = app.ApplicationServices.GetRequiredService<IOptions<OciRegistryOptions>>().Value.Cors.Origins;
        return origins.Count == 0 ? app : app.UseWhen(
            context => IsShared(context.Request.Path), branch => branch.UseCors(policy => Configure(policy, origins)));
    }

    private static void Configure(CorsPolicyBuilder policy, IList<string> origins)
    {
        policy.WithMethods(Methods).WithHeaders(RequestHeaders).WithExposedHeaders(ResponseHeaders).SetPreflightMaxAge(PreflightAge);
        if (origins.Contains(CrossOriginOptions.Every))
        {
            policy.AllowAnyOrigin();
        }
        else
        {
            policy.WithOrigins([.. origins]).AllowCredentials();
        }
    }

    private static bool IsShared(PathString path) =>
        path.StartsWithSegments("/v2", StringComparison.Ordinal) || path.StartsWithSegments(TokenEndpoints.Path, StringComparison.Ordinal);
}
