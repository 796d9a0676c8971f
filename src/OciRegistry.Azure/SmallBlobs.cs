using System.Runtime.CompilerServices;
using Azure;
using Azure.Storage;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Blobs that are read and written as a whole: what documents and pointers are. A version is an ETag, so the storage itself
/// compares and swaps. A call whose answer was lost is made again, and knows its own work when it finds it.
/// </summary>
internal sealed class SmallBlobs(AzureContainer container)
{
    /// <summary>The most that one page of a listing has.</summary>
    public const int LargestPage = 5_000;

    /// <summary>Metadata: which call has written the blob.</summary>
    private const string WrittenBy = "write";

    public ValueTask<Document?> ReadAsync(string name, CancellationToken cancellationToken) =>
        container.CallAsync<Document?>(
            async (_, token) =>
            {
                try
                {
                    var read = await container.Blob(name).DownloadContentAsync(token);
                    return new Document(read.Value.Content.ToMemory(), read.Value.Details.ETag.ToString());
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
                {
                    return null;
                }
            },
            cancellationToken);

    /// <summary>Bytes of a blob, be it small or not; null when there is none.</summary>
    public async ValueTask<long?> LengthAsync(string name, CancellationToken cancellationToken) =>
        (await PropertiesAsync(name, cancellationToken))?.ContentLength;

    public ValueTask<BlobProperties?> PropertiesAsync(string name, CancellationToken cancellationToken) =>
        container.CallAsync<BlobProperties?>((_, token) => FindAsync(container.Blob(name), token), cancellationToken);

    /// <inheritdoc cref="IDocumentStore.WriteAsync"/>
    public ValueTask<string?> WriteAsync(
        string name, ReadOnlyMemory<byte> content, WriteCondition condition, CancellationToken cancellationToken)
    {
        var blob = container.Blob(name);
        var written = Guid.NewGuid().ToString("n");
        var options = new BlobUploadOptions
        {
            Conditions = ConditionsOf(condition),
            Metadata = new Dictionary<string, string> { [WrittenBy] = written },
            TransferValidation = new UploadTransferValidationOptions { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 },
        };
        return container.CallAsync<string?>(
            async (mayHaveHappened, token) =>
            {
                try
                {
                    var upload = await blob.UploadAsync(BinaryData.FromBytes(content).ToStream(), options, token);
                    return upload.Value.ETag.ToString();
                }
                catch (RequestFailedException e) when (AzureProblem.IsRefused(e) || AzureProblem.IsMissing(e))
                {
                    return mayHaveHappened
                        && await FindAsync(blob, token) is { } found
                        && found.Metadata.TryGetValue(WrittenBy, out var by)
                        && by == written
                            ? found.ETag.ToString()
                            : null;
                }
            },
            cancellationToken,
            content.Length);
    }

    /// <inheritdoc cref="IDocumentStore.DeleteAsync"/>
    public ValueTask<bool> DeleteAsync(string name, WriteCondition condition, CancellationToken cancellationToken) =>
        container.CallAsync(
            async (mayHaveHappened, token) =>
            {
                try
                {
                    await container.Blob(name).DeleteAsync(conditions: ConditionsOf(condition), cancellationToken: token);
                    return true;
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
                {
                    return mayHaveHappened;
                }
                catch (RequestFailedException e) when (AzureProblem.IsRefused(e))
                {
                    return false;
                }
            },
            cancellationToken);

    /// <summary>A page of the names with a prefix, which is left out, in order; the marker of the next one, or null.</summary>
    public ValueTask<(IReadOnlyList<ListedBlob> Blobs, string? Marker)> PageAsync(
        string prefix, string? marker, int size, CancellationToken cancellationToken) =>
        container.CallAsync<(IReadOnlyList<ListedBlob>, string?)>(
            async (_, token) =>
            {
                var whole = container.Prefixed(prefix);
                await using var pages = container.Client.GetBlobsAsync(prefix: whole, cancellationToken: token)
                    .AsPages(marker, size).GetAsyncEnumerator(token);
                if (!await pages.MoveNextAsync())
                {
                    throw new IOException("the listing has no page");
                }

                var next = pages.Current.ContinuationToken;
                return ([.. pages.Current.Values.Select(blob => new ListedBlob(
                    blob.Name[whole.Length..], blob.Properties.LastModified ?? DateTimeOffset.MaxValue))],
                    string.IsNullOrEmpty(next) ? null : next);
            },
            cancellationToken);

    /// <summary>All names with a prefix, which is left out: for sweeps.</summary>
    public async IAsyncEnumerable<ListedBlob> ListAsync(
        string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? marker = null;
        do
        {
            (var page, marker) = await PageAsync(prefix, marker, LargestPage, cancellationToken);
            foreach (var blob in page)
            {
                yield return blob;
            }
        }
        while (marker is not null);
    }

    private static async Task<BlobProperties?> FindAsync(BlockBlobClient blob, CancellationToken cancellationToken)
    {
        try
        {
            return await blob.GetPropertiesAsync(cancellationToken: cancellationToken);
        }
        catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
        {
            return null;
        }
    }

    private static BlobRequestConditions? ConditionsOf(WriteCondition condition) =>
        condition.MustNotExist ? new BlobRequestConditions { IfNoneMatch = ETag.All }
        : condition.Version is { } version ? new BlobRequestConditions { IfMatch = new ETag(version) }
        : null;
}

/// <param name="Name">Without what was asked for.</param>
/// <param name="Written">When it last was.</param>
internal readonly record struct ListedBlob(string Name, DateTimeOffset Written);
