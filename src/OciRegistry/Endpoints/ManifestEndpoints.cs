using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>Manifests: pulling (spec end-3), pushing (end-7a, 7b), deleting them and tags (end-9).</summary>
internal sealed class ManifestEndpoints(
    ManifestStore manifests,
    Upstreams upstreams,
    PulledManifests pulled,
    PushedOver pushedOver,
    PulledDeletion deletion,
    ReferencedContent referenced,
    BufferedBodies bodies,
    ManifestBody body,
    AcceptFallback fallback,
    TagStore tagStore,
    Refusals refusals,
    IOptions<OciRegistryOptions> options,
    AuditLog audit)
{
    /// <summary>spec end-7b: at least 10 tags in one request, 414 when there are too many.</summary>
    private const int MaxTags = 100;

    private const int ReadParallelism = 16;

    // No variable that outlives an await may have the manifest: it would be held until its client has taken the last byte.
    public Task Get(HttpContext context, RepositoryName repository, Reference reference)
    {
        var finding = FindAsync(context, repository, reference);
        return finding.IsCompletedSuccessfully
            ? WriteAsync(context, repository, finding.Result)
            : WriteAsync(context, repository, finding.AsTask());
    }

    private async Task WriteAsync(HttpContext context, RepositoryName repository, Task<FoundContent?> finding)
    {
        var found = await finding;
        var writing = WriteAsync(context, repository, found);
        (finding, found) = (null!, null);
        await writing;
    }

    /// <summary>Null when the request has been answered.</summary>
    private async ValueTask<FoundContent?> FindAsync(HttpContext context, RepositoryName repository, Reference reference)
    {
        var isGet = HttpMethods.IsGet(context.Request.Method);
        var answer = await ReadAsync(context, repository, reference, isGet);
        if (IndexToReplace(context, reference, answer) is { } index)
        {
            if (answer?.Content.IsEmpty == true)
            {
                answer = await ReadAsync(context, repository, index, withContent: true);
            }

            if (ImageOf(context, answer) is { } image)
            {
                answer = null;
                answer = await ReadAsync(context, repository, image, isGet);
            }
        }

        if (answer is null)
        {
            return null;
        }

        var deciding = EntityTags.IsAnswerAsync(context, answer.Value.Digest, isByDigest: reference.Digest is not null);
        if (!deciding.IsCompleted)
        {
            answer = null; // it is answered, and its client does not read the answer yet
        }

        return await deciding ? null : answer;
    }

    /// <summary>The index whose client wants an image in its place; null for what may be served.</summary>
    private Digest? IndexToReplace(HttpContext context, Reference reference, FoundContent? answer) =>
        answer is { } found && fallback.IsWanted(context, reference, found.MediaType) ? found.Digest : null;

    private Digest? ImageOf(HttpContext context, FoundContent? index) =>
        index is { } found ? fallback.Find(context, found.Content) : null;

    /// <summary>Null when the request has been answered. Without <paramref name="withContent"/> the content may be empty.</summary>
    private async ValueTask<FoundContent?> ReadAsync(HttpContext context, RepositoryName repository, Reference reference, bool withContent)
    {
        if (upstreams.Of(repository) is { } upstream)
        {
            var pulledThrough = await pulled.GetAsync(upstream, repository, reference, withContent, context.RequestAborted);
            if (pulledThrough.Value is not { } there)
            {
                await context.WriteProblemAsync(pulledThrough);
                return null;
            }

            if (there.IsOld)
            {
                context.SayOld(there.Age);
            }

            return new FoundContent(there.Digest, there.MediaType, there.Length, there.Content ?? default);
        }

        if (await manifests.GetAsync(repository, reference, context.RequestAborted) is { } manifest)
        {
            return new FoundContent(manifest.Digest, manifest.MediaType, manifest.Content.Length, manifest.Content);
        }

        await context.WriteErrorAsync(OciError.ManifestUnknown(reference));
        return null;
    }

    private Task WriteAsync(HttpContext context, RepositoryName repository, FoundContent? answer)
    {
        if (answer is not { } found)
        {
            return Task.CompletedTask;
        }

        context.Response.ContentType = found.MediaType;
        context.Response.ContentLength = found.Length;
        return HttpMethods.IsGet(context.Request.Method)
            ? body.WriteAsync(context, repository, found.Digest, found.MediaType, found.Content)
            : Task.CompletedTask;
    }

    private readonly record struct FoundContent(Digest Digest, string MediaType, long Length, ReadOnlyMemory<byte> Content);

    public async Task Put(HttpContext context, RepositoryName repository, Reference reference)
    {
        var request = context.Request;
        if (!TryReadTags(context, reference, out var tags, out var error))
        {
            await context.WriteErrorAsync(error);
            return;
        }

        var limit = options.Value.Manifests.MaxSize;
        if (await bodies.ReadAsync(context, limit, OciError.ManifestTooLarge(limit)) is not { } content)
        {
            return;
        }

        if (request.Headers.ContentEncoding.Count > 0 && request.Headers.ContentEncoding != "identity")
        {
            await context.WriteErrorAsync(OciError.ManifestInvalid(
                "A manifest is stored byte for byte, so it must be sent without Content-Encoding."));
            return;
        }

        var digest = Digest.Of(content.Span, reference.Digest?.Algorithm ?? DigestAlgorithm.Sha256);
        if (reference.Digest is { } named && named != digest)
        {
            await context.WriteErrorAsync(OciError.DigestInvalid(
                "The manifest does not have the digest in its address; nothing was stored.")
                with
            {
                Detail = new System.Text.Json.Nodes.JsonObject { ["computed"] = digest.ToString() },
            });
            return;
        }

        if (!Manifest.TryParse(content, request.ContentType, out var manifest, out error))
        {
            await context.WriteErrorAsync(error);
            return;
        }

        var rights = context.Granted().Rights;
        var push = new ManifestPush(
            repository,
            digest,
            manifest,
            content,
            reference,
            tags,
            EntityTags.PreconditionOf(request),
            MayMoveTags: rights.HasFlag(Rights.MoveTags));
        var before = await TagsBeforeAsync(repository, push.AllTags);
        var result = await pushedOver.PutAsync(push, mayFetch: rights.HasFlag(Rights.Pull), context.RequestAborted);
        if (result.Taken is { } taken)
        {
            await refusals.DenyAsync(context, "push", $"{repository}:{taken}", OciError.TagTaken(taken));
            return;
        }

        if (!result.IsStored)
        {
            if (result.Problems is [{ Status: StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable }])
            {
                context.Response.Headers.RetryAfter = "5";
            }

            await context.WriteErrorsAsync(result.Problems is { Count: > 0 } problems
                ? problems
                : [OciError.PreconditionFailed()]);
            return;
        }

        audit.Pushed(context, repository, digest, before);
        var response = context.Response;
        response.StatusCode = StatusCodes.Status201Created;
        response.Headers.Location = $"{request.PathBase}/v2/{repository}/manifests/{digest}";
        response.Headers["Docker-Content-Digest"] = digest.ToString();
        response.Headers.ETag = EntityTags.Of(digest);
        foreach (var tag in tags)
        {
            response.Headers.Append("OCI-Tag", tag.ToString());
        }

        if (manifest.Subject is { } subject)
        {
            response.Headers["OCI-Subject"] = subject.ToString();
        }

        response.ContentLength = 0;
    }

    public async Task Delete(HttpContext context, RepositoryName repository, Reference reference)
    {
        var precondition = EntityTags.PreconditionOf(context.Request);
        IReadOnlyList<ReferencingManifest> broken = [];
        if (reference.Digest is { } digest)
        {
            if (await referenced.OfManifestAsync(context, repository, digest) is not { } found)
            {
                return;
            }

            broken = found;
        }

        var deleted = await deletion.DeleteManifestAsync(repository, reference, precondition, CancellationToken.None);
        switch (deleted.Outcome)
        {
            case ManifestDeleteOutcome.Deleted:
                audit.Deleted(
                    context,
                    repository,
                    reference.ToString(),
                    deleted.Deleted.Distinct().Take(MaxTags).Select(tag => new TagBefore(tag, deleted.Digest, deleted.Digest is not null)));
                referenced.Warn(context, repository, reference, broken);
                context.Response.StatusCode = StatusCodes.Status202Accepted;
                context.Response.ContentLength = 0;
                break;

            case ManifestDeleteOutcome.PreconditionFailed:
                await context.WriteErrorAsync(
                    OciError.PreconditionFailed());
                break;

            default:
                await context.WriteErrorAsync(OciError.ManifestUnknown(reference));
                break;
        }
    }

    /// <summary>What tags name now, for the audit log. A request that changes one at the same time is in the log as well.</summary>
    private async ValueTask<IReadOnlyList<TagBefore>> TagsBeforeAsync(RepositoryName repository, IReadOnlyList<Tag> named)
    {
        if (!audit.IsOfChanges || named.Count == 0)
        {
            return [];
        }

        var found = new TagBefore[named.Count];
        if (named.Count == 1)
        {
            found[0] = await TagBeforeAsync(repository, named[0]);
            return found;
        }

        await Parallel.ForAsync(
            0,
            named.Count,
            new ParallelOptions { MaxDegreeOfParallelism = ReadParallelism },
            async (i, _) => found[i] = await TagBeforeAsync(repository, named[i]));
        return found;
    }

    private async ValueTask<TagBefore> TagBeforeAsync(RepositoryName repository, Tag tag)
    {
        try
        {
            return await tagStore.FindAsync(repository, tag, CancellationToken.None) is not { } before ? new TagBefore(tag, null)
                : new TagBefore(tag, before.Digest, IsKnown: before.Digest is not null);
        }
        catch (StorageException)
        {
            return new TagBefore(tag, null, IsKnown: false); // the push or delete itself says what is wrong
        }
    }

    private static bool TryReadTags(HttpContext context, Reference reference, out List<Tag> tags, out OciError error)
    {
        tags = [];
        error = OciError.Unsupported("");
        var values = reference.Digest is null ? default : context.Request.Query["tag"];
        if (values.Count > MaxTags)
        {
            error = OciError.Unsupported(
                $"At most {MaxTags} tags can be set by one request.", StatusCodes.Status414UriTooLong);
            return false;
        }

        foreach (var value in values)
        {
            if (!Tag.TryParse(value, out var tag))
            {
                error = OciError.ReferenceInvalid(value ?? "");
                return false;
            }

            if (!tags.Contains(tag))
            {
                tags.Add(tag);
            }
        }

        return true;
    }
}
