using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;

namespace OciRegistry.Endpoints;

/// <summary>Referrers of a manifest (spec end-12a, 12b): always 200, for what was never pushed too.</summary>
internal sealed class ReferrerEndpoints(
    ReferrerIndex referrers, Upstreams upstreams, PulledReferrers pulled, IOptions<OciRegistryOptions> options)
{
    public async Task Get(HttpContext context, RepositoryName repository, Digest subject)
    {
        if (!Pagination.TryRead(context.Request, options.Value.Listings.MaxPageSize, out var page) || page.Limit == 0)
        {
            await context.WriteErrorAsync(Pagination.Invalid());
            return;
        }

        var upstream = upstreams.Of(repository);
        if (upstream is not null
            && await pulled.RefreshAsync(upstream, repository, subject, context.RequestAborted) is not null)
        {
            context.SayOld(null);
        }

        // A raw '+', which media types have, arrives as a space.
        var filter = context.Request.Query["artifactType"].FirstOrDefault()?.Replace(' ', '+');
        filter = string.IsNullOrEmpty(filter) ? null : filter;
        var found = await referrers.ListAsync(
            repository, subject, filter, page.After, page.Limit, mustBeHere: upstream is null, context.RequestAborted);
        if (filter is not null)
        {
            context.Response.Headers["OCI-Filters-Applied"] = "artifactType";
        }

        if (found.Last is { } last)
        {
            page.LinkNext(context, last, filter is null ? null : $"&artifactType={Uri.EscapeDataString(filter)}");
        }

        await context.WriteJsonArrayAsync<ReadOnlyMemory<byte>>(
            MediaTypes.ImageIndex,
            $"{{\"schemaVersion\":2,\"mediaType\":\"{MediaTypes.ImageIndex}\",\"manifests\":[",
            found.Descriptors,
            static descriptor => descriptor.Length,
            static (json, descriptor) => descriptor.Span.CopyTo(json));
    }
}
