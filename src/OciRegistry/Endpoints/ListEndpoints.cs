using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;

namespace OciRegistry.Endpoints;

/// <summary>Lists of names: the tags of a repository (spec end-8a, 8b) and the repositories of the registry.</summary>
internal sealed class ListEndpoints(
    TagStore tags,
    RepositoryCatalog catalog,
    Upstreams upstreams,
    PulledTags pulled,
    AccessControl access,
    IOptions<OciRegistryOptions> options)
{
    public async Task Tags(HttpContext context, RepositoryName repository)
    {
        if (upstreams.Of(repository) is { } upstream)
        {
            await WriteTagsOfAsync(context, upstream, repository);
            return;
        }

        if (!await catalog.ContainsAsync(repository, context.RequestAborted))
        {
            await context.WriteErrorAsync(OciError.NameUnknown(repository));
            return;
        }

        await WriteAsync(
            context,
            "tags",
            repository,
            (after, limit) => tags.ListAsync(repository, after, limit, context.RequestAborted));
    }

    private async Task WriteTagsOfAsync(HttpContext context, Upstream upstream, RepositoryName repository)
    {
        if (!Pagination.TryRead(context.Request, options.Value.Listings.MaxPageSize, out var page))
        {
            await context.WriteErrorAsync(Pagination.Invalid());
            return;
        }

        var (found, isOld) = await pulled.ListAsync(upstream, repository, page.After, page.Limit + 1, context.RequestAborted);
        if (found.Value is not { } names)
        {
            await context.WriteProblemAsync(found);
            return;
        }

        if (isOld)
        {
            context.SayOld(null);
        }

        await WriteAsync(context, "tags", repository, (_, limit) => ValueTask.FromResult<IReadOnlyList<string>>([.. names.Take(limit)]));
    }

    public Task Catalog(HttpContext context) => WriteAsync(
        context,
        "repositories",
        repository: null,
        (after, limit) => access.VisibleTo(context) is { } visible
            ? visible.ListAsync(catalog.ListAsync, after, limit, context.RequestAborted)
            : catalog.ListAsync(after, limit, context.RequestAborted));

    private async Task WriteAsync(
        HttpContext context,
        string property,
        RepositoryName? repository,
        Func<string?, int, ValueTask<IReadOnlyList<string>>> list)
    {
        if (!Pagination.TryRead(context.Request, options.Value.Listings.MaxPageSize, out var page))
        {
            await context.WriteErrorAsync(Pagination.Invalid());
            return;
        }

        // One more than asked for tells whether there is a next page. spec end-8b: n=0 is an empty list without a Link.
        var names = page.Limit == 0 ? [] : await list(page.After, page.Limit + 1);
        var count = Math.Min(names.Count, page.Limit);
        if (names.Count > count)
        {
            page.LinkNext(context, names[count - 1]);
        }

        // Neither tags nor names of repositories have a character that JSON escapes.
        var before = repository is { } name ? $"{{\"name\":\"{name}\",\"{property}\":[" : $"{{\"{property}\":[";
        await context.WriteJsonArrayAsync(
            "application/json",
            before,
            names.Take(count).ToArray(),
            static listed => listed.Length + 2,
            static (json, listed) =>
            {
                json[0] = json[^1] = (byte)'"';
                Encoding.ASCII.GetBytes(listed, json[1..]);
            });
    }
}
