using System.Runtime.CompilerServices;
using Azure;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Staged bytes as blocks of a blob that has the session's name. Publishing puts them together where they are, and points
/// the digest at that blob: no byte is copied. README.md has the steps, and what each crash leaves.
/// </summary>
internal sealed class AzureUploadStore(
    AzureContainer container, SmallBlobs blobs, BlobPointers pointers, StagedBlocks blocks, BlockMemory memory) : IUploadStore
{
    /// <summary>Metadata of a session's blob: the digest that it was put together for, and that may point at it.</summary>
    private const string DigestOfData = "digest";

    private const int Attempts = 8;
    private const int Sealing = -1; // the generation of a block that anybody may stage who publishes

    private readonly PublishedSessions _published = new();

    /// <summary>What the storage has confirmed, it has.</summary>
    public string Epoch => "azure";

    public bool AppendsInPlace => false;

    /// <summary>A generation is begun, never gone on with: two that stage under the same ids would overwrite each other.</summary>
    public ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken) =>
        offset == 0
            ? ForkAsync(key, 0, key, cancellationToken)
            : ValueTask.FromResult<IStagedBlob?>(null);

    public ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var parts = length == 0 ? StagedParts.Empty : StagedParts.Parse(source.Parts);
        return ValueTask.FromResult<IStagedBlob?>(parts.Length == length
            ? new AzureStagedBlob(blocks, memory, target.Session, target.Generation, parts)
            : null);
    }

    public async ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken)
    {
        var parts = StagedParts.Parse(key.Parts);
        var ids = parts.BlockIds().ToHashSet();
        var staged = await BlockListAsync(key.Session, BlockListTypes.All, cancellationToken);
        return (staged?.CommittedBlocks ?? []).Concat(staged?.UncommittedBlocks ?? [])
            .Where(block => ids.Remove(block.Name))
            .Sum(block => block.SizeLong);
    }

    public async ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken)
    {
        var parts = StagedParts.Parse(key.Parts);
        return await PutTogetherAsync(key.Session, parts, digest: null, cancellationToken)
            ? await AzureBlobContent.OpenAsync(
                container, new BlobPointer(key.Session, parts.Length), 0, parts.Length, cancellationToken)
            : null;
    }

    /// <summary>The one place where content becomes visible. Each step is safe to repeat, by anyone.</summary>
    public async ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken)
    {
        var own = new BlobPointer(key.Session, size);
        var parts = StagedParts.Parse(key.Parts);

        // (1) whole: the blob gets exactly the recorded blocks, once and for all
        if (parts.Length != size || !await PutTogetherAsync(key.Session, parts, digest, cancellationToken))
        {
            return await IsThereAsync(digest, size, cancellationToken) ? PublishResult.Published : PublishResult.Lost;
        }

        // (2) visible: the digest points at it, or at other content that is good
        var condition = WriteCondition.Absent;
        for (var attempt = 1; !await pointers.WriteAsync(digest, own, condition, cancellationToken); attempt++)
        {
            if (attempt == Attempts)
            {
                throw new StorageException($"The storage refuses to point {digest} at its content, and shows no other pointer.");
            }

            if (await pointers.ReadAsync(digest, cancellationToken) is not { } stored)
            {
                condition = WriteCondition.Absent; // deleted meanwhile
                continue;
            }

            if (stored.Pointer == own)
            {
                break;
            }

            if (stored.Pointer is { } other
                && other.Size == size
                && await blobs.LengthAsync(other.Data, cancellationToken) == size)
            {
                // Somebody else has brought the same: "already there" is success, and nobody needs it twice.
                await blobs.DeleteAsync(own.Data, WriteCondition.None, cancellationToken);
                return PublishResult.Published;
            }

            condition = WriteCondition.Unchanged(stored.Version); // it leads nowhere, or to damaged content
        }

        _published.Add(key.Session);
        return PublishResult.Published;
    }

    public async ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        await blocks.DeletePiecesAsync(
            key.Session, StagedParts.Parse(key.Parts).Runs.Where(run => run.Blocks == 0), cancellationToken);
        var data = BlobPointer.DataOf(key.Session);
        while (!_published.Contains(key.Session))
        {
            if (await blobs.PropertiesAsync(data, cancellationToken) is { } found)
            {
                if (await IsContentAsync(key.Session, found, cancellationToken)
                    || await blobs.DeleteAsync(data, WriteCondition.Unchanged(found.ETag.ToString()), cancellationToken))
                {
                    return;
                }
            }
            else if (await CommitAsync(key.Session, [], digest: null, cancellationToken) is { } emptied)
            {
                // A list without any of them drops all blocks that were staged.
                await blobs.DeleteAsync(data, WriteCondition.Unchanged(emptied), cancellationToken);
                return;
            }
        }
    }

    /// <summary>
    /// Blocks that nobody put together are dropped by the storage itself after a week, and their sessions are found by
    /// their documents: only pieces are listed, never content.
    /// </summary>
    public async IAsyncEnumerable<StagedKey> ListAsync(
        DateTimeOffset before, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var piece in blobs.ListAsync(StagedBlocks.PieceFolder, cancellationToken))
        {
            if (piece.Written < before
                && piece.Name.Split('/', '.') is [var id, var generation, var index]
                && UploadSessionId.TryParse(id, out var session))
            {
                yield return new StagedKey(session, 0, $"{generation}.{index}+0");
            }
        }
    }

    /// <summary>
    /// Makes a blob of the session's blocks. False when they are gone, or when others were put together: whoever asks was
    /// fenced.
    /// </summary>
    private async ValueTask<bool> PutTogetherAsync(
        UploadSessionId session, StagedParts parts, Digest? digest, CancellationToken cancellationToken)
    {
        var ids = parts.BlockIds().ToList();
        if (parts.Pieces.ToArray() is { Length: > 0 } pieces)
        {
            // The same block under the same id, whoever stages it.
            var last = StagedParts.BlockId(Sealing, ids.Count);
            if (!await HasPutTogetherAsync(session, [.. ids, last], cancellationToken))
            {
                await blocks.PutAsync(session, last, pieces, new Block(memory), cancellationToken);
            }

            ids.Add(last);
        }

        if (await CommitAsync(session, ids, digest, cancellationToken) is not null)
        {
            return true;
        }

        // Somebody was here before: an attempt whose answer was lost, a repetition, another replica. Or we are the late one.
        return await HasPutTogetherAsync(session, ids, cancellationToken)
            && (digest is null || await NameAsync(session, digest.Value, cancellationToken));
    }

    /// <summary>The version of the blob that the blocks have become; null when there is one already, or blocks are gone.</summary>
    private ValueTask<string?> CommitAsync(
        UploadSessionId session, List<string> ids, Digest? digest, CancellationToken cancellationToken)
    {
        var options = new CommitBlockListOptions
        {
            Conditions = new BlobRequestConditions { IfNoneMatch = ETag.All },
            HttpHeaders = new BlobHttpHeaders { ContentType = MediaTypes.OctetStream },
            Metadata = digest is null ? null : MetadataOf(digest.Value),
        };
        return container.CallAsync<string?>(
            async (_, token) =>
            {
                try
                {
                    var committed = await Data(session).CommitBlockListAsync(ids, options, token);
                    return committed.Value.ETag.ToString();
                }
                catch (RequestFailedException e)
                    when (AzureProblem.IsRefused(e) || e.ErrorCode == BlobErrorCode.InvalidBlockList)
                {
                    return null;
                }
            },
            cancellationToken);
    }

    private async ValueTask<bool> HasPutTogetherAsync(
        UploadSessionId session, List<string> ids, CancellationToken cancellationToken) =>
        await BlockListAsync(session, BlockListTypes.Committed, cancellationToken) is { } list
        && list.CommittedBlocks.Select(block => block.Name).SequenceEqual(ids);

    /// <summary>
    /// Makes the blob name the digest, even if it does already: with its new version, a removal of the same content that
    /// is under way no longer deletes it. False when it is gone.
    /// </summary>
    private async ValueTask<bool> NameAsync(UploadSessionId session, Digest digest, CancellationToken cancellationToken)
    {
        var isNamed = false;
        while (!isNamed && await blobs.PropertiesAsync(BlobPointer.DataOf(session), cancellationToken) is { } found)
        {
            isNamed = await container.CallAsync(
                async (_, token) =>
                {
                    try
                    {
                        await Data(session).SetMetadataAsync(
                            MetadataOf(digest), new BlobRequestConditions { IfMatch = found.ETag }, token);
                        return true;
                    }
                    catch (RequestFailedException e) when (AzureProblem.IsMissing(e) || AzureProblem.IsRefused(e))
                    {
                        return false; // deleted, or named by another request of the session, or by an attempt before
                    }
                },
                cancellationToken);
        }

        return isNamed;
    }

    /// <summary>Whether a session's blob is what its digest points at: then it is no longer the session's.</summary>
    private async ValueTask<bool> IsContentAsync(
        UploadSessionId session, BlobProperties data, CancellationToken cancellationToken) =>
        data.Metadata.TryGetValue(DigestOfData, out var text)
        && Digest.TryParse(text, out var digest)
        && (await pointers.ReadAsync(digest, cancellationToken))?.Pointer?.Session == session;

    private async ValueTask<bool> IsThereAsync(Digest digest, long size, CancellationToken cancellationToken) =>
        (await pointers.ReadAsync(digest, cancellationToken))?.Pointer is { } pointer
        && pointer.Size == size
        && await blobs.LengthAsync(pointer.Data, cancellationToken) == size;

    private ValueTask<BlockList?> BlockListAsync(
        UploadSessionId session, BlockListTypes types, CancellationToken cancellationToken) =>
        container.CallAsync<BlockList?>(
            async (_, token) =>
            {
                try
                {
                    return await Data(session).GetBlockListAsync(types, cancellationToken: token);
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
                {
                    return null;
                }
            },
            cancellationToken);

    private BlockBlobClient Data(UploadSessionId session) => container.Blob(BlobPointer.DataOf(session));

    private static Dictionary<string, string> MetadataOf(Digest digest) => new() { [DigestOfData] = digest.ToString() };
}
