using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>Deletes by clients, in any repository; in an upstream's with the notes of what is deleted.</summary>
/// <remarks>
/// Each note is deleted by the version that was read before the content was deleted: a push that comes meanwhile keeps its
/// own. A process that dies in between leaves notes without content, which change nothing that is there.
/// </remarks>
internal sealed class PulledDeletion(
    Upstreams upstreams,
    ResolvedTags resolved,
    PulledEntries entries,
    PulledParts parts,
    ManifestStore manifests,
    ManifestDocuments documents,
    RepositoryBlobs blobs)
{
    /// <summary>As <see cref="ManifestStore.DeleteAsync(RepositoryName, Tag, Precondition, CancellationToken)"/>, or the one for a digest.</summary>
    public ValueTask<ManifestDeleteOutcome> DeleteManifestAsync(
        RepositoryName repository, Reference reference, Precondition precondition, CancellationToken cancellationToken) =>
        reference.Tag is { } tag
            ? DeleteAsync(repository, tag, precondition, cancellationToken)
            : DeleteAsync(repository, reference.Digest!.Value, precondition, cancellationToken);

    /// <summary>Takes a blob out of a repository; false when it was not in it.</summary>
    public async ValueTask<bool> DeleteBlobAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var pushed = await PushedVersionAsync(repository, digest, cancellationToken);
        var isDeleted = await blobs.UnlinkAsync(repository, digest, cancellationToken);
        await TakeAsync(repository, digest, pushed, cancellationToken);
        return isDeleted;
    }

    private async ValueTask<ManifestDeleteOutcome> DeleteAsync(
        RepositoryName repository, Tag tag, Precondition precondition, CancellationToken cancellationToken)
    {
        var isUpstreams = upstreams.Of(repository) is not null;
        var known = isUpstreams ? await resolved.ReadAsync(repository, tag, cancellationToken) : null;
        var outcome = await manifests.DeleteAsync(repository, tag, precondition, cancellationToken);
        if (isUpstreams && outcome == ManifestDeleteOutcome.Deleted)
        {
            await resolved.SetUnsureAsync(repository, tag, known, cancellationToken);
        }

        return outcome;
    }

    private async ValueTask<ManifestDeleteOutcome> DeleteAsync(
        RepositoryName repository, Digest digest, Precondition precondition, CancellationToken cancellationToken)
    {
        var pushed = await PushedVersionAsync(repository, digest, cancellationToken);
        var stored = upstreams.Of(repository) is not null
            ? await documents.ReadAsync(repository, digest, cancellationToken)
            : null;
        var outcome = await manifests.DeleteAsync(repository, digest, precondition, cancellationToken);
        if (outcome != ManifestDeleteOutcome.PreconditionFailed)
        {
            await TakeAsync(repository, digest, pushed, cancellationToken);
        }

        if (outcome == ManifestDeleteOutcome.Deleted && stored is not null
            && Manifest.TryParse(stored.Content, stored.MediaType, out var manifest, out _))
        {
            await parts.RemoveAsync(repository, digest, manifest, cancellationToken);
        }

        return outcome;
    }

    private async ValueTask<string?> PushedVersionAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        upstreams.Of(repository) is not null
            ? await entries.PushedVersionAsync(repository, digest, cancellationToken)
            : null;

    private async ValueTask TakeAsync(
        RepositoryName repository, Digest digest, string? version, CancellationToken cancellationToken)
    {
        if (version is not null)
        {
            await entries.TakePushedAsync(repository, digest, version, cancellationToken);
        }
    }
}
