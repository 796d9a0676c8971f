using Microsoft.Extensions.Options;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

/// <summary>
/// Carries a sealed session forward: hold, publish, confirm, link, remove the session. Each step is safe to repeat, by the
/// same request, by a repetition of it, by another replica or by the sweep, because each finds what the one before has left.
/// </summary>
internal sealed class UploadCommit(
    UploadSessionDocuments documents,
    IUploadStore uploads,
    StagedHash stagedHash,
    IBlobStore blobs,
    CondemnedContent condemned,
    RepositoryBlobs repositoryBlobs,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    TimeProvider time)
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The bytes of a blob that the repository serves now: then a repeated closing request has nothing left to do. Null when it
    /// does not.
    /// </summary>
    public ValueTask<long?> LinkedSizeAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        repositoryBlobs.ConfirmAsync(repository, digest, cancellationToken);

    /// <summary>
    /// True when the blob is visible in its repository and the session is gone; false when the staged bytes are lost. A
    /// store that fails or lags is asked again for a while; then the <see cref="StorageException"/> goes to the client,
    /// the session stays sealed, and its next closing request goes on here. Runs to its end whether the client waits or not.
    /// </summary>
    /// <param name="session">Sealed.</param>
    /// <param name="isOwnSeal">
    /// Whether the caller's request has sealed it: then no attempt to publish its bytes has been made before.
    /// </param>
    /// <remarks>
    /// After a failed fsync Linux counts the pages as written, and the next fsync of that file succeeds. So only the first
    /// attempt of the request that sealed the session syncs the staged file itself. Each later attempt, by whichever
    /// request, cannot know what a former one has met: it publishes a new file, a copy that has the digest.
    /// </remarks>
    public async ValueTask<bool> TryCommitAsync(UploadSession session, bool isOwnSeal)
    {
        var digest = session.Digest!.Value;
        var started = time.GetTimestamp();
        var mayPublishStaged = isOwnSeal && !session.IsSuspect;
        var isHeld = false;
        var isPublished = false;
        for (var delay = FirstDelay; ; delay = TimeSpan.FromTicks(Math.Min(delay.Ticks * 2, LongestDelay.Ticks)))
        {
            try
            {
                // Before it is published: a sweep that removes the same content is over then, or finds that it is held.
                if (!isHeld)
                {
                    await condemned.HoldAsync(session.Repository, digest, CancellationToken.None);
                    isHeld = true;
                }

                if (!isPublished)
                {
                    var publishesStaged = mayPublishStaged || !uploads.AppendsInPlace;
                    mayPublishStaged = false;
                    isPublished = publishesStaged
                        ? await PublishAsync(session, digest)
                        : await PublishCopyAsync(session, digest);
                    if (!isPublished)
                    {
                        return false;
                    }
                }

                // Published is what the writing side says. What counts is what a reader finds.
                if (await blobs.ConfirmAsync(digest, CancellationToken.None) == session.Offset)
                {
                    isHeld = await repositoryBlobs.LinkAsync(
                        session.Repository, digest, session.Offset, isHeld: true, CancellationToken.None);
                    if (isHeld)
                    {
                        await uploads.DiscardAsync(session.Staged, CancellationToken.None);
                        await documents.DeleteAsync(session.Id, CancellationToken.None);
                        return true;
                    }

                    // Deleted in this repository at the same time, and removed: published again, where it still is staged.
                    isPublished = false;
                }

                if (HasWaitedEnough(started))
                {
                    throw new StorageException("The storage does not show the new content yet.");
                }
            }
            catch (StorageException e) when (!e.IsFull && !e.IsRefused && !HasWaitedEnough(started))
            {
                // Asked again below: a client repeats a request that timed out, but gives up on an error status.
            }

            metrics.ConfirmationRetried();
            await Task.Delay(delay, time, CancellationToken.None);
        }
    }

    /// <summary>
    /// Leaves no trace of a sealed session that is not completed: it may have held its content, and published it.
    /// Repeatable, also beside other sessions that push or hold the same content.
    /// </summary>
    public async ValueTask AbandonAsync(RepositoryName repository, Digest digest)
    {
        await condemned.LetGoAsync(repository, digest);
        if (await blobs.StatAsync(digest, CancellationToken.None) is not null)
        {
            await condemned.CondemnAsync(digest, CancellationToken.None);
        }
    }

    private bool HasWaitedEnough(long started) => time.GetElapsedTime(started) >= options.Value.Uploads.CommitWait;

    private async ValueTask<bool> PublishAsync(UploadSession session, Digest digest) =>
        await uploads.PublishAsync(session.Staged, digest, session.Offset, CancellationToken.None) switch
        {
            PublishResult.Published => true,

            // A writer that was paused has the file open and could still write to it. A copy is ours alone.
            PublishResult.Busy => await PublishCopyAsync(session, digest),
            _ => false,
        };

    /// <summary>Publishes a new file with the staged bytes; false when they are gone, or no longer have the digest.</summary>
    private async ValueTask<bool> PublishCopyAsync(UploadSession session, Digest digest)
    {
        // The next attempt makes its own, under a number that no writer is ever given.
        var generation = session.LastGeneration + Random.Shared.Next(1_000_000, int.MaxValue / 2);
        var copy = new StagedKey(session.Id, generation);
        var forked = await uploads.ForkAsync(session.Staged, session.Offset, copy, CancellationToken.None);
        try
        {
            if (forked is not null)
            {
                copy = copy with { Parts = forked.Parts };
                await forked.DisposeAsync();
                if (forked.IsSuspect)
                {
                    throw new StorageException("The storage failed while it wrote a copy of the staged bytes.");
                }
            }

            using var hash = await stagedHash.ReadAsync(
                session with { Generation = copy.Generation, Parts = copy.Parts },
                digest.Algorithm,
                session.Offset,
                CancellationToken.None);

            // No copy, or none any more: another attempt has published the content, with bytes that it has synced, and may have
            // ended the session. The store finds that, or nothing.
            return (hash is null || hash.Digest() == digest)
                && await uploads.PublishAsync(copy, digest, session.Offset, CancellationToken.None) == PublishResult.Published;
        }
        catch (StorageException)
        {
            await uploads.TrimAsync(copy, 0, CancellationToken.None);
            throw;
        }
    }
}
