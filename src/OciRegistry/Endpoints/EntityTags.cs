using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using OciRegistry.Repositories;

namespace OciRegistry.Endpoints;

/// <summary>Conditional requests (RFC 9110 §13). The entity tag of content is its digest in quotes, always a strong one.</summary>
internal static class EntityTags
{
    // Not "public": a shared cache must not give it to whoever may not pull it (RFC 9111 §3.5).
    internal const string Immutable = "max-age=31536000, immutable";

    public static string Of(Digest digest) => $"\"{digest}\"";

    /// <summary>Writes the digest's headers of content that is there, and the whole answer when a condition decides it: 412 or 304.</summary>
    /// <param name="context">The request.</param>
    /// <param name="digest">Of the content.</param>
    /// <param name="isByDigest">Whether the request names the digest, so that its answer never changes.</param>
    public static async ValueTask<bool> IsAnswerAsync(HttpContext context, Digest digest, bool isByDigest)
    {
        var (request, response) = (context.Request, context.Response);
        response.Headers["Docker-Content-Digest"] = digest.ToString();
        response.Headers.ETag = Of(digest);

        // Content is whatever a client pushed: a browser must neither guess that it is a page, nor run what is in it.
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.ContentSecurityPolicy = "sandbox";
        if (isByDigest)
        {
            response.Headers.CacheControl = Immutable;
        }

        if (Excludes(request, digest))
        {
            await context.WriteErrorAsync(OciError.PreconditionFailed());
            return true;
        }

        if (HasCurrent(request, digest))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return true;
        }

        return false;
    }

    /// <summary>Whether a Range may be answered: If-Range is absent or names this content.</summary>
    public static bool AllowsRange(HttpRequest request, Digest digest) =>
        StringValues.IsNullOrEmpty(request.Headers.IfRange) || request.Headers.IfRange == Of(digest);

    /// <summary>What must hold before a tag or manifest is changed.</summary>
    public static Precondition PreconditionOf(HttpRequest request) =>
        new(Parse(request.Headers.IfMatch, weak: false), Parse(request.Headers.IfNoneMatch, weak: true));

    /// <summary>Whether the client has this content already, and wants 304 instead of it.</summary>
    private static bool HasCurrent(HttpRequest request, Digest digest) =>
        Parse(request.Headers.IfNoneMatch, weak: true) is { } tags
        && (tags.Contains(Precondition.Any) || tags.Contains(digest.ToString()));

    /// <summary>Whether the client wants other content than this, or none: 412.</summary>
    private static bool Excludes(HttpRequest request, Digest digest) =>
        !new Precondition(Parse(request.Headers.IfMatch, weak: false), null).Allows(digest);

    /// <summary>
    /// The digests of a list of entity tags, or "*"; null when there is no header. A header that lists nothing is not
    /// none: an If-Match made from an empty variable must not let everything through. A weak tag equals none in a strong
    /// comparison (RFC 9110 §8.8.3.2), which is If-Match's.
    /// </summary>
    private static List<string>? Parse(StringValues header, bool weak)
    {
        if (header.Count == 0)
        {
            return null;
        }

        var tags = new List<string>();
        foreach (var text in header.ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var isWeak = text.StartsWith("W/", StringComparison.Ordinal);
            tags.Add(isWeak && !weak ? text : text[(isWeak ? 2 : 0)..].Trim('"'));
        }

        return tags;
    }
}
