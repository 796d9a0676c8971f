using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage;

/// <summary>
/// Immutable content by digest, shared by all repositories; what a repository may serve is decided above, by links.
/// Content appears here only through <see cref="IUploadStore.PublishAsync"/>, whole.
/// </summary>
public interface IBlobStore
{
    /// <summary>The size in bytes, or null when there is no such content.</summary>
    ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken);

    /// <summary>
    /// The content for reading, or null. What is deleted meanwhile ends no read that goes from one end to the other, and is
    /// never replaced by anything else.
    /// </summary>
    /// <param name="digest">Of the content.</param>
    /// <param name="offset">Where reading begins, and</param>
    /// <param name="length">how many bytes it takes, as far as is known: a store over a network asks for just these.</param>
    /// <param name="cancellationToken">Of the call.</param>
    ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken);

    /// <summary>
    /// Where a client can read the content without us, for a limited time and nothing else; null when there is no such
    /// content, or the store gives no such addresses. It is a secret: never to be logged.
    /// </summary>
    ValueTask<Uri?> RedirectAsync(Digest digest, CancellationToken cancellationToken) => ValueTask.FromResult<Uri?>(null);

    /// <summary>True when the content was there and is gone.</summary>
    ValueTask<bool> DeleteAsync(Digest digest, CancellationToken cancellationToken);

    /// <summary>Deletes many at once, as fast as the store bears; how many were there. For sweeps. Repeatable.</summary>
    async ValueTask<int> DeleteAsync(IEnumerable<Digest> digests, CancellationToken cancellationToken)
    {
        var deleted = 0;
        foreach (var digest in digests)
        {
            deleted += await DeleteAsync(digest, cancellationToken) ? 1 : 0;
        }

        return deleted;
    }

    /// <summary>Every digest of the store, in no particular order: for sweeps, never on a request.</summary>
    IAsyncEnumerable<Digest> ListAsync(CancellationToken cancellationToken);
}

/// <summary>One blob, open for reading.</summary>
public interface IBlobContent : IAsyncDisposable
{
    /// <summary>Size in bytes.</summary>
    long Length { get; }

    /// <summary>The file that it is, for who can send it without reading it; null when it is none. Not to be disposed.</summary>
    SafeFileHandle? File => null;

    /// <summary>Reads at <paramref name="offset"/>; 0 means that the content ends there, whatever its length said.</summary>
    ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken);
}
