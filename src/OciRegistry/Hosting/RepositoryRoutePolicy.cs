using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Matching;

namespace OciRegistry.Hosting;

/// <summary>
/// Chooses among the endpoints below <c>/v2/</c>, which share one catch-all template, by the <see cref="RepositoryRoute"/>
/// in their metadata. So each operation is an ordinary endpoint, with metadata of its own, wherever routing runs.
/// </summary>
internal sealed class RepositoryRoutePolicy : MatcherPolicy, IEndpointSelectorPolicy
{
    // After the framework's own policies: methods and hosts have been sorted out when this one looks.
    public override int Order => 1000;

    public bool AppliesToEndpoints(IReadOnlyList<Endpoint> endpoints) =>
        endpoints.Any(endpoint => endpoint.Metadata.GetMetadata<RepositoryRoute>() is not null);

    public Task ApplyAsync(HttpContext httpContext, CandidateSet candidates)
    {
        RepositoryPath? path = null;
        for (var i = 0; i < candidates.Count; i++)
        {
            if (!candidates.IsValidCandidate(i)
                || candidates[i].Endpoint.Metadata.GetMetadata<RepositoryRoute>() is not { } route)
            {
                continue;
            }

            if (path is null)
            {
                path = RepositoryPath.Parse(httpContext.Request.Path.Value);
                httpContext.Features.Set(path);
            }

            candidates.SetValidity(i, path is not null && ReferenceEquals(path.Route, route));
        }

        return Task.CompletedTask;
    }
}
