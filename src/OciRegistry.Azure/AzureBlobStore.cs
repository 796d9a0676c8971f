using System.Runtime.CompilerServices;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>Content by digest: a pointer, and the blob that it leads to.</summary>
internal sealed class AzureBlobStore(
    AzureContainer container, SmallBlobs blobs, BlobPointers pointers, BlobSignatures signatures) : IBlobStore
{
    private const int DeletesAtOnce = 32;

    public ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken) =>
        FollowAsync(digest, pointer => LengthAsync(pointer, cancellationToken), cancellationToken);

    public async ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken) =>
        await FollowAsync(
            digest,
            pointer => AzureBlobContent.OpenAsync(container, pointer, offset, length, cancellationToken),
            cancellationToken);

    public ValueTask<Uri?> RedirectAsync(Digest digest, CancellationToken cancellationToken) =>
        signatures.AreWanted
            ? FollowAsync(
                digest,
                async pointer => await LengthAsync(pointer, cancellationToken) is not null
                    ? await signatures.SignAsync(pointer.Data, cancellationToken)
                    : null,
                cancellationToken)
            : ValueTask.FromResult<Uri?>(null);

    public async ValueTask<bool> DeleteAsync(Digest digest, CancellationToken cancellationToken)
    {
        while (await pointers.ReadAsync(digest, cancellationToken) is { } stored)
        {
            // The content first: a pointer that leads nowhere is a missing blob, content without a pointer is lost room.
            if (stored.Pointer is { } pointer)
            {
                await blobs.DeleteAsync(pointer.Data, WriteCondition.None, cancellationToken);
            }

            if (await pointers.DeleteAsync(digest, WriteCondition.Unchanged(stored.Version), cancellationToken))
            {
                return true;
            }
        }

        return false;
    }

    public async ValueTask<int> DeleteAsync(IEnumerable<Digest> digests, CancellationToken cancellationToken)
    {
        var deleted = 0;
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = DeletesAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(digests, parallel, async (digest, cancellation) =>
        {
            if (await DeleteAsync(digest, cancellation))
            {
                Interlocked.Increment(ref deleted);
            }
        });
        return deleted;
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

    /// <summary>What is found where the pointer leads; a pointer that is only remembered is read again before that is nothing.</summary>
    private async ValueTask<T?> FollowAsync<T>(
        Digest digest, Func<BlobPointer, ValueTask<T?>> find, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (pointers.Known(digest) is { } known)
        {
            if (await find(known) is { } found)
            {
                return found;
            }

            pointers.Forget(digest);
        }

        return await pointers.ReadAsync(digest, cancellationToken) is { Pointer: { } pointer } ? await find(pointer) : default;
    }

    /// <summary>Content of another size than its pointer says is not the content.</summary>
    private async ValueTask<long?> LengthAsync(BlobPointer pointer, CancellationToken cancellationToken) =>
        await blobs.LengthAsync(pointer.Data, cancellationToken) == pointer.Size ? pointer.Size : null;
}
