using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Which blobs a repository serves. Content is shared; a repository's link to it is what makes it readable there, and the
/// link is read on every request, so that a delete takes effect at once and everywhere. Nothing here is cached.
/// </summary>
internal sealed partial class RepositoryBlobs(
    IDocumentStore documents,
    IBlobStore blobs,
    CondemnedContent condemned,
    RepositoryCatalog catalog,
    RegistryMetrics metrics,
    ILogger<RepositoryBlobs> log)
{
    // Most blobs have one holder, or a few; that of a base image may have thousands.
    private const int HolderPage = 100;
    private const int MaxHeld = 50_000; // some 10 MB

    // Links whose reverse link was seen to stand, by their version: it stands for as long as that version does.
    private readonly Remembered<(RepositoryName, Digest), string> _held = new(MaxHeld);

    /// <summary>
    /// The size in bytes of a blob that the repository was given and has not deleted since, or null; whether its content is
    /// still in the store is not looked at. A link that cannot be read is damage, and no blob: the next push repairs it.
    /// </summary>
    public async ValueTask<long?> LinkedSizeAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var link = await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken);
        return link is null ? null : SizeIn(link, repository, digest);
    }

    /// <summary>The version of the link to a blob, for <see cref="UnlinkAsync(RepositoryName, Digest, string, CancellationToken)"/>; null when there is none.</summary>
    public async ValueTask<string?> LinkVersionAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        (await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken))?.Version;

    /// <summary>The blob's size in bytes, or null when the repository has no such blob.</summary>
    public async ValueTask<long?> StatAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await LinkedSizeAsync(repository, digest, cancellationToken) is not { } size)
        {
            return null;
        }

        var found = await blobs.StatAsync(digest, cancellationToken);
        return IsIntact(repository, digest, size, found) ? size : null;
    }

    /// <summary>
    /// As <see cref="StatAsync"/>, for a manifest that is to keep the blob: its content is held from now on. A request that died
    /// between its link and the look at its reverse link, while a delete removed that, has left a blob that nothing holds.
    /// </summary>
    public async ValueTask<long?> StatHeldAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken) is not { } link
            || SizeIn(link, repository, digest) is not { } size)
        {
            return null;
        }

        var found = blobs.StatAsync(digest, cancellationToken).AsTask();
        var isHeld = await IsHeldAsync(repository, digest, link.Version, cancellationToken);
        return IsIntact(repository, digest, size, await found)
            && (isHeld || await LinkAsync(repository, digest, size, isHeld: false, link.Version, CancellationToken.None))
                ? size
                : null;
    }

    /// <summary>
    /// Gives the link of a blob another version, so that a delete of the one that was read before is refused. Nothing where
    /// there is no link, or it is deleted meanwhile.
    /// </summary>
    public async ValueTask RenewAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken) is { } link
            && SizeIn(link, repository, digest) is { } size)
        {
            await LinkAsync(repository, digest, size, isHeld: false, link.Version, cancellationToken);
        }
    }

    /// <summary>
    /// The bytes of a blob that the repository serves, and still does after a power cut: for an answer that it is stored.
    /// Another request may have linked it just now. Null when it is not served.
    /// </summary>
    public async ValueTask<long?> ConfirmAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var size = await StatAsync(repository, digest, cancellationToken);
        if (size is not null)
        {
            await documents.ConfirmAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken);
        }

        return size;
    }

    /// <summary>
    /// A blob of the repository for reading, once its <see cref="LinkedSizeAsync"/> is known; null when its content is gone
    /// or damaged. What is read first is told beforehand, as to <see cref="IBlobStore.OpenReadAsync"/>.
    /// </summary>
    public async ValueTask<IBlobContent?> OpenReadAsync(
        RepositoryName repository,
        Digest digest,
        long size,
        long offset,
        long length,
        CancellationToken cancellationToken)
    {
        var content = await blobs.OpenReadAsync(digest, offset, length, cancellationToken);
        if (IsIntact(repository, digest, size, content?.Length))
        {
            return content;
        }

        if (content is not null)
        {
            await content.DisposeAsync();
        }

        return null;
    }

    /// <summary>Where a client can read a blob of a repository from the store itself; null when it must come from here.</summary>
    public ValueTask<Uri?> RedirectAsync(Digest digest, CancellationToken cancellationToken) =>
        blobs.RedirectAsync(digest, cancellationToken);

    /// <summary>
    /// Makes content that is in the store readable in a repository; false when it is no longer there, and then nothing is
    /// linked. Repeatable.
    /// </summary>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="size">Its bytes.</param>
    /// <param name="isHeld">Whether it was held before it was seen in the store: then that is not done again.</param>
    /// <param name="cancellationToken">Of the call.</param>
    /// <remarks>
    /// The reverse link, which holds the content, stands before the link and is confirmed after it: a
    /// delete at the same time has then either not begun, or finds the reverse link rewritten and leaves it. Where it has
    /// taken the reverse link away, nothing held the content for a moment: it is held again, and then looked for again. The
    /// link is written in any case: its new version keeps it from a delete that has read the former one.
    /// </remarks>
    public ValueTask<bool> LinkAsync(
        RepositoryName repository, Digest digest, long size, bool isHeld, CancellationToken cancellationToken) =>
        LinkAsync(repository, digest, size, isHeld, over: null, cancellationToken);

    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="size">Its bytes.</param>
    /// <param name="isHeld">Whether it was held before it was seen in the store.</param>
    /// <param name="over">The only version of a link that is replaced: one that was deleted stays deleted. Null for any, or none.</param>
    /// <param name="cancellationToken">Of the call.</param>
    private async ValueTask<bool> LinkAsync(
        RepositoryName repository, Digest digest, long size, bool isHeld, string? over, CancellationToken cancellationToken)
    {
        var reverse = RegistryLayout.Link(digest, repository);
        var link = RegistryLayout.RepositoryBlob(repository, digest);
        string? written = null;
        while (true)
        {
            if (!isHeld)
            {
                await condemned.HoldAsync(repository, digest, cancellationToken);
                if (await blobs.ConfirmAsync(digest, cancellationToken) != size)
                {
                    await TakeBackAsync(repository, digest, written);
                    return false;
                }
            }

            isHeld = false;
            var version = await documents.WriteAsync(
                link,
                Encoding.ASCII.GetBytes(size.ToString(CultureInfo.InvariantCulture)),
                over is null ? WriteCondition.None : WriteCondition.Unchanged(written ?? over),
                Durability.Synced,
                cancellationToken);
            if (version is null)
            {
                // Deleted, or linked by another request, which has the reverse link then: it stays.
                var isLetGo = await condemned.LetGoAsync(repository, digest);
                var found = await LinkVersionAsync(repository, digest, cancellationToken);
                if (found is null || (!isLetGo && await IsReverseLinkedAsync(reverse, cancellationToken)))
                {
                    return found is not null;
                }

                // Linked while somebody let go: nobody may hold it now, for who has linked it may have died before the look.
                (over, written) = (found, null);
                continue;
            }

            written = version;
            if (await IsReverseLinkedAsync(reverse, cancellationToken))
            {
                break;
            }
        }

        _held.Set((repository, digest), written);
        await catalog.AddAsync(repository, cancellationToken);
        return true;
    }

    /// <summary>Links a blob of another repository (spec end-11), if the caller may take it from there.</summary>
    public async ValueTask<MountResult> MountAsync(
        RepositoryName repository, Digest digest, RepositoryName from, MountSource source, CancellationToken cancellationToken)
    {
        switch (source)
        {
            case MountSource.Open:
                return new MountResult(await MountFromAsync(repository, digest, from, cancellationToken), null);

            case MountSource.Withheld:
                return new MountResult(null, from);

            default:
                // Takes as long as a source without the blob, whether that one has it or not: a link that is not there is read.
                await LinkedSizeAsync(repository, digest, cancellationToken);
                return MountResult.None;
        }
    }

    /// <summary>Links a blob of the first repository that has it.</summary>
    /// <param name="repository">The repository to link it in.</param>
    /// <param name="digest">The blob.</param>
    /// <param name="sources">
    /// The repositories to look into; null for the first <see cref="HolderPage"/> that link the blob, for a caller who may know them all.
    /// To others the time that it takes must not tell how many repositories link it.
    /// </param>
    /// <param name="cancellationToken">Cancels looking; what is linked stays linked.</param>
    public async ValueTask<MountResult> MountFromAnyAsync(
        RepositoryName repository, Digest digest, IReadOnlyList<RepositoryName>? sources, CancellationToken cancellationToken)
    {
        sources ??=
        [
            .. (await documents.ListAsync(RegistryLayout.Links(digest), null, HolderPage, cancellationToken))
                .Where(name => RepositoryName.TryParse(name, out _))
                .Select(RepositoryName.Parse),
        ];
        foreach (var source in sources)
        {
            if (await MountFromAsync(repository, digest, source, cancellationToken) is { } size)
            {
                return new MountResult(size, null);
            }
        }

        return MountResult.None;
    }

    /// <summary>Takes a blob out of one repository; false when it was not in it. The content stays for other repositories.</summary>
    public async ValueTask<bool> UnlinkAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        while (await LinkVersionAsync(repository, digest, cancellationToken) is { } version)
        {
            if (await UnlinkAsync(repository, digest, version, cancellationToken))
            {
                return true;
            }
        }

        // A request that died between its two deletes has left its mark: nothing is written where there is none. The link is
        // looked for after the mark: a link that was written meanwhile has changed the mark, or another delete has set it.
        var reverse = RegistryLayout.Link(digest, repository);
        if (await documents.ReadAsync(reverse, cancellationToken) is { } left
            && left.Content.Span.SequenceEqual(CondemnedContent.Unlinking.Span)
            && await LinkVersionAsync(repository, digest, cancellationToken) is null)
        {
            await documents.DeleteAsync(
                reverse, WriteCondition.Unchanged(left.Version), Durability.Synced, cancellationToken);
        }

        // "It is gone" must stay true: the delete that this one repeats may have failed after it removed either of them.
        await documents.ConfirmAsync(RegistryLayout.RepositoryBlob(repository, digest), cancellationToken);
        await documents.ConfirmAsync(reverse, cancellationToken);
        await catalog.RemoveIfEmptyAsync(repository, cancellationToken);
        return false;
    }

    /// <summary>Deletes one version of a link; false when it is gone or was written again, and then nothing is removed.</summary>
    /// <remarks>
    /// The reverse link is marked before the link is deleted, and deleted only as it was marked: a request that links at the
    /// same time has rewritten it, or finds the mark and links again.
    /// </remarks>
    public async ValueTask<bool> UnlinkAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken)
    {
        var reverse = RegistryLayout.Link(digest, repository);
        var link = RegistryLayout.RepositoryBlob(repository, digest);

        // In any case: every request that links confirms the reverse link after its link, and writes it again over a mark.
        var unlinking = await documents.WriteAsync(
            reverse, CondemnedContent.Unlinking, WriteCondition.None, Durability.Synced, cancellationToken);
        var isDeleted = await documents.DeleteAsync(
            link, WriteCondition.Unchanged(version), Durability.Synced, cancellationToken);
        if (isDeleted || await LinkVersionAsync(repository, digest, cancellationToken) is null)
        {
            await documents.DeleteAsync(
                reverse, WriteCondition.Unchanged(unlinking!), Durability.Synced, cancellationToken);
        }
        else
        {
            await documents.WriteAsync(
                reverse, CondemnedContent.Linked, WriteCondition.Unchanged(unlinking!), Durability.Synced, cancellationToken);
        }

        if (isDeleted)
        {
            await catalog.RemoveIfEmptyAsync(repository, cancellationToken);
        }

        return isDeleted;
    }

    private async ValueTask<long?> MountFromAsync(
        RepositoryName repository, Digest digest, RepositoryName holder, CancellationToken cancellationToken)
    {
        if (holder == repository)
        {
            return await ConfirmAsync(repository, digest, cancellationToken);
        }

        // Whether the client waits or not: a reverse link without its link would keep the content for nobody.
        return await StatAsync(holder, digest, cancellationToken) is { } size
            && await LinkAsync(repository, digest, size, isHeld: false, CancellationToken.None)
                ? size
                : null;
    }

    /// <summary>Takes back what linking has written, and nothing that another has written over it.</summary>
    private async ValueTask TakeBackAsync(RepositoryName repository, Digest digest, string? written)
    {
        if (written is not null)
        {
            await documents.DeleteAsync(
                RegistryLayout.RepositoryBlob(repository, digest),
                WriteCondition.Unchanged(written),
                Durability.Synced,
                CancellationToken.None);
        }

        await condemned.LetGoAsync(repository, digest);
    }

    private long? SizeIn(Document link, RepositoryName repository, Digest digest)
    {
        if (long.TryParse(link.Content.Span, CultureInfo.InvariantCulture, out var size))
        {
            return size;
        }

        metrics.IntegrityEvent("blob_link");
        LogLinkDamaged(log, digest, repository);
        return null;
    }

    private async ValueTask<bool> IsHeldAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken)
    {
        if (_held.TryGet((repository, digest), out var held) && held == version)
        {
            return true;
        }

        if (!await IsReverseLinkedAsync(RegistryLayout.Link(digest, repository), cancellationToken))
        {
            return false;
        }

        _held.Set((repository, digest), version);
        return true;
    }

    private async ValueTask<bool> IsReverseLinkedAsync(DocumentKey reverse, CancellationToken cancellationToken) =>
        await documents.ReadAsync(reverse, cancellationToken) is { } found
        && found.Content.Span.SequenceEqual(CondemnedContent.Linked.Span);

    /// <summary>
    /// A link without its content, or with another size of it, is a damaged store: the blob is not there, so that the
    /// next push brings it back.
    /// </summary>
    private bool IsIntact(RepositoryName repository, Digest digest, long size, long? found)
    {
        if (found == size)
        {
            return true;
        }

        metrics.IntegrityEvent(found is null ? "blob_missing" : "blob_size");
        LogDamaged(log, digest, repository, size, found);
        return false;
    }

    [LoggerMessage(LogLevel.Error, "The link to blob {Digest} of {Repository} cannot be read. It is answered as unknown; pushing it again repairs it.")]
    private static partial void LogLinkDamaged(ILogger logger, Digest digest, RepositoryName repository);

    [LoggerMessage(LogLevel.Error, "Blob {Digest} of {Repository} should have {Expected} bytes, but the storage has {Found}. It is answered as unknown; pushing it again repairs it.")]
    private static partial void LogDamaged(ILogger logger, Digest digest, RepositoryName repository, long expected, long? found);
}

/// <summary>Whether a blob may be mounted from a repository.</summary>
internal enum MountSource
{
    /// <summary>It is not to be known that it has anything.</summary>
    Hidden,

    /// <summary>The caller may, but did not bring what proves it.</summary>
    Withheld,
    Open,
}

/// <param name="Size">The bytes of the blob, which is linked now; null when it is not.</param>
/// <param name="Another">Where it could be mounted from, with another token; null when nowhere.</param>
internal readonly record struct MountResult(long? Size, RepositoryName? Another)
{
    public static MountResult None => default;
}
