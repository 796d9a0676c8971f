using System.Buffers;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
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
    AzureContainer container, SmallBlobs blobs, BlobPointers pointers, StagedBlocks blocks, BlockMemory memory)
    : IUploadStore, IDisposable
{
    /// <summary>Metadata of a session's blob: the digest that it was put together for, and that may point at it.</summary>
    private const string DigestOfData = "digest";

    private const int Attempts = 8;
    private const int VerifyBuffer = 128 * 1024;
    private const int Sealing = -1; // the generation of a block that anybody may stage who publishes

    private readonly PublishedSessions _published = new();
    private readonly SemaphoreSlim _verifying = new(1, 1);

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
        return await PutTogetherAsync(key.Session, parts, digest: null, cancellationToken) is not null
            ? await AzureBlobContent.OpenAsync(
                container, new BlobPointer(key.Session, parts.Length), 0, parts.Length, cancellationToken)
            : null;
    }

    public void Dispose() => _verifying.Dispose();

    /// <summary>The one place where content becomes visible. Each step is safe to repeat, by anyone.</summary>
    public async ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken)
    {
        var own = new BlobPointer(key.Session, size);
        var parts = StagedParts.Parse(key.Parts);

        // (1) whole: the blob gets exactly the recorded blocks, once and for all
        if (parts.Length != size
            || await PutTogetherAsync(key.Session, parts, digest, cancellationToken) is not { } version)
        {
            return await IsThereAsync(digest, size, cancellationToken) ? PublishResult.Published : PublishResult.Lost;
        }

        // (2) visible: the digest points at it, or at other content that is good
        var condition = WriteCondition.Absent;
        for (var attempt = 1; !await pointers.WriteAsync(digest, own, version, condition, cancellationToken); attempt++)
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

            if (stored.Pointer == own && stored.Data == version)
            {
                break;
            }

            if (stored.Pointer != own && await IsIntactAsync(digest, size, stored, cancellationToken))
            {
                // Another session has brought the same: "already there" is success, and nobody needs it twice.
                await blobs.DeleteAsync(own.Data, WriteCondition.Unchanged(version), cancellationToken);
                return PublishResult.Published;
            }

            // It leads nowhere, to damaged content, which stays for the operator to look at, or to an older version of ours.
            condition = WriteCondition.Unchanged(stored.Version);
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
    /// Makes a blob of the session's blocks, and returns its version. Null when they are gone, or when others were put
    /// together: whoever asks was fenced.
    /// </summary>
    private async ValueTask<string?> PutTogetherAsync(
        UploadSessionId session, StagedParts parts, Digest? digest, CancellationToken cancellationToken)
    {
        var ids = parts.BlockIds().ToList();
        if (parts.Pieces.ToArray() is { Length: > 0 } pieces)
        {
            // The same block under the same id, whoever stages it.
            var last = StagedParts.BlockId(Sealing, ids.Count);
            if (await VersionOfAsync(session, [.. ids, last], cancellationToken) is null)
            {
                await blocks.PutAsync(session, last, pieces, new Block(memory), cancellationToken);
            }

            ids.Add(last);
        }

        if (await CommitAsync(session, ids, digest, cancellationToken) is { } version)
        {
            return version;
        }

        // Somebody was here before: an attempt whose answer was lost, a repetition, another replica. Or we are the late one.
        while (await VersionOfAsync(session, ids, cancellationToken) is { } found)
        {
            if (digest is not { } named)
            {
                return found;
            }

            if (await NameAsync(session, named, found, cancellationToken) is { } renamed)
            {
                return renamed;
            }
        }

        return null;
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

    /// <summary>The version of the session's blob, if it was put together of just these blocks.</summary>
    private ValueTask<string?> VersionOfAsync(
        UploadSessionId session, List<string> ids, CancellationToken cancellationToken) =>
        container.CallAsync<string?>(
            async (_, token) =>
            {
                try
                {
                    var list = await Data(session).GetBlockListAsync(BlockListTypes.Committed, cancellationToken: token);
                    return list.Value.CommittedBlocks.Select(block => block.Name).SequenceEqual(ids)
                        ? list.GetRawResponse().Headers.ETag?.ToString()
                        : null;
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
                {
                    return null;
                }
            },
            cancellationToken);

    /// <summary>
    /// Makes the blob name the digest, even if it does already: with its new version, a removal of the same content that
    /// is under way no longer deletes it. Null when it has changed or is gone.
    /// </summary>
    private ValueTask<string?> NameAsync(
        UploadSessionId session, Digest digest, string version, CancellationToken cancellationToken) =>
        container.CallAsync<string?>(
            async (_, token) =>
            {
                try
                {
                    var set = await Data(session).SetMetadataAsync(
                        MetadataOf(digest), new BlobRequestConditions { IfMatch = new ETag(version) }, token);
                    return set.Value.ETag.ToString();
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e) || AzureProblem.IsRefused(e))
                {
                    return null;
                }
            },
            cancellationToken);

    /// <summary>Whether a session's blob is what its digest points at: then it is no longer the session's.</summary>
    private async ValueTask<bool> IsContentAsync(
        UploadSessionId session, BlobProperties data, CancellationToken cancellationToken) =>
        data.Metadata.TryGetValue(DigestOfData, out var text)
        && Digest.TryParse(text, out var digest)
        && (await pointers.ReadAsync(digest, cancellationToken))?.Pointer?.Session == session;

    /// <summary>
    /// Whether a pointer leads to the content of its digest. The storage checks blocks by their MD5, and changes the ETag
    /// with every write: a blob that has the ETag of its pointer has the bytes that were verified. Any other is read,
    /// once: its ETag is noted then. One at a time, so that many who bring the same do not all read it.
    /// </summary>
    private async ValueTask<bool> IsIntactAsync(
        Digest digest, long size, StoredPointer stored, CancellationToken cancellationToken)
    {
        if (stored.Pointer is not { } pointer || pointer.Size != size)
        {
            return false;
        }

        var found = await blobs.PropertiesAsync(pointer.Data, cancellationToken);
        if (found?.ContentLength != size || found.ETag.ToString() == stored.Data)
        {
            return found?.ContentLength == size;
        }

        await _verifying.WaitAsync(cancellationToken);
        try
        {
            if (await pointers.ReadAsync(digest, cancellationToken) is not { } now || now.Pointer != pointer)
            {
                return false; // the caller looks again
            }

            if (now.Data == found.ETag.ToString())
            {
                return true; // read while we waited
            }

            await using var content = await AzureBlobContent.OpenAsync(container, pointer, 0, size, cancellationToken);
            if (content is null || !await HasDigestAsync(content, digest, cancellationToken))
            {
                return false;
            }

            // Refused: another one who brings the same has noted it, or whoever removes it is told by what we confirm next.
            await pointers.WriteAsync(
                digest, pointer, content.Version, WriteCondition.Unchanged(now.Version), cancellationToken);
            return true;
        }
        finally
        {
            _verifying.Release();
        }
    }

    private static async ValueTask<bool> HasDigestAsync(
        AzureBlobContent content, Digest digest, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(
            digest.Algorithm == DigestAlgorithm.Sha512 ? HashAlgorithmName.SHA512 : HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(VerifyBuffer);
        try
        {
            for (var offset = 0L; offset < content.Length;)
            {
                var read = await content.ReadAsync(buffer, offset, cancellationToken);
                hash.AppendData(buffer.AsSpan(0, read));
                offset += read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset()) == digest.Hex;
    }

    private async ValueTask<bool> IsThereAsync(Digest digest, long size, CancellationToken cancellationToken) =>
        (await pointers.ReadAsync(digest, cancellationToken))?.Pointer is { } pointer
        && pointer.Size == size
        && (await blobs.PropertiesAsync(pointer.Data, cancellationToken))?.ContentLength == size;

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
