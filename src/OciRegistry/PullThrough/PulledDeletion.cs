using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>Deletes by clients, in any repository; in an upstream's with the notes of what is deleted.</summary>
/// <remarks>
/// Each note is changed by the version that was read before the content was deleted: a push that comes second writes its own
/// notes anew once it has stored the content. A process that dies in between leaves notes without content: if the upstream has
/// the content, the sweep does not remove it.
/// </remarks>
internal sealed class PulledDeletion(
    Upstreams upstreams,
    ResolvedTags resolved,
    PulledEntries entries,
    PulledParts parts,
    ManifestStore manifests,
    ManifestDocuments documents,
    TagStore tags,
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
        if (isDeleted && pushed is not null)
        {
            await entries.TakePushedAsync(repository, digest, pushed, cancellationToken);
        }

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
        if (upstreams.Of(repository) is null)
        {
            return await manifests.DeleteAsync(repository, digest, precondition, cancellationToken);
        }

        var pushed = await PushedVersionAsync(repository, digest, cancellationToken);
        var names = await PushedTagsAsync(repository, digest, cancellationToken);
        var stored = await documents.ReadAsync(repository, digest, cancellationToken);
        var outcome = await manifests.DeleteAsync(repository, digest, precondition, cancellationToken);
        if (outcome != ManifestDeleteOutcome.Deleted)
        {
            return outcome;
        }

        if (pushed is not null)
        {
            await entries.TakePushedAsync(repository, digest, pushed, cancellationToken);
        }

        foreach (var (tag, known) in names)
        {
            await resolved.SetUnsureAsync(repository, tag, known, cancellationToken);
        }

        if (stored is not null && Manifest.TryParse(stored.Content, stored.MediaType, out var manifest, out _))
        {
            await parts.RemoveAsync(repository, digest, manifest, cancellationToken);
        }

        return outcome;
    }

    /// <summary>The tags that name a manifest and were pushed, with their notes.</summary>
    private async ValueTask<IReadOnlyList<(Tag Tag, VersionedTag Known)>> PushedTagsAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var pushed = new List<(Tag, VersionedTag)>();
        var names = await tags.NamesOfAsync(repository, digest, null, int.MaxValue, cancellationToken);
        foreach (var tag in names.Tags.Where(name => name.Version is not null).Select(name => name.Tag))
        {
            if (await resolved.ReadAsync(repository, tag, cancellationToken) is { Tag.IsPushed: true } known)
            {
                pushed.Add((tag, known));
            }
        }

        return pushed;
    }

    private async ValueTask<string?> PushedVersionAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        upstreams.Of(repository) is not null
            ? await entries.PushedVersionAsync(repository, digest, cancellationToken)
            : null;
}
