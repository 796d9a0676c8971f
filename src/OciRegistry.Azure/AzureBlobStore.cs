using System.Runtime.CompilerServices;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>Content by digest: a pointer, and the blob that it leads to.</summary>
internal sealed class AzureBlobStore(
    AzureContainer container, SmallBlobs blobs, BlobPointers pointers, BlobSignatures signatures) : IBlobStore
{
    public ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken) =>
        FollowAsync(digest, (pointer, version) => LengthAsync(pointer, version, cancellationToken), cancellationToken);

    /// <remarks>
    /// A remembered pointer may lead to content whose pointer was deleted: what it leads to goes after it, or stays when
    /// the removal was interrupted.
    /// </remarks>
    public async ValueTask<long?> ConfirmAsync(Digest digest, CancellationToken cancellationToken) =>
        await pointers.ReadAsync(digest, cancellationToken) is { Pointer: { } pointer }
            ? await LengthAsync(pointer, null, cancellationToken)
            : null;

    public async ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken) =>
        await FollowAsync(
            digest,
            (pointer, version) => AzureBlobContent.OpenAsync(container, pointer, offset, length, cancellationToken, version),
            cancellationToken);

    public ValueTask<Uri?> RedirectAsync(Digest digest, CancellationToken cancellationToken) =>
        signatures.AreWanted
            ? FollowAsync(
                digest,
                async (pointer, version) => await LengthAsync(pointer, version, cancellationToken) is not null
                    ? await signatures.SignAsync(pointer.Data, cancellationToken)
                    : null,
                cancellationToken)
            : ValueTask.FromResult<Uri?>(null);

    public async ValueTask<string?> VersionAsync(Digest digest, CancellationToken cancellationToken)
    {
        if (await pointers.ReadAsync(digest, cancellationToken) is not { } stored)
        {
            return null;
        }

        return stored.Pointer is { } pointer && await blobs.PropertiesAsync(pointer.Data, cancellationToken) is { } data
            ? $"{stored.Version} {pointer.Session} {data.ETag}"
            : stored.Version;
    }

    /// <remarks>
    /// The pointer first, unless it has changed: <see cref="RenewAsync"/> changes it, so one of the two is refused. Then
    /// what it led to, unless that has changed: a session may have published it again.
    /// </remarks>
    public async ValueTask<ContentRemoval> RemoveAsync(
        Digest digest, RemovalMark mark, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (mark.Content?.Split(' ') is not [var pointer, .. var data])
        {
            return ContentRemoval.Absent;
        }

        var isRemoved = await pointers.DeleteAsync(digest, WriteCondition.Unchanged(pointer), cancellationToken);
        if (!isRemoved && await pointers.ReadAsync(digest, cancellationToken) is not null)
        {
            return ContentRemoval.Refused;
        }

        return await DeleteDataAsync(data, cancellationToken) || isRemoved ? ContentRemoval.Removed : ContentRemoval.Absent;
    }

    public async ValueTask RenewAsync(Digest digest, string? version, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (await pointers.ReadAsync(digest, cancellationToken) is { } stored)
        {
            // One that leads nowhere is replaced by whoever publishes the content.
            if (stored.Pointer is not { } pointer
                || await pointers.WriteAsync(
                    digest, pointer, stored.Data, WriteCondition.Unchanged(stored.Version), cancellationToken))
            {
                return;
            }
        }

        // The removal was faster, and has perhaps died before it deleted this.
        if (version?.Split(' ') is [_, .. var data])
        {
            await DeleteDataAsync(data, cancellationToken);
        }
    }

    public async IAsyncEnumerable<Digest> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var listed in blobs.ListAsync(RegistryLayout.BlobFolder + "/", cancellationToken))
        {
            if (listed.Name.Split('/') is [var algorithm, _, var hex]
                && Digest.TryParse($"{algorithm}:{hex}", out var digest))
            {
                yield return digest;
            }
        }
    }

    /// <summary>
    /// What is found where the pointer leads. A pointer that is only remembered is read again before that is nothing, or another
    /// version than was verified: another replica may have replaced damaged content since.
    /// </summary>
    private async ValueTask<T?> FollowAsync<T>(
        Digest digest, Func<BlobPointer, string?, ValueTask<T?>> find, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (pointers.Known(digest) is { } known)
        {
            if (await find(known.Pointer, known.Data) is { } found)
            {
                return found;
            }

            pointers.Forget(digest);
        }

        return await pointers.ReadAsync(digest, cancellationToken) is { Pointer: { } pointer }
            ? await find(pointer, null)
            : default;
    }

    /// <param name="data">Session and ETag; empty where the pointer led nowhere.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    private async ValueTask<bool> DeleteDataAsync(string[] data, CancellationToken cancellationToken) =>
        data is [var id, var version]
        && UploadSessionId.TryParse(id, out var session)
        && await blobs.DeleteAsync(BlobPointer.DataOf(session), WriteCondition.Unchanged(version), cancellationToken);

    /// <summary>Content of another size than its pointer says, or of another version than was asked for, is not the content.</summary>
    private async ValueTask<long?> LengthAsync(BlobPointer pointer, string? version, CancellationToken cancellationToken) =>
        await blobs.PropertiesAsync(pointer.Data, cancellationToken) is { } found
        && found.ContentLength == pointer.Size
        && (version is null || found.ETag.ToString() == version)
            ? pointer.Size
            : null;
}
