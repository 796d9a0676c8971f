using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>Deletes by clients, in any repository; in an upstream's with the notes of what is deleted.</summary>
/// <remarks>
/// Once the content is gone: read the version of its note, look whether the content is still gone, and change the note by that
/// version. A push that has stored the content since is found by the look; one that stores it later writes its notes anew, and
/// begins again where the one of a tag was taken. A process that dies in between leaves notes without content: the next delete
/// takes them, and the next pull that of a tag; else what is fetched later is not removed by the sweep.
/// </remarks>
internal sealed class PulledDeletion(
    Upstreams upstreams,
    ResolvedTags resolved,
    PushedParts pushed,
    PulledParts parts,
    ManifestStore manifests,
    ManifestDocuments documents,
    TagStore tags,
    RepositoryBlobs blobs,
    StoreClock clock)
{
    // Longer than a push takes. One that takes longer begins again.
    private static readonly TimeSpan PushLife = TimeSpan.FromHours(1);

    /// <summary>As <see cref="ManifestStore.DeleteAsync(RepositoryName, Tag, Precondition, CancellationToken)"/>, or the one for a digest.</summary>
    public ValueTask<ManifestDeletion> DeleteManifestAsync(
        RepositoryName repository, Reference reference, Precondition precondition, CancellationToken cancellationToken) =>
        reference.Tag is { } tag
            ? DeleteAsync(repository, tag, precondition, cancellationToken)
            : DeleteAsync(repository, reference.Digest!.Value, precondition, cancellationToken);

    /// <summary>Takes a blob out of a repository; false when it was not in it.</summary>
    public async ValueTask<bool> DeleteBlobAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var isDeleted = await blobs.UnlinkAsync(repository, digest, cancellationToken);
        if (upstreams.Of(repository) is not null)
        {
            await pushed.ForgetAsync(repository, digest, cancellationToken);
        }

        return isDeleted;
    }

    private async ValueTask<ManifestDeletion> DeleteAsync(
        RepositoryName repository, Tag tag, Precondition precondition, CancellationToken cancellationToken)
    {
        var deletion = await manifests.DeleteAsync(repository, tag, precondition, cancellationToken);
        if (upstreams.Of(repository) is not null && IsGone(deletion.Outcome))
        {
            await ForgetAsync(repository, tag, deletion.Outcome, isNamed: true, cancellationToken);
        }

        return deletion;
    }

    private async ValueTask<ManifestDeletion> DeleteAsync(
        RepositoryName repository, Digest digest, Precondition precondition, CancellationToken cancellationToken)
    {
        if (upstreams.Of(repository) is null)
        {
            return await manifests.DeleteAsync(repository, digest, precondition, cancellationToken);
        }

        var stored = await documents.ReadAsync(repository, digest, cancellationToken);
        var deletion = await manifests.DeleteAsync(repository, digest, precondition, cancellationToken);
        if (!IsGone(deletion.Outcome))
        {
            return deletion;
        }

        await pushed.ForgetAsync(repository, digest, cancellationToken);
        foreach (var tag in deletion.Named)
        {
            await ForgetAsync(repository, tag, deletion.Outcome, isNamed: false, cancellationToken);
        }

        if (stored is not null)
        {
            await parts.RemoveAsync(repository, digest, Manifest.Read(stored.Content, stored.MediaType), cancellationToken);
        }

        return deletion;
    }

    /// <summary>The upstream is asked for a tag with the next pull, unless somebody has pushed it, or pulled it, meanwhile.</summary>
    /// <param name="repository">Where.</param>
    /// <param name="tag">Which.</param>
    /// <param name="outcome">Of the delete. What has deleted nothing takes no note of a push that runs: it may have no tag yet.</param>
    /// <param name="isNamed">Whether the delete was of the tag.</param>
    /// <param name="cancellationToken">Of the call.</param>
    private async ValueTask ForgetAsync(
        RepositoryName repository, Tag tag, ManifestDeleteOutcome outcome, bool isNamed, CancellationToken cancellationToken)
    {
        var known = await resolved.ReadAsync(repository, tag, cancellationToken);
        var isDeleted = outcome == ManifestDeleteOutcome.Deleted;
        if ((known is { Tag.IsPushed: true } push ? isDeleted || !MayRun(push.Tag) : isDeleted && isNamed)
            && await tags.FindAsync(repository, tag, cancellationToken) is null)
        {
            await resolved.SetUnsureAsync(repository, tag, known, cancellationToken);
        }
    }

    private bool MayRun(ResolvedTag pushed) => pushed.Push is not null && (clock.Now - pushed.Checked).Duration() < PushLife;

    /// <summary>Also when it was gone before: a delete that has failed on its way is repeated, and has left the notes.</summary>
    private static bool IsGone(ManifestDeleteOutcome outcome) =>
        outcome is ManifestDeleteOutcome.Deleted or ManifestDeleteOutcome.Unknown;
}
