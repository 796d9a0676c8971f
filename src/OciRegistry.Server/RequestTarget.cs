namespace OciRegistry.Server;

/// <summary>
/// Paths that the server would read otherwise than a proxy before it, which may guard some of them by their text: the server takes
/// <c>/v2/../metrics</c> for <c>/metrics</c>, and <c>/ADMIN</c> for <c>/admin</c>.
/// </summary>
internal static class RequestTarget
{
    private const string Registry = "/v2/";

    /// <summary>The error of a request's target as it was sent; null when there is none.</summary>
    /// <param name="target">The target.</param>
    /// <param name="prefix">The path that it may begin with, without a slash at its end; empty for none.</param>
    public static OciError? Problem(string target, string prefix = "")
    {
        var path = PathOf(target);
        if (HasPrefix(path, prefix))
        {
            path = path[prefix.Length..];
        }

        if (HasDotSegment(path))
        {
            return OciError.Unsupported("Invalid path: it has a segment '.' or '..'. Send the path without it.");
        }

        // Names of repositories, tags and digests are looked at by the registry itself.
        return path.StartsWith(Registry, StringComparison.Ordinal) || path.SequenceEqual("/v2") || IsPlain(path) ? null : OciError.NotFound();
    }

    /// <summary>Whether the path of a target begins with the prefix as it was sent: encoded in another way, it is another path.</summary>
    public static bool Begins(string target, string prefix) => HasPrefix(PathOf(target), prefix);

    private static bool HasPrefix(ReadOnlySpan<char> path, string prefix) =>
        path.StartsWith(prefix, StringComparison.Ordinal) && (path.Length == prefix.Length || path[prefix.Length] == '/');

    /// <summary>The path of an origin-form (<c>/path?query</c>) or an absolute-form (<c>http://host/path?query</c>).</summary>
    private static ReadOnlySpan<char> PathOf(string target)
    {
        var path = target.AsSpan();
        if (!path.StartsWith('/') && path.IndexOf("://") is >= 0 and var authority)
        {
            path = path[(authority + 3)..];
            path = path.IndexOf('/') is >= 0 and var start ? path[start..] : [];
        }

        var end = path.IndexOfAny('?', '#');
        return end < 0 ? path : path[..end];
    }

    private static bool HasDotSegment(ReadOnlySpan<char> path)
    {
        // Of most paths this is all: no segment begins with a dot, and nothing is encoded.
        if (path.IndexOf("/.") < 0 && path.IndexOfAny('%', '\\') < 0)
        {
            return false;
        }

        var decoded = Uri.UnescapeDataString(path).AsSpan();
        foreach (var segment in decoded.SplitAny('/', '\\'))
        {
            if (decoded[segment] is "." or "..")
            {
                return true;
            }
        }

        return false;
    }

    // All routes outside of /v2 have their fixed words, in lower-case letters, in the first two segments.
    private static bool IsPlain(ReadOnlySpan<char> path)
    {
        var slashes = 0;
        foreach (var c in path)
        {
            slashes += c == '/' ? 1 : 0;
            if (slashes > 2)
            {
                break;
            }

            if (c == '%' || char.IsAsciiLetterUpper(c))
            {
                return false;
            }
        }

        return true;
    }
}
