using System.Globalization;
using Microsoft.AspNetCore.Http;
using OciRegistry.PullThrough;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>Blobs: pulling (spec end-2) and deleting (end-10).</summary>
internal sealed class BlobEndpoints(
    RepositoryBlobs blobs,
    Upstreams upstreams,
    PulledBlobs pulled,
    PulledDeletion deletion,
    ReferencedContent referenced,
    AuditLog audit,
    RegistryMetrics metrics)
{
    public async Task Get(HttpContext context, RepositoryName repository, Digest digest)
    {
        var (request, response) = (context.Request, context.Response);
        if (HttpMethods.IsHead(request.Method))
        {
            await HeadAsync(context, repository, digest);
            return;
        }

        var upstream = upstreams.Of(repository);
        if (await blobs.LinkedSizeAsync(repository, digest, context.RequestAborted) is not { } size)
        {
            await GetFromUpstreamAsync(context, upstream, repository, digest);
            return;
        }

        if (upstream is not null)
        {
            await pulled.HitAsync(upstream, repository, digest, size, context.RequestAborted);
        }

        var ranges = EntityTags.AllowsRange(request, digest) ? ByteRange.Parse(request.Headers.Range, size) : null;
        if (IsPlain(request, ranges) && await blobs.RedirectAsync(digest, context.RequestAborted) is { } elsewhere)
        {
            Redirect(response, digest, elsewhere);
            return;
        }

        var first = FirstRead(request, ranges, size);
        await using var content = await blobs.OpenReadAsync(
            repository, digest, size, first.Offset, first.Length, context.RequestAborted);
        if (content is null)
        {
            await GetFromUpstreamAsync(context, upstream, repository, digest);
            return;
        }

        await WriteAsync(context, digest, content, ranges);
    }

    /// <summary>What is not here, or not whole any more, and may be where it came from: sent on while it comes.</summary>
    private async Task GetFromUpstreamAsync(HttpContext context, Upstream? upstream, RepositoryName repository, Digest digest)
    {
        if (upstream is null)
        {
            await context.WriteErrorAsync(OciError.BlobUnknown(digest));
            return;
        }

        var found = await pulled.OpenReadAsync(upstream, repository, digest, context.RequestAborted);
        if (found.Value is not { } growing)
        {
            await context.WriteProblemAsync(found);
            return;
        }

        await using var content = growing;
        var request = context.Request;
        await WriteAsync(
            context,
            digest,
            content,
            EntityTags.AllowsRange(request, digest) ? ByteRange.Parse(request.Headers.Range, content.Length) : null);
    }

    private async Task WriteAsync(HttpContext context, Digest digest, IBlobContent content, IReadOnlyList<ByteRange>? ranges)
    {
        var response = context.Response;
        if (await IsAnsweredByItsTagAsync(context, digest))
        {
            return;
        }

        switch (ranges)
        {
            case null:
                await BlobBody.WriteWholeAsync(context, content, metrics);
                break;

            case []:
                response.Headers.ContentRange = $"bytes */{content.Length.ToString(CultureInfo.InvariantCulture)}";
                await context.WriteErrorAsync(OciError.RangeInvalid(content.Length));
                break;

            case [var range]:
                await BlobBody.WriteRangeAsync(context, content, range, metrics);
                break;

            default:
                await BlobBody.WriteRangesAsync(context, content, ranges, metrics);
                break;
        }
    }

    public async Task Delete(HttpContext context, RepositoryName repository, Digest digest)
    {
        if (await referenced.OfBlobAsync(context, repository, digest) is not { } broken)
        {
            return;
        }

        if (await deletion.DeleteBlobAsync(repository, digest, CancellationToken.None))
        {
            referenced.Warn(context, repository, digest, broken);
            audit.Deleted(context, repository, digest.ToString(), []);
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            context.Response.ContentLength = 0;
        }
        else
        {
            await context.WriteErrorAsync(OciError.BlobUnknown(digest));
        }
    }

    /// <summary>Whether another server, which knows nothing of our entity tags, answers the same: the whole or one range.</summary>
    private static bool IsPlain(HttpRequest request, IReadOnlyList<ByteRange>? ranges)
    {
        var headers = request.Headers;
        return headers.IfMatch.Count + headers.IfNoneMatch.Count + headers.IfRange.Count == 0
            && (headers.Range.Count == 0
                || (ranges is [_] && !headers.Range.ToString().Contains("=-", StringComparison.Ordinal))); // no suffix
    }

    /// <summary>
    /// 307, which clients follow with what they have sent us; without their credentials, as the address is another's.
    /// </summary>
    private static void Redirect(HttpResponse response, Digest digest, Uri elsewhere)
    {
        response.Headers["Docker-Content-Digest"] = digest.ToString();
        response.Headers.Location = elsewhere.AbsoluteUri;
        response.Headers.CacheControl = "no-store"; // it expires
        response.ContentLength = 0;
        response.StatusCode = StatusCodes.Status307TemporaryRedirect;
    }

    /// <summary>What will be read first; nothing where a condition may spare it.</summary>
    private static (long Offset, long Length) FirstRead(HttpRequest request, IReadOnlyList<ByteRange>? ranges, long size) =>
        request.Headers.IfNoneMatch.Count + request.Headers.IfMatch.Count > 0 ? default
        : ranges is null ? (0, size)
        : ranges is [var range, ..] ? (range.First, range.Length)
        : default;

    /// <summary>As GET, but nothing is opened that nobody reads.</summary>
    private async Task HeadAsync(HttpContext context, RepositoryName repository, Digest digest)
    {
        if (await blobs.StatAsync(repository, digest, context.RequestAborted) is not { } length)
        {
            if (upstreams.Of(repository) is not { } upstream)
            {
                await context.WriteErrorAsync(OciError.BlobUnknown(digest));
                return;
            }

            var found = await pulled.StatAsync(upstream, repository, digest, context.RequestAborted);
            if (found.Value is not { } there)
            {
                await context.WriteProblemAsync(found);
                return;
            }

            length = there.Bytes;
        }

        if (!await IsAnsweredByItsTagAsync(context, digest))
        {
            context.Response.ContentLength = length;
        }
    }

    /// <summary>Writes the headers of a blob that is there, and the answer when a condition decides it.</summary>
    private static async ValueTask<bool> IsAnsweredByItsTagAsync(HttpContext context, Digest digest)
    {
        context.Response.Headers.AcceptRanges = "bytes";
        if (await EntityTags.IsAnswerAsync(context, digest, isByDigest: true))
        {
            return true;
        }

        context.Response.ContentType = MediaTypes.OctetStream;
        return false;
    }
}
