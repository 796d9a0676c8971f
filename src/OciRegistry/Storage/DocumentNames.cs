namespace OciRegistry.Storage;

/// <summary>Lists of documents whose names have a grammar: tags, repositories, sessions.</summary>
internal static class DocumentNames
{
    /// <summary>
    /// As <see cref="IDocumentStore.ListAsync"/>, without the names that cannot be right: documents that other programs have
    /// put there. A page is only shorter than <paramref name="limit"/> at the end.
    /// </summary>
    public static async ValueTask<IReadOnlyList<string>> ListAsync(
        this IDocumentStore documents,
        string folder,
        Func<string, bool> isName,
        string? after,
        int limit,
        CancellationToken cancellationToken)
    {
        var page = await documents.ListAsync(folder, after, limit, cancellationToken);
        if (page.All(isName))
        {
            return page;
        }

        var names = new List<string>();
        while (page.Count > 0 && names.Count < limit)
        {
            names.AddRange(page.Where(isName).Take(limit - names.Count));
            page = await documents.ListAsync(folder, page[^1], limit, cancellationToken);
        }

        return names;
    }
}
