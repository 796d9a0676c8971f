using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>Documents as blobs of their own.</summary>
internal sealed class AzureDocumentStore(SmallBlobs blobs) : IDocumentStore
{
    private readonly ListMarkers _markers = new();

    public async ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) =>
        await blobs.ReadAsync(AzureNames.Document(key), cancellationToken) is { } read
            ? new Document(read.Content, read.Version)
            : null;

    public ValueTask<int> ReadPartAsync(
        DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        blobs.ReadPartAsync(AzureNames.Document(key), offset, buffer, cancellationToken);

    public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) =>
        blobs.ExistsAsync(AzureNames.Document(key), cancellationToken);

    public ValueTask<string?> WriteAsync(
        DocumentKey key,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken) =>
        blobs.WriteAsync(AzureNames.Document(key), content, condition, cancellationToken);

    public ValueTask<bool> DeleteAsync(
        DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
        blobs.DeleteAsync(AzureNames.Document(key), condition, cancellationToken);

    public async ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken)
    {
        var prefix = AzureNames.Folder(folder);
        var names = new List<string>();
        var (marker, isExact) = _markers.Before(folder, after);
        do
        {
            // Where names are to be skipped first, as many of them as there are in a page.
            var size = isExact ? Math.Min(limit - names.Count, SmallBlobs.LargestPage) : SmallBlobs.LargestPage;
            (var page, marker) = await blobs.PageAsync(prefix, marker, size, cancellationToken);
            string? last = null;
            foreach (var blob in page)
            {
                if (AzureNames.Decode(blob.Name) is not { } name)
                {
                    continue; // not the registry's
                }

                last = name; // one that was deleted may be written again, behind a marker too
                if (blob.IsDeleted)
                {
                    continue;
                }

                if (after is null || string.CompareOrdinal(name, after) > 0)
                {
                    names.Add(name);
                }
            }

            if (last is not null && marker is not null)
            {
                _markers.Add(folder, last, marker);
            }
        }
        while (marker is not null && names.Count < limit);

        return names.Count > limit ? names.GetRange(0, limit) : names;
    }

    public async ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) =>
        (await ListAsync(folder, null, 1, cancellationToken)).Count > 0;
}
