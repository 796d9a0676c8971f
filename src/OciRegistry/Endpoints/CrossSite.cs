using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// Requests that a page of another site sends from a user's browser. Browsers add the user's address, and credentials that they
/// remember, so such a page could push and delete wherever the user can. Browsers name the page's site; container clients do not.
/// </summary>
internal static class CrossSite
{
    /// <summary>Whether a request would change something for a page of another site.</summary>
    /// <param name="context">The request.</param>
    /// <param name="hosts">Host names that are this registry's own, beside the one that the request was sent to.</param>
    /// <param name="origins">Origins of other sites whose pages may change something; <c>*</c> is not one.</param>
    public static bool IsForeignChange(HttpContext context, IList<string> hosts, IList<string> origins)
    {
        var request = context.Request;
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method))
        {
            return false;
        }

        // No page can write this header, and a proxy may have written another Host than the page's own.
        if (request.Headers.TryGetValue("Sec-Fetch-Site", out var own) && own is ["same-origin"])
        {
            return false;
        }

        var host = request.Headers.Host.ToString();
        var isListed = false;
        foreach (var origin in request.Headers.Origin)
        {
            if (IsIn(origins, origin))
            {
                isListed = true;
            }
            else if (AuthorityOf(origin) is { } authority && HostName.IsListed(hosts, HostName.Of(authority)))
            {
                isListed = true;
            }
            else if (!IsOf(host, origin))
            {
                return true;
            }
        }

        // To the browser a page of a listed host is of another site.
        return !isListed
            && request.Headers.TryGetValue("Sec-Fetch-Site", out var site)
            && site.Contains("cross-site", StringComparer.OrdinalIgnoreCase);
    }

    private static bool IsIn(IList<string> origins, string? origin)
    {
        foreach (var listed in origins)
        {
            if (listed.Equals(origin, StringComparison.OrdinalIgnoreCase) && listed != CrossOriginOptions.Every)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Whether an origin is that of the host which the request was sent to; "null", which a sandboxed page has, is not. The scheme is
    /// not compared: a proxy may end TLS.
    /// </summary>
    private static bool IsOf(string host, string? origin)
    {
        if (AuthorityOf(origin) is not { } authority)
        {
            return false;
        }

        // Some proxies write the scheme's own port into Host. Browsers leave it out.
        var port = origin!.StartsWith("https:", StringComparison.OrdinalIgnoreCase) ? ":443" : ":80";
        return host.Equals(authority, StringComparison.OrdinalIgnoreCase)
            || (host.Length == authority.Length + port.Length
                && host.EndsWith(port, StringComparison.Ordinal)
                && host.StartsWith(authority, StringComparison.OrdinalIgnoreCase));
    }

    private static string? AuthorityOf(string? origin) =>
        origin?.IndexOf("://", StringComparison.Ordinal) is >= 0 and var colon ? origin[(colon + 3)..] : null;
}
