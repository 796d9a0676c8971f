namespace OciRegistry.PullThrough;

/// <summary>The next page of a list (RFC 8288): its query only, for an upstream decides about the place on none but itself.</summary>
internal static class UpstreamLink
{
    private const int MaxLength = 4 * 1024;

    public static string? NextQuery(HttpResponseMessage response)
    {
        if (!response.Headers.TryGetValues("Link", out var values))
        {
            return null;
        }

        foreach (var link in values.SelectMany(value => value.Split(',')))
        {
            var (start, end) = (link.IndexOf('<', StringComparison.Ordinal), link.IndexOf('>', StringComparison.Ordinal));
            if (start >= 0 && end > start && end - start < MaxLength
                && link.AsSpan(end).Contains("next", StringComparison.OrdinalIgnoreCase)
                && link.IndexOf('?', start) is > 0 and var query && query < end)
            {
                return link[(query + 1)..end];
            }
        }

        return null;
    }
}
