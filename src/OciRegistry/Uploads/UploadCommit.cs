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
    IBlobStore blobs,
    CondemnedContent condemned,
    RepositoryBlobs repositoryBlobs,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    TimeProvider time)
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);

    /// <summary>Whether the repository serves the digest now: then a repeated closing request has nothing left to do.</summary>
    public async ValueTask<bool> IsLinkedAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        await repositoryBlobs.StatAsync(repository, digest, cancellationToken) is not null;

    /// <summary>
    /// True when the blob is visible in its repository and the session is gone; false when the staged bytes are lost. A
    /// store that fails or lags is asked again for a while; then the <see cref="StorageException"/> goes to the client,
    /// the session stays sealed, and its next closing request goes on here. Runs to its end whether the client waits or not.
    /// </summary>
    public async ValueTask<bool> TryCommitAsync(UploadSession session)
    {
        var digest = session.Digest!.Value;
        var started = time.GetTimestamp();
        var isHeld = false;
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

                if (!await PublishAsync(session, digest))
                {
                    await condemned.LetGoAsync(session.Repository, digest);
                    return false;
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

    private bool HasWaitedEnough(long started) => time.GetElapsedTime(started) >= options.Value.Uploads.CommitWait;

    private async ValueTask<bool> PublishAsync(UploadSession session, Digest digest)
    {
        var result = await uploads.PublishAsync(session.Staged, digest, session.Offset, CancellationToken.None);
        if (result != PublishResult.Busy)
        {
            return result == PublishResult.Published;
        }

        // A writer that was paused has the file open and could still write to it. A copy is nobody's but ours; the next
        // one to try makes its own, under a number that no writer is ever given.
        var copy = new StagedKey(session.Id, session.LastGeneration + Random.Shared.Next(1_000_000, int.MaxValue / 2));
        var forked = await uploads.ForkAsync(session.Staged, session.Offset, copy, CancellationToken.None);
        if (forked is not null)
        {
            await forked.DisposeAsync();
        }

        // Nothing to fork: it was no writer, but a request like ours, and has published meanwhile.
        var published = forked is null ? session.Staged : copy with { Parts = forked.Parts };
        return await uploads.PublishAsync(published, digest, session.Offset, CancellationToken.None)
            == PublishResult.Published;
    }
}
