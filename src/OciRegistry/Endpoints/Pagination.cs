using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace OciRegistry.Endpoints;

/// <summary>The paging of lists: <c>n</c>, <c>last</c> and a Link to the next page (spec end-8b).</summary>
internal readonly record struct Pagination(int Limit, string? After)
{
    /// <summary>False when <c>n</c> is no number; a number beyond what we list at once is answered with a Link.</summary>
    public static bool TryRead(HttpRequest request, int maxPageSize, out Pagination page)
    {
        var n = request.Query["n"];
        var last = request.Query["last"].FirstOrDefault();
        page = new Pagination(maxPageSize, string.IsNullOrEmpty(last) ? null : last);
        if (StringValues.IsNullOrEmpty(n))
        {
            return true;
        }

        var text = n[0];
        if (n.Count > 1 || text.AsSpan().ContainsAnyExceptInRange('0', '9'))
        {
            return false;
        }

        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var limit))
        {
            page = page with { Limit = Math.Min(limit, maxPageSize) };
        }

        return true;
    }

    public static OciError Invalid() =>
        OciError.PaginationInvalid("The parameter n must be a whole number, 0 or greater, and be there once.");

    /// <summary>Links the page that starts after <paramref name="last"/> (RFC 8288), relative to the server.</summary>
    public void LinkNext(HttpContext context, string last, string? filter = null)
    {
        var path = context.Request.PathBase.Add(context.Request.Path).ToUriComponent();
        var query = $"n={Limit.ToString(CultureInfo.InvariantCulture)}&last={Uri.EscapeDataString(last)}{filter}";
        context.Response.Headers.Link = $"<{path}?{query}>; rel=\"next\"";
    }
}
