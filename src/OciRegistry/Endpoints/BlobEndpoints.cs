using System.Globalization;
using Microsoft.AspNetCore.Http;
using OciRegistry.Repositories;

namespace OciRegistry.Endpoints;

/// <summary>Blobs: pulling (spec end-2) and deleting (end-10).</summary>
internal sealed class BlobEndpoints(RepositoryBlobs blobs, RegistryMetrics metrics)
{
    public async Task Get(HttpContext context, RepositoryName repository, Digest digest)
    {
        var (request, response) = (context.Request, context.Response);
        if (HttpMethods.IsHead(request.Method))
        {
            await HeadAsync(context, repository, digest);
            return;
        }

        await using var content = await blobs.OpenReadAsync(repository, digest, context.RequestAborted);
        if (content is null)
        {
            await context.WriteErrorAsync(OciError.BlobUnknown(digest));
            return;
        }

        if (await IsAnsweredByItsTagAsync(context, digest))
        {
            return;
        }

        var ranges = EntityTags.AllowsRange(request, digest)
            ? ByteRange.Parse(request.Headers.Range, content.Length)
            : null;
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
        if (await blobs.UnlinkAsync(repository, digest, CancellationToken.None))
        {
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            context.Response.ContentLength = 0;
        }
        else
        {
            await context.WriteErrorAsync(OciError.BlobUnknown(digest));
        }
    }

    /// <summary>As GET, but nothing is opened that nobody reads.</summary>
    private async Task HeadAsync(HttpContext context, RepositoryName repository, Digest digest)
    {
        if (await blobs.StatAsync(repository, digest, context.RequestAborted) is not { } length)
        {
            await context.WriteErrorAsync(OciError.BlobUnknown(digest));
        }
        else if (!await IsAnsweredByItsTagAsync(context, digest))
        {
            context.Response.ContentLength = length;
        }
    }

    /// <summary>Writes the headers of a blob that is there, and the answer when a condition decides it.</summary>
    private static async ValueTask<bool> IsAnsweredByItsTagAsync(HttpContext context, Digest digest)
    {
        context.Response.Headers.AcceptRanges = "bytes";
        if (await EntityTags.IsAnswerAsync(context, digest))
        {
            return true;
        }

        context.Response.ContentType = MediaTypes.OctetStream;
        return false;
    }
}
