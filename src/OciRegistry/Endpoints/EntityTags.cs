using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using OciRegistry.Repositories;

namespace OciRegistry.Endpoints;

/// <summary>Conditional requests (RFC 9110 §13). The entity tag of content is its digest in quotes, always a strong one.</summary>
internal static class EntityTags
{
    public static string Of(Digest digest) => $"\"{digest}\"";

    /// <summary>Whether the client has this content already, and wants 304 instead of it.</summary>
    public static bool HasCurrent(HttpRequest request, Digest digest) =>
        Parse(request.Headers.IfNoneMatch) is { } tags && (tags.Count == 0 || tags.Contains(digest.ToString()));

    /// <summary>Whether a Range may be answered: If-Range is absent or names this content.</summary>
    public static bool AllowsRange(HttpRequest request, Digest digest) =>
        StringValues.IsNullOrEmpty(request.Headers.IfRange) || request.Headers.IfRange == Of(digest);

    /// <summary>What must hold before a tag or manifest is changed.</summary>
    public static Precondition Precondition(HttpRequest request) =>
        new(Parse(request.Headers.IfMatch), Parse(request.Headers.IfNoneMatch));

    /// <summary>The digests of a list of entity tags; empty for "*"; null when there is no header.</summary>
    private static List<string>? Parse(StringValues header)
    {
        if (StringValues.IsNullOrEmpty(header))
        {
            return null;
        }

        var tags = new List<string>();
        foreach (var text in header.ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (text == "*")
            {
                return [];
            }

            var tag = text.StartsWith("W/", StringComparison.Ordinal) ? text[2..] : text;
            tags.Add(tag.Trim('"'));
        }

        return tags;
    }
}
