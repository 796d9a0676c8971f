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

    /// <summary>The content for reading, or null. It stays readable until disposed, whatever is deleted meanwhile.</summary>
    ValueTask<IBlobContent?> OpenReadAsync(Digest digest, CancellationToken cancellationToken);

    /// <summary>True when the content was there and is gone.</summary>
    ValueTask<bool> DeleteAsync(Digest digest, CancellationToken cancellationToken);

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
