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

    /// <summary>
    /// As <see cref="StatAsync"/>, but never from anything remembered: called by a client of the store that holds the
    /// content and is about to promise it. A store that remembers nothing answers as <see cref="StatAsync"/> does.
    /// </summary>
    ValueTask<long?> ConfirmAsync(Digest digest, CancellationToken cancellationToken) => StatAsync(digest, cancellationToken);

    /// <summary>
    /// Identifies what is stored under the digest now, in the store's own words, for <see cref="RemovalMark.Content"/>;
    /// null when nothing is. At most 1,000 characters.
    /// </summary>
    ValueTask<string?> VersionAsync(Digest digest, CancellationToken cancellationToken);

    /// <summary>
    /// Deletes the content, provided that nobody has taken the removal over: the mark's document still has the version of
    /// the mark, or, in a store that cannot look at documents and change content as one step, the content still has the
    /// version of the mark, which <see cref="RenewAsync"/> changes. The condition holds at the moment of the delete,
    /// however long the call took to get there. Repeatable.
    /// </summary>
    ValueTask<ContentRemoval> RemoveAsync(Digest digest, RemovalMark mark, CancellationToken cancellationToken);

    /// <summary>
    /// Takes a removal over: when this returns, a <see cref="RemoveAsync"/> with <paramref name="version"/> that is still
    /// under way deletes nothing more once the mark's document has changed too. What such a removal has left behind
    /// is deleted. Called before the mark is deleted. Repeatable.
    /// </summary>
    /// <param name="digest">The content.</param>
    /// <param name="version">The content's version in the mark.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    ValueTask RenewAsync(Digest digest, string? version, CancellationToken cancellationToken);

    /// <summary>Every digest of the store, in no particular order: for sweeps, never on a request.</summary>
    IAsyncEnumerable<Digest> ListAsync(CancellationToken cancellationToken);
}

/// <summary>The document that announces the removal of content, as the remover has written it.</summary>
/// <param name="Document">The document.</param>
/// <param name="Version">Its version: it has another one, or is gone, once somebody has taken the removal over.</param>
/// <param name="Content">What <see cref="IBlobStore.VersionAsync"/> returned before the mark was written; null: no content.</param>
public readonly record struct RemovalMark(DocumentKey Document, string Version, string? Content);

/// <summary>The outcome of <see cref="IBlobStore.RemoveAsync"/>.</summary>
public enum ContentRemoval
{
    /// <summary>The content was there and is gone.</summary>
    Removed,

    /// <summary>There was no content.</summary>
    Absent,

    /// <summary>Another request or sweep has taken the removal over: nothing was deleted, and the mark is theirs.</summary>
    Refused,
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
