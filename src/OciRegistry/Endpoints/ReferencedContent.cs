using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>
/// What a DELETE would break (<see cref="DeleteOptions.Referenced"/>). It is looked for before the delete: a push that comes in
/// between is checked as any push beside a delete.
/// </summary>
internal sealed class ReferencedContent(
    ReferencingManifests references, ManifestStore manifests, RepositoryBlobs blobs, Upstreams upstreams, CurrentOptions options, AuditLog audit)
{
    private static readonly TimeSpan LongestForWarning = TimeSpan.FromSeconds(5);

    /// <summary>What is made of a blob that is there; null when the request has been refused.</summary>
    public async ValueTask<IReadOnlyList<ReferencingManifest>?> OfBlobAsync(HttpContext context, RepositoryName repository, Digest blob) =>
        IsFetchedAgain(repository) || await blobs.LinkedSizeAsync(repository, blob, context.RequestAborted) is null
            ? []
            : await RefuseAsync(context, await FindAsync(context, token => references.OfBlobAsync(repository, blob, token)));

    /// <summary>What lists a manifest that is there; null when the request has been refused.</summary>
    public async ValueTask<IReadOnlyList<ReferencingManifest>?> OfManifestAsync(
        HttpContext context, RepositoryName repository, Digest manifest) =>
        IsFetchedAgain(repository) || await manifests.GetAsync(repository, manifest, context.RequestAborted) is null
            ? []
            : await RefuseAsync(context, await FindAsync(context, token => references.OfManifestAsync(repository, manifest, token)));

    /// <summary>Tells the client and the audit log what a delete has broken.</summary>
    public void Warn(HttpContext context, RepositoryName repository, Reference what, IReadOnlyList<ReferencingManifest> by)
    {
        if (by.Count > 0)
        {
            var broken = string.Join(", ", by);
            context.Response.Headers.Warning = $"299 - \"It was part of {broken}\"";
            audit.Broken(context, repository, what, broken);
        }
    }

    /// <summary>Where nothing is refused, no delete waits long for a warning, or fails for it.</summary>
    private async ValueTask<IReadOnlyList<ReferencingManifest>> FindAsync(
        HttpContext context, Func<CancellationToken, ValueTask<IReadOnlyList<ReferencingManifest>>> find)
    {
        if (options.Value.Deletes.Referenced == ReferencedDeletes.Refuse)
        {
            return await find(context.RequestAborted);
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        patience.CancelAfter(LongestForWarning);
        try
        {
            return await find(patience.Token);
        }
        catch (Exception e) when (e is StorageException or OperationCanceledException && !context.RequestAborted.IsCancellationRequested)
        {
            return [];
        }
    }

    private bool IsFetchedAgain(RepositoryName repository) => upstreams.Of(repository) is not null;

    private async ValueTask<IReadOnlyList<ReferencingManifest>?> RefuseAsync(HttpContext context, IReadOnlyList<ReferencingManifest> by)
    {
        if (by.Count == 0 || options.Value.Deletes.Referenced == ReferencedDeletes.Allow)
        {
            return by;
        }

        await context.WriteErrorAsync(new OciError(
            "DENIED",
            StatusCodes.Status409Conflict,
            $"It is part of {string.Join(", ", by)}, which could not be pulled any more. Delete that first, or ask the operator to set "
            + "Deletes:Referenced to Allow.")
        {
            Detail = new JsonObject
            {
                ["referencedBy"] = new JsonArray([.. by.Select(manifest => new JsonObject
                {
                    ["digest"] = manifest.Digest.ToString(),
                    ["tags"] = new JsonArray([.. manifest.Tags.Select(tag => JsonValue.Create(tag.ToString()))]),
                })]),
            },
        });
        return null;
    }
}
