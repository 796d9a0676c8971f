using System.Runtime.CompilerServices;
using Azure;
using Azure.Storage;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Blobs that are read and written as a whole: documents and pointers. A version is an ETag, so the storage itself
/// compares and swaps. A call whose answer was lost is made again, and recognizes its own work when it finds it.
/// </summary>
/// <remarks>
/// A call that timed out may reach the storage later than the calls that were made after it. So every write and every
/// delete has a condition that a later change makes false: If-Match, or If-None-Match for what is to be new. A write or
/// delete of whatever is there reads the version first, or knows it, and is repeated when the version has changed.
/// One thing changes back: what was created and deleted is absent again, and a create that timed out could then
/// land. A blob whose creation took several attempts is therefore marked as unsettled; it is not deleted but
/// overwritten with a tombstone, which reads and lists as absent and refuses the late create. Listings delete tombstones
/// after an hour by the storage's clock; no storage accepts a request that old.
/// </remarks>
internal sealed class SmallBlobs(AzureContainer container) : IDisposable
{
    /// <summary>The most that one page of a listing has.</summary>
    public const int LargestPage = 5_000;

    /// <summary>Metadata: which call has written the blob.</summary>
    private const string WrittenBy = "write";

    /// <summary>Metadata: what the writer has noted beside the content.</summary>
    private const string NoteBeside = "note";

    /// <summary>Metadata: an attempt to create the blob may still be on its way.</summary>
    private const string Unsettled = "unsettled";

    /// <summary>The end of the version of such a blob: whoever overwrites or deletes it knows.</summary>
    private const char UnsettledEnd = '~';

    /// <summary>The content type of a blob that was deleted; listings have it too.</summary>
    private const string Tombstone = "application/vnd.oci-registry.deleted";

    private const int ConflictsAtMost = 60; // with the pauses: half a minute
    private const int RememberedVersions = 10_000; // of about 300 bytes
    private const int TombstonesAtOnce = 16;
    private const int MostLarge = 8;

    // More than nearly all manifests have.
    private const int LargestUncounted = 128 * 1024;

    private static readonly TimeSpan TombstoneAge = TimeSpan.FromHours(1);
    private static readonly TimeSpan LongestConflictPause = TimeSpan.FromMilliseconds(500);

    // What was last seen of blobs: the condition of a write or delete of whatever is there. Old ones are refused, and read.
    private readonly Remembered<string, string> _versions = new(RememberedVersions);
    private readonly SemaphoreSlim _large = new(MostLarge);
    private readonly Remembered<string, bool> _knownLarge = new(RememberedVersions);

    /// <summary>Null when there is no such blob. Those of more than 128 KiB are read a few at a time: clients decide how many are asked for.</summary>
    public async ValueTask<SmallBlob?> ReadAsync(string name, CancellationToken cancellationToken)
    {
        if (!_knownLarge.Contains(name))
        {
            var (found, isLarge) = await ReadAsync(name, isCounted: false, cancellationToken);
            if (!isLarge)
            {
                return found;
            }

            _knownLarge.Set(name, true);
        }

        await container.WaitAsync(_large, cancellationToken); // before the call, whose time is limited
        try
        {
            return (await ReadAsync(name, isCounted: true, cancellationToken)).Found;
        }
        finally
        {
            _large.Release();
        }
    }

    private ValueTask<(SmallBlob? Found, bool IsLarge)> ReadAsync(string name, bool isCounted, CancellationToken cancellationToken) =>
        container.CallAsync<(SmallBlob?, bool)>(
            async (_, token) =>
            {
                try
                {
                    using var read = (await container.Blob(name).DownloadStreamingAsync(cancellationToken: token)).Value;
                    var version = VersionOf(read.Details.ETag, read.Details.Metadata);
                    if (read.Details.ContentType == Tombstone)
                    {
                        return (null, false);
                    }

                    if (read.Details.ContentLength > LargestUncounted && !isCounted)
                    {
                        return (null, true);
                    }

                    var content = new byte[read.Details.ContentLength];
                    await read.Content.ReadExactlyAsync(content, token);
                    _versions.Set(name, version);
                    return (new SmallBlob(content, version, read.Details.Metadata.TryGetValue(NoteBeside, out var note) ? note : null), false);
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
                {
                    return (null, false);
                }
            },
            cancellationToken);

    /// <inheritdoc cref="IDocumentStore.ReadPartAsync"/>
    public ValueTask<int> ReadPartAsync(string name, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        buffer.IsEmpty ? ValueTask.FromResult(0) : container.CallAsync(
            async (_, token) =>
            {
                try
                {
                    var options = new BlobDownloadOptions { Range = new HttpRange(offset, buffer.Length) };
                    using var read = (await container.Blob(name).DownloadStreamingAsync(options, token)).Value;
                    return read.Details.ContentType == Tombstone
                        ? 0
                        : await read.Content.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, token);
                }
                catch (RequestFailedException e) when (AzureProblem.IsMissing(e) || e.ErrorCode == BlobErrorCode.InvalidRange)
                {
                    return 0;
                }
            },
            cancellationToken);

    public void Dispose() => _large.Dispose();

    /// <summary>What the storage says of a blob, be it small or not; null when there is none.</summary>
    public ValueTask<BlobProperties?> PropertiesAsync(string name, CancellationToken cancellationToken) =>
        container.CallAsync<BlobProperties?>((_, token) => FindAsync(container.Blob(name), token), cancellationToken);

    public async ValueTask<bool> ExistsAsync(string name, CancellationToken cancellationToken) =>
        await PropertiesAsync(name, cancellationToken) is { } found && found.ContentType != Tombstone;

    /// <inheritdoc cref="IDocumentStore.WriteAsync"/>
    /// <param name="name">The blob.</param>
    /// <param name="content">Its content.</param>
    /// <param name="condition">When it may be written.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    /// <param name="note">Kept beside the content, where other releases do not look: ASCII.</param>
    public async ValueTask<string?> WriteAsync(
        string name,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        CancellationToken cancellationToken,
        string? note = null)
    {
        if (condition != WriteCondition.None)
        {
            return (await TryWriteAsync(name, content, condition, note, cancellationToken)).Version;
        }

        // New, unless it was seen before: most documents are written once.
        condition = _versions.TryGet(name, out var known) ? WriteCondition.Unchanged(known) : WriteCondition.Absent;
        for (var conflicts = 0; ; conflicts++)
        {
            var (version, found) = await TryWriteAsync(name, content, condition, note, cancellationToken);
            if (version is not null)
            {
                return version;
            }

            await PauseAsync(name, conflicts, cancellationToken);
            found ??= await PropertiesAsync(name, cancellationToken);
            condition = found is null ? WriteCondition.Absent : WriteCondition.Unchanged(VersionOf(found));
        }
    }

    /// <inheritdoc cref="IDocumentStore.DeleteAsync"/>
    public async ValueTask<bool> DeleteAsync(string name, WriteCondition condition, CancellationToken cancellationToken)
    {
        if (condition.MustNotExist)
        {
            return false; // what is absent cannot be deleted
        }

        if (condition.Version is { } version)
        {
            return await TryDeleteAsync(name, version, cancellationToken);
        }

        for (var conflicts = 0; ; conflicts++)
        {
            if (conflicts > 0 || !_versions.TryGet(name, out var known))
            {
                if (await PropertiesAsync(name, cancellationToken) is not { } found || found.ContentType == Tombstone)
                {
                    return false;
                }

                known = VersionOf(found);
            }

            if (await TryDeleteAsync(name, known, cancellationToken))
            {
                return true;
            }

            await PauseAsync(name, conflicts, cancellationToken);
        }
    }

    /// <summary>Deletes a blob under a name that is never used again: a delete that lands late finds nothing else there.</summary>
    public async ValueTask DeleteForEverAsync(string name, CancellationToken cancellationToken) =>
        await container.CallAsync(
            (_, token) => DeleteOnceAsync(name, new BlobRequestConditions { IfMatch = ETag.All }, token),
            cancellationToken);

    /// <summary>
    /// A page of the names with a prefix, which is left out, in order, with what was deleted not long ago; the marker of
    /// the next one, or null.
    /// </summary>
    public async ValueTask<(IReadOnlyList<ListedBlob> Blobs, string? Marker)> PageAsync(
        string prefix, string? marker, int size, CancellationToken cancellationToken)
    {
        var (blobs, next, old) = await container.CallAsync<(IReadOnlyList<ListedBlob>, string?, List<BlobItem>)>(
            async (_, token) =>
            {
                var whole = container.Prefixed(prefix);
                await using var pages = container.Client.GetBlobsAsync(prefix: whole, cancellationToken: token)
                    .AsPages(marker, size).GetAsyncEnumerator(token);
                if (!await pages.MoveNextAsync())
                {
                    throw new IOException("the listing has no page");
                }

                var page = pages.Current;
                var before = (page.GetRawResponse().Headers.Date ?? DateTimeOffset.MinValue) - TombstoneAge;
                return (
                    [.. page.Values.Select(blob => new ListedBlob(
                        blob.Name[whole.Length..],
                        blob.Properties.LastModified ?? DateTimeOffset.MaxValue,
                        blob.Properties.ContentType == Tombstone))],
                    string.IsNullOrEmpty(page.ContinuationToken) ? null : page.ContinuationToken,
                    [.. page.Values.Where(blob => blob.Properties.ContentType == Tombstone && blob.Properties.LastModified < before)
                        .Take(TombstonesAtOnce)]);
            },
            cancellationToken);
        await Task.WhenAll(old.Select(RemoveTombstoneAsync));
        return (blobs, next);
    }

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
                if (!blob.IsDeleted)
                {
                    yield return blob;
                }
            }
        }
        while (marker is not null);
    }

    /// <summary>The new version; where there is none, what was found instead, if it was looked for.</summary>
    private async ValueTask<(string? Version, BlobProperties? Found)> TryWriteAsync(
        string name,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        string? note,
        CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid().ToString("n");
        string? created = null;

        // An attempt goes on where the one before failed: beginning anew, it would need up to three good answers in a row.
        var over = condition.Version;
        var mustLook = false;
        var written = await container.CallAsync<(string? Version, BlobProperties? Found)>(
            async (mayHaveHappened, token) =>
            {
                while (true)
                {
                    // A create of which other attempts may be on their way. Over a tombstone, and once marked, for ever.
                    var isUnsettled = IsUnsettled(over) || (condition.MustNotExist && mayHaveHappened);
                    if (!mustLook)
                    {
                        try
                        {
                            return (await PutAsync(name, content, over, isUnsettled, id, note, token), null);
                        }
                        catch (RequestFailedException e) when (AzureProblem.IsRefused(e) || AzureProblem.IsMissing(e))
                        {
                            if (!mayHaveHappened && !condition.MustNotExist)
                            {
                                return (null, null);
                            }

                            mustLook = true;
                        }
                    }

                    var found = await FindAsync(container.Blob(name), token);
                    mustLook = false;
                    if (found is not null && found.Metadata.TryGetValue(WrittenBy, out var by) && by == id)
                    {
                        created = VersionOf(found);
                        if (!condition.MustNotExist || IsUnsettled(created))
                        {
                            return (created, null);
                        }

                        over = created; // by the first attempt, which has marked nothing: written again, marked
                    }
                    else if (created is not null)
                    {
                        return (created, null); // and was changed or deleted at once
                    }
                    else if (condition.MustNotExist && found?.ContentType == Tombstone)
                    {
                        over = VersionOf(found);
                    }
                    else if (found is null && over != condition.Version)
                    {
                        over = condition.Version; // a listing has deleted the tombstone
                    }
                    else
                    {
                        return (null, found);
                    }
                }
            },
            cancellationToken,
            content.Length);
        if (written.Version is { } version)
        {
            _versions.Set(name, version);
        }
        else if (written.Found is { ContentType: not Tombstone } found)
        {
            _versions.Set(name, VersionOf(found));
        }

        return written;
    }

    /// <summary>Writes over the version <paramref name="over"/>; where that is null, what is written must be new.</summary>
    private async Task<string> PutAsync(
        string name, ReadOnlyMemory<byte> content, string? over, bool isUnsettled, string id, string? note, CancellationToken token)
    {
        var metadata = new Dictionary<string, string> { [WrittenBy] = id };
        if (isUnsettled)
        {
            metadata.Add(Unsettled, "1");
        }

        if (note is not null)
        {
            metadata.Add(NoteBeside, note);
        }

        var options = new BlobUploadOptions
        {
            Conditions = over is null ? new BlobRequestConditions { IfNoneMatch = ETag.All } : IfMatch(over),
            Metadata = metadata,
            TransferValidation = new UploadTransferValidationOptions { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 },
        };
        var upload = await container.Blob(name).UploadAsync(BinaryData.FromBytes(content).ToStream(), options, token);
        return VersionOf(upload.Value.ETag, metadata);
    }

    private async ValueTask<bool> TryDeleteAsync(string name, string version, CancellationToken cancellationToken)
    {
        _versions.Forget(name);
        return IsUnsettled(version)
            ? await BuryAsync(name, version, cancellationToken)
            : await container.CallAsync(
                async (mayHaveHappened, token) => await DeleteOnceAsync(name, IfMatch(version), token)
                    || (mayHaveHappened && await FindAsync(container.Blob(name), token) is null),
                cancellationToken);
    }

    /// <summary>False when the condition did not hold, or there is no such blob: some answer so before they look.</summary>
    private async Task<bool> DeleteOnceAsync(string name, BlobRequestConditions conditions, CancellationToken token)
    {
        try
        {
            await container.Blob(name).DeleteAsync(conditions: conditions, cancellationToken: token);
            return true;
        }
        catch (RequestFailedException e) when (AzureProblem.IsMissing(e) || AzureProblem.IsRefused(e))
        {
            return false;
        }
    }

    /// <summary>Overwrites a blob with a tombstone.</summary>
    private ValueTask<bool> BuryAsync(string name, string version, CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid().ToString("n");
        var options = new BlobUploadOptions
        {
            Conditions = IfMatch(version),
            HttpHeaders = new BlobHttpHeaders { ContentType = Tombstone },
            Metadata = new Dictionary<string, string> { [WrittenBy] = id, [Unsettled] = "1" },
        };
        return container.CallAsync(
            async (mayHaveHappened, token) =>
            {
                try
                {
                    await container.Blob(name).UploadAsync(Stream.Null, options, token);
                    return true;
                }
                catch (RequestFailedException e) when (AzureProblem.IsRefused(e) || AzureProblem.IsMissing(e))
                {
                    return mayHaveHappened
                        && await FindAsync(container.Blob(name), token) is { } found
                        && found.Metadata.TryGetValue(WrittenBy, out var by)
                        && by == id;
                }
            },
            cancellationToken);
    }

    /// <summary>One that cannot be deleted now, or has been overwritten, is left to the next listing.</summary>
    private async Task RemoveTombstoneAsync(BlobItem tombstone)
    {
        try
        {
            await container.OnceAsync(
                token => container.Client.GetBlobClient(tombstone.Name).DeleteAsync(
                    conditions: new BlobRequestConditions { IfMatch = tombstone.Properties.ETag }, cancellationToken: token),
                CancellationToken.None);
        }
        catch (Exception e) when (AzureProblem.IsOne(e))
        {
            // As said.
        }
    }

    /// <summary>After a conflict: at random, so that several writers of one blob do not meet each time.</summary>
    private static async ValueTask PauseAsync(string name, int conflicts, CancellationToken cancellationToken)
    {
        if (conflicts == ConflictsAtMost)
        {
            throw new StorageException($"{name} is changed by too many others at once. Try again.");
        }

        if (conflicts > 0)
        {
            var longest = Math.Min(LongestConflictPause.TotalMilliseconds, 10 << Math.Min(conflicts, 10));
            await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.NextDouble() * longest), cancellationToken);
        }
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

    private static string VersionOf(BlobProperties found) => VersionOf(found.ETag, found.Metadata);

    private static string VersionOf(ETag tag, IDictionary<string, string> metadata) =>
        metadata.ContainsKey(Unsettled) ? $"{tag}{UnsettledEnd}" : tag.ToString();

    private static bool IsUnsettled(string? version) => version is [.., UnsettledEnd];

    private static BlobRequestConditions IfMatch(string version) => new() { IfMatch = new ETag(version.TrimEnd(UnsettledEnd)) };
}

/// <param name="Content">All of it.</param>
/// <param name="Version">Its version.</param>
/// <param name="Note">What was noted beside it; null for nothing.</param>
internal sealed record SmallBlob(ReadOnlyMemory<byte> Content, string Version, string? Note);

/// <param name="Name">Without the prefix that was asked for.</param>
/// <param name="Written">When it last was.</param>
/// <param name="IsDeleted">It is a tombstone.</param>
internal readonly record struct ListedBlob(string Name, DateTimeOffset Written, bool IsDeleted);
