using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>
/// Content that is pushed into an upstream's repositories, where that is allowed. It belongs to this registry then: it is not
/// replaced by what the upstream has, and not removed with cached content that is not pulled.
/// </summary>
internal sealed class PushedOver(
    ResolvedTags resolved, PulledEntries entries, ManifestDocuments documents, RepositoryBlobs blobs)
{
    /// <summary>
    /// To be called before a manifest is stored: it, what it is made of and its tags are not cached content any more. A process
    /// that dies before the manifest is stored leaves tags that the upstream does not change, until they are pushed or deleted.
    /// </summary>
    /// <returns>What to hand to <see cref="UndoAsync"/> when the manifest is not stored.</returns>
    /// <remarks>
    /// A sweep may have marked a note before it is deleted here. It deletes content by the version that it has read, so each
    /// part is written anew after its note was deleted. A part that the sweep removed first is missing when the references of
    /// the manifest are checked.
    /// </remarks>
    public async ValueTask<IReadOnlyList<PushedTag>> BeginAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        IReadOnlyList<Tag> tags,
        CancellationToken cancellationToken)
    {
        await entries.ForgetAsync(repository, digest, cancellationToken); // the manifest itself is written anew by its push
        foreach (var part in manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).Distinct())
        {
            if (await entries.ForgetAsync(repository, part, cancellationToken))
            {
                await documents.RenewAsync(repository, part, cancellationToken);
                if (await blobs.LinkedSizeAsync(repository, part, cancellationToken) is { } size)
                {
                    await blobs.LinkAsync(repository, part, size, isHeld: false, cancellationToken);
                }
            }
        }

        var pushed = new List<PushedTag>(tags.Count);
        foreach (var tag in tags)
        {
            pushed.Add(await resolved.SetPushedAsync(repository, tag, cancellationToken));
        }

        return pushed;
    }

    /// <summary>
    /// To be called after a manifest was stored: deletes the notes that a fetch of the same content, which was under way, has
    /// written since <see cref="BeginAsync"/>.
    /// </summary>
    public async ValueTask EndAsync(
        RepositoryName repository, Digest digest, Manifest manifest, CancellationToken cancellationToken)
    {
        foreach (var part in manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).Append(digest).Distinct())
        {
            await entries.ForgetAsync(repository, part, cancellationToken);
        }
    }

    /// <summary>The manifest was not stored: its tags are what they were before.</summary>
    public async ValueTask UndoAsync(
        RepositoryName repository, IReadOnlyList<PushedTag> pushed, CancellationToken cancellationToken)
    {
        foreach (var tag in pushed)
        {
            await resolved.UndoPushedAsync(repository, tag, cancellationToken);
        }
    }
}
