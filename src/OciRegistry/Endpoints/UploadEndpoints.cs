using System.Globalization;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Uploads;

namespace OciRegistry.Endpoints;

/// <summary>Upload sessions: starting and mounting (spec end-4a, 4b, 4c, 11), chunks (5), closing (6), status (13), cancelling (14).</summary>
/// <remarks>
/// A Location carries the session and the offset where the next request starts. It is relative, so that no proxy can
/// break it, and needs no secret: the offset is only the client's claim, and is checked against the session.
/// </remarks>
internal sealed class UploadEndpoints(
    UploadSessions sessions, RepositoryBlobs blobs, RepositoryCatalog catalog, PushedOver pushedOver, AccessControl access)
{
    private const string OffsetParameter = "offset";

    public async Task Start(HttpContext context, RepositoryName repository)
    {
        var query = context.Request.Query;
        var algorithm = DigestAlgorithm.Sha256;
        if (query.TryGetValue("digest-algorithm", out var name)
            && !DigestAlgorithms.TryParse(name.ToString(), out algorithm))
        {
            await context.WriteErrorAsync(
                OciError.DigestInvalid("The digest algorithm is not supported; use sha256 or sha512."));
            return;
        }

        if (query.ContainsKey("mount"))
        {
            if (!Digest.TryParse(query["mount"].ToString(), out var mount))
            {
                await context.WriteErrorAsync(OciError.DigestInvalid($"mount: {OciError.DigestGrammar}"));
                return;
            }

            switch (await MountAsync(context, repository, mount))
            {
                case { Size: { } size } when await pushedOver.KeepBlobAsync(repository, mount, size, CancellationToken.None):
                    WriteBlobCreated(context, repository, mount);
                    return;

                case { Another: { } another }:
                    await access.AskForMoreAsync(context, repository, another);
                    return;
            }
        }
        else if (query.ContainsKey("digest"))
        {
            if (await ReadDigestAsync(context) is { } digest)
            {
                // end-4b: the whole blob in one request. It goes the way of every other upload.
                var only = await sessions.StartAsync(
                    OwnerOf(context, repository), digest.Algorithm, context.TraceIdentifier, context.RequestAborted);
                try
                {
                    await CompleteAsync(context, repository, only, new UploadClaim(0, context.Request.ContentLength), digest);
                }
                catch
                {
                    // The client left, or the storage failed. Nobody was told of the session, so nobody can continue it.
                    await sessions.CancelAsync(OwnerOf(context, repository), only, CancellationToken.None);
                    throw;
                }
            }

            return;
        }

        var session = await sessions.StartAsync(
            OwnerOf(context, repository), algorithm, context.TraceIdentifier, context.RequestAborted);
        WriteProgress(context, repository, session, 0, StatusCodes.Status202Accepted);
        context.Response.ContentLength = 0;
    }

    public async Task Append(HttpContext context, RepositoryName repository, UploadSessionId session)
    {
        if (await ReadClaimAsync(context) is not { } claim)
        {
            return;
        }

        RequestBody.LiftLimits(context);
        var result = await sessions.AppendAsync(
            OwnerOf(context, repository), session, claim, context.TraceIdentifier, context.Request.BodyReader, context.RequestAborted);
        if (result.Outcome == UploadOutcome.Appended)
        {
            WriteProgress(context, repository, session, result.Offset, StatusCodes.Status202Accepted);
            context.Response.ContentLength = 0;
        }
        else
        {
            await RefuseAsync(context, repository, session, claim, result);
        }
    }

    public async Task Complete(HttpContext context, RepositoryName repository, UploadSessionId session)
    {
        if (await ReadDigestAsync(context) is { } digest && await ReadClaimAsync(context, isClosing: true) is { } claim)
        {
            await CompleteAsync(context, repository, session, claim, digest);
        }
    }

    public async Task Status(HttpContext context, RepositoryName repository, UploadSessionId session)
    {
        if (await sessions.StatusAsync(OwnerOf(context, repository), session, context.RequestAborted) is { } offset)
        {
            WriteProgress(context, repository, session, offset, StatusCodes.Status204NoContent);
        }
        else
        {
            await context.WriteErrorAsync(OciError.BlobUploadUnknown());
        }
    }

    public async Task Cancel(HttpContext context, RepositoryName repository, UploadSessionId session)
    {
        var result = await sessions.CancelAsync(OwnerOf(context, repository), session, context.RequestAborted);
        if (result.Outcome == UploadOutcome.Cancelled)
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
        else
        {
            await RefuseAsync(context, repository, session, default, result);
        }
    }

    private static UploadOwner OwnerOf(HttpContext context, RepositoryName repository) =>
        new(repository, context.Granted().Caller.Subject);

    private async ValueTask<MountResult> MountAsync(HttpContext context, RepositoryName repository, Digest digest)
    {
        // A mount that cannot be done is an upload that starts (202): clients have no other way to go on.
        if (context.Request.Query["from"].FirstOrDefault() is not { Length: > 0 } text)
        {
            return await blobs.MountFromAnyAsync(
                repository,
                digest,
                await access.SourcesForAsync(context, repository, catalog.ListAsync, context.RequestAborted),
                context.RequestAborted);
        }

        return RepositoryName.TryParse(text, out var from)
            ? await blobs.MountAsync(repository, digest, from, access.SourceFor(context, from), context.RequestAborted)
            : MountResult.None;
    }

    private async Task CompleteAsync(
        HttpContext context, RepositoryName repository, UploadSessionId session, UploadClaim claim, Digest digest)
    {
        RequestBody.LiftLimits(context);
        var body = context.Request.BodyReader;
        var hasBody = await HasBodyAsync(context.Request, body, context.RequestAborted);
        var result = await sessions.CompleteAsync(
            OwnerOf(context, repository), session, claim, digest, context.TraceIdentifier, hasBody ? body : null, context.RequestAborted);
        if (result.Outcome == UploadOutcome.Completed
            && !await pushedOver.KeepBlobAsync(repository, digest, result.Offset, CancellationToken.None))
        {
            result = new UploadResult(UploadOutcome.Unknown);
        }

        if (result.Outcome != UploadOutcome.Completed)
        {
            await RefuseAsync(context, repository, session, claim, result);
            return;
        }

        // A repeated request may have been answered without its body; many clients read no answer before they have sent it.
        await RequestBody.DrainAsync(context);
        WriteBlobCreated(context, repository, digest);
    }

    private static async ValueTask<bool> HasBodyAsync(
        HttpRequest request, PipeReader body, CancellationToken cancellationToken)
    {
        if (request.ContentLength is { } length)
        {
            return length > 0;
        }

        // Chunked: an empty body shows only when its end is read. Nothing is consumed.
        var read = await body.ReadAsync(cancellationToken);
        body.AdvanceTo(read.Buffer.Start);
        return !read.Buffer.IsEmpty || !read.IsCompleted;
    }

    /// <summary>The digest parameter, exactly one; null when the request has been answered.</summary>
    private static async ValueTask<Digest?> ReadDigestAsync(HttpContext context)
    {
        var values = context.Request.Query["digest"];
        if (values.Count == 1 && Digest.TryParse(values[0], out var digest))
        {
            return digest;
        }

        await context.WriteErrorAsync(OciError.DigestInvalid(
            values.Count == 1 ? OciError.DigestGrammar : "The closing request needs exactly one digest parameter."));
        return null;
    }

    /// <summary>Where the client says that its body starts; null when the request has been answered.</summary>
    private static async ValueTask<UploadClaim?> ReadClaimAsync(HttpContext context, bool isClosing = false)
    {
        var request = context.Request;
        var announced = request.ContentLength;
        var header = request.Headers.ContentRange;
        if (header.Count > 0)
        {
            if (header.Count > 1 || !ContentRange.TryParse(header[0], out var range))
            {
                await context.WriteErrorAsync(OciError.BlobUploadInvalid(ContentRange.Grammar));
                return null;
            }

            // A closing request without a body may say which chunk it closes.
            if (announced is { } length && length != range.Length && !(isClosing && length == 0))
            {
                await context.WriteErrorAsync(OciError.SizeInvalid(
                    $"Content-Range announces {range.Length} bytes, Content-Length {length}. Make them agree."));
                return null;
            }

            return new UploadClaim(range.First, range.Length, IsRange: true);
        }

        var offset = request.Query[OffsetParameter];
        if (offset.Count == 0)
        {
            return new UploadClaim(null, announced);
        }

        if (offset.Count == 1
            && long.TryParse(offset[0], NumberStyles.None, CultureInfo.InvariantCulture, out var claimed))
        {
            return new UploadClaim(claimed, announced);
        }

        await context.WriteErrorAsync(OciError.BlobUploadInvalid(
            "The offset in the upload's address is no number. Use the Location of the last answer as it is."));
        return null;
    }

    private static async Task RefuseAsync(
        HttpContext context, RepositoryName repository, UploadSessionId session, UploadClaim claim, UploadResult result)
    {
        switch (result.Outcome)
        {
            case UploadOutcome.OutOfOrder:
                // The client needs to know where to go on, in the headers that a 202 has (R3.8).
                WriteProgress(context, repository, session, result.Offset, StatusCodes.Status416RangeNotSatisfiable);
                await context.WriteErrorAsync(OciError.ChunkOutOfOrder(result.Offset, claim.Offset ?? 0));
                break;

            case UploadOutcome.Fenced:
                await context.WriteErrorAsync(OciError.BlobUploadInvalid(
                    "A newer request of this upload session has taken over; nothing of this one was kept.",
                    StatusCodes.Status409Conflict));
                break;

            case UploadOutcome.Busy:
                context.Response.Headers.RetryAfter = "5";
                await context.WriteErrorAsync(OciError.BlobUploadInvalid(
                    "Another request of this upload session is still sending. Try again when it has ended.",
                    StatusCodes.Status409Conflict));
                break;

            case UploadOutcome.Completing:
                await context.WriteErrorAsync(OciError.BlobUploadInvalid(
                    "This upload session is being completed; it takes no more chunks, no other digest, and cannot be "
                    + "cancelled. Repeat its closing request.",
                    StatusCodes.Status409Conflict));
                break;

            case UploadOutcome.LengthMismatch:
                await context.WriteErrorAsync(OciError.SizeInvalid(
                    $"The body does not have the {claim.Length} bytes that were announced; nothing of it was kept."));
                break;

            case UploadOutcome.DigestMismatch:
                await context.WriteErrorAsync(OciError.DigestInvalid(
                    "The uploaded bytes do not have the digest of the request; they were deleted. Upload them again.")
                    with
                {
                    Detail = new System.Text.Json.Nodes.JsonObject
                    {
                        ["computed"] = result.Computed?.ToString(),
                        ["size"] = result.Offset,
                    },
                });
                break;

            case UploadOutcome.TooLarge:
                await context.WriteErrorAsync(OciError.SizeInvalid(
                    "The blob is larger than this registry accepts; the upload was discarded.",
                    StatusCodes.Status413PayloadTooLarge));
                break;

            default:
                await context.WriteErrorAsync(OciError.BlobUploadUnknown());
                break;
        }
    }

    private static void WriteBlobCreated(HttpContext context, RepositoryName repository, Digest digest)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status201Created;
        response.Headers.Location = $"{context.Request.PathBase}/v2/{repository}/blobs/{digest}";
        response.Headers["Docker-Content-Digest"] = digest.ToString();
        response.ContentLength = 0;
    }

    private static void WriteProgress(
        HttpContext context, RepositoryName repository, UploadSessionId session, long offset, int status)
    {
        var response = context.Response;
        var last = Math.Max(0, offset - 1); // the spec has no range for no bytes; docker's is 0-0
        response.StatusCode = status;
        response.Headers.Location = string.Create(
            CultureInfo.InvariantCulture,
            $"{context.Request.PathBase}/v2/{repository}/blobs/uploads/{session}?{OffsetParameter}={offset}");
        response.Headers.Range = string.Create(CultureInfo.InvariantCulture, $"0-{last}");
        response.Headers["Docker-Upload-UUID"] = session.ToString();
    }
}
