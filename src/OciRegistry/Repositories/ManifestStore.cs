using Microsoft.Extensions.Options;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Manifests of repositories with the tags and referrer entries that name them. A push and a delete of the same manifest
/// may run at the same time on any replicas, without a lock.
/// </summary>
/// <remarks>
/// A push writes each document anew, the manifest first, and reads them all again at its end. A delete removes the manifest
/// by the version that it read. What names the manifest it removes by the versions that it read before it found the
/// manifest absent. So a delete removes no document that a push has written over a present manifest, and a push that was
/// overtaken by a delete finds a document missing and writes all of them again.
/// </remarks>
internal sealed class ManifestStore(
    ManifestDocuments documents,
    TagStore tags,
    ReferrerIndex referrers,
    ManifestReferenceCheck references,
    RepositoryCatalog catalog,
    IOptions<OciRegistryOptions> options)
{
    /// <summary>Tags of a deleted manifest that are looked at in one step.</summary>
    private const int NamesPage = 1_000;

    /// <summary>The manifest that a tag or digest names; null when there is none. A tag without its manifest names none.</summary>
    public async ValueTask<StoredManifest?> GetAsync(
        RepositoryName repository, Reference reference, CancellationToken cancellationToken)
    {
        if (reference.Digest is { } digest)
        {
            return await documents.ReadAsync(repository, digest, cancellationToken);
        }

        if (await tags.ReadAsync(repository, reference.Tag!.Value, cancellationToken) is not { } tag)
        {
            return null;
        }

        var found = await documents.ReadAsync(repository, tag.Digest, cancellationToken);
        if (found is null)
        {
            // A push that has died beside a delete has left the tag: it must not stay in lists.
            await TryRemoveIfDanglingAsync(repository, reference.Tag!.Value);
        }

        return found;
    }

    /// <summary>Stores a manifest (spec end-7a) and points tags at it (end-7b).</summary>
    /// <remarks>
    ///   (1) the precondition holds                    else PreconditionFailed — before anything is looked at;
    ///       no tag moves that may not                 else TagTaken
    ///   (2) what it refers to is in the repository    else Missing            — nothing has been stored
    ///   (3) manifest, referrer entry, tags            in this order: a reader never finds a tag without its manifest
    ///   (4) manifest, referrer entry, reverse entries of the tags are all there
    ///                                                 else (3): a delete ran at the same time, and this push comes second
    /// </remarks>
    public async ValueTask<ManifestPutResult> PutAsync(ManifestPush push, CancellationToken cancellationToken) =>
        await CheckAsync(push, cancellationToken) ?? await StoreAsync(push, [], mayRestore: false, cancellationToken);

    /// <summary>The steps (3) and (4) of <see cref="PutAsync"/>.</summary>
    /// <param name="push">What is pushed.</param>
    /// <param name="set">
    /// The tags that this request has set: one that still has its version meets every condition. A caller that stores a push
    /// again hands in the same one.
    /// </param>
    /// <param name="mayRestore">
    /// Whether the caller may call <see cref="RestoreTagsAsync"/>: then each tag is read before it is written, too.
    /// </param>
    /// <param name="cancellationToken">Of the call.</param>
    public async ValueTask<ManifestPutResult> StoreAsync(
        ManifestPush push, Dictionary<Tag, SetTag> set, bool mayRestore, CancellationToken cancellationToken)
    {
        try
        {
            return await StoreWholeAsync(push, set, mayRestore, cancellationToken);
        }
        catch
        {
            // Half of it is harmless, but for names of a manifest that a delete at the same time has removed.
            await TryRemoveNamesAsync(push);
            throw;
        }
    }

    /// <summary>The steps (1) and (2) of <see cref="PutAsync"/>, which change nothing: why the push is refused, or null.</summary>
    public async ValueTask<ManifestPutResult?> CheckAsync(ManifestPush push, CancellationToken cancellationToken)
    {
        // (1)
        if (!push.Precondition.IsNone
            && !push.Precondition.Allows((await GetAsync(push.Repository, push.Target, cancellationToken))?.Digest))
        {
            return ManifestPutResult.PreconditionFailed;
        }

        foreach (var tag in push.MayMoveTags ? [] : push.AllTags)
        {
            if (await GetAsync(push.Repository, tag, cancellationToken) is { } present && present.Digest != push.Digest)
            {
                return ManifestPutResult.TagTaken(tag);
            }
        }

        return await CheckReferencesAsync(push, cancellationToken);
    }

    /// <summary>Step (2) of <see cref="PutAsync"/> alone: for a push that is stored again, which its own tags would refuse.</summary>
    public async ValueTask<ManifestPutResult?> CheckReferencesAsync(ManifestPush push, CancellationToken cancellationToken)
    {
        if (options.Value.Manifests.References == ManifestReferences.Off)
        {
            return null;
        }

        if (push.Manifest.Unstorable.Count > 0)
        {
            return new ManifestPutResult(false, push.Manifest.Unstorable);
        }

        var problems = await references.FindProblemsAsync(push.Repository, push.Manifest, cancellationToken);
        return problems.Count == 0
            ? null
            : new ManifestPutResult(false, [.. problems.Select(problem => problem.Error)])
            {
                Missing = [.. problems.Where(problem => problem.IsMissing).Select(problem => problem.Of)],
            };
    }

    /// <summary>
    /// Points tags that a refused push has set to what they named before. A tag that was written since stays: another push, a pull
    /// or a delete came second.
    /// </summary>
    public async ValueTask RestoreTagsAsync(
        RepositoryName repository, Dictionary<Tag, SetTag> set, CancellationToken cancellationToken)
    {
        foreach (var (tag, (version, before)) in set.ToArray())
        {
            if (before is not { } digest)
            {
                await tags.DeleteAsync(repository, tag, version, cancellationToken);
            }
            else if (await tags.WriteAsync(repository, tag, digest, WriteCondition.Unchanged(version), cancellationToken) is not null)
            {
                await TryRemoveIfDanglingAsync(repository, tag); // a delete of that manifest did not find this tag
            }

            set.Remove(tag);
        }
    }

    private async ValueTask<ManifestPutResult> StoreWholeAsync(
        ManifestPush push, Dictionary<Tag, SetTag> set, bool mayRestore, CancellationToken cancellationToken)
    {
        var (repository, digest, manifest, content) = (push.Repository, push.Digest, push.Manifest, push.Content);
        ManifestPutResult? refused = null;
        do
        {
            // (3)
            await documents.WriteAsync(repository, digest, manifest.MediaType, content, push.MayMoveTags, cancellationToken);
            await AddReferrerAsync(repository, digest, manifest, content.Length, cancellationToken);
            foreach (var tag in refused is null ? push.AllTags : [.. set.Keys])
            {
                var (outcome, written) = await TagAsync(
                    repository,
                    tag,
                    digest,
                    tag == push.Target.Tag ? push.Precondition : Precondition.None,
                    push.MayMoveTags,
                    set.TryGetValue(tag, out var own) ? own : null,
                    mayRestore,
                    cancellationToken);
                if (outcome != TagOutcome.Set)
                {
                    set.Remove(tag);
                    refused = outcome == TagOutcome.Taken ? ManifestPutResult.TagTaken(tag) : ManifestPutResult.PreconditionFailed;
                    break;
                }

                set[tag] = written;
            }

            await catalog.AddAsync(repository, cancellationToken);

            // (4) for a request that is refused at a later tag, too: the manifest is stored, and the tags before are set.
        }
        while (!await IsWholeAsync(repository, digest, manifest, set.Keys, cancellationToken));

        if (refused is not null)
        {
            // Those that were set before it are known: a request that can be refused here has read each tag.
            await RestoreTagsAsync(repository, set, cancellationToken);
            return refused;
        }

        return ManifestPutResult.Stored;
    }

    /// <summary>
    /// Stores a manifest that an upstream has sent, without a look at what it refers to: that can be fetched. False when an
    /// intact one was there already.
    /// </summary>
    public async ValueTask<bool> AddAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        ReadOnlyMemory<byte> content,
        CancellationToken cancellationToken)
    {
        var isNew = await documents.AddAsync(repository, digest, manifest.MediaType, content, cancellationToken);
        await AddReferrerAsync(repository, digest, manifest, content.Length, cancellationToken);
        await catalog.AddAsync(repository, cancellationToken);
        return isNew;
    }

    /// <summary>Deletes a tag (spec end-9); the manifest and its other tags stay. A tag that cannot be read is deleted too.</summary>
    public async ValueTask<ManifestDeletion> DeleteAsync(
        RepositoryName repository, Tag tag, Precondition precondition, CancellationToken cancellationToken)
    {
        while (await tags.FindAsync(repository, tag, cancellationToken) is { } found)
        {
            if (!precondition.IsNone && !precondition.Allows(found.Read().Digest))
            {
                return ManifestDeletion.Failed(ManifestDeleteOutcome.PreconditionFailed);
            }

            // By version in any case: a delete that arrives late must not take a tag that was pushed since.
            if (await tags.DeleteAsync(repository, tag, found.Version, cancellationToken))
            {
                return new ManifestDeletion(ManifestDeleteOutcome.Deleted, [tag], [tag], found.Digest);
            }
        }

        await tags.ConfirmAsync(repository, tag, cancellationToken);
        return ManifestDeletion.Failed(
            precondition.IsNone ? ManifestDeleteOutcome.Unknown : ManifestDeleteOutcome.PreconditionFailed);
    }

    /// <summary>Deletes a manifest, and every tag that names it (spec end-9).</summary>
    /// <remarks>
    ///   (1) tags that name it                         so that a delete that is interrupted leaves no tag of a missing manifest
    ///   (2) the manifest, by the version read         else (1): a push wrote it again
    ///   (3) names that a push has added since (1), the referrer entry, the reverse entries of tags
    /// The referrer entry does not go before the manifest: a signature that can be pulled is listed. One that is left behind
    /// without its manifest is not, and the list removes it.
    /// A delete of a missing manifest does (3) as well: it ends what an interrupted delete has left.
    /// </remarks>
    public async ValueTask<ManifestDeletion> DeleteAsync(
        RepositoryName repository, Digest digest, Precondition precondition, CancellationToken cancellationToken)
    {
        var removed = new RemovedTags();
        Digest? subject = null;
        var isDeleted = false;
        while (!isDeleted)
        {
            var found = await documents.FindAsync(repository, digest, cancellationToken);
            if (!precondition.Allows(found?.Manifest?.Digest))
            {
                return ManifestDeletion.Failed(ManifestDeleteOutcome.PreconditionFailed);
            }

            if (found is not { } present)
            {
                break;
            }

            // (1)
            subject = present.Subject() ?? subject;
            await tags.DeleteAllOfAsync(repository, digest, removed, cancellationToken);

            // (2)
            isDeleted = await documents.DeleteAsync(repository, digest, present.Version, cancellationToken);
        }

        // (3)
        await RemoveNamesAsync(repository, digest, subject, removed, cancellationToken);
        await catalog.RemoveIfEmptyAsync(repository, cancellationToken);
        if (!isDeleted)
        {
            // "It is gone" too must stay true: the delete that this one repeats may have failed after it removed the manifest.
            await documents.ConfirmAsync(repository, digest, cancellationToken);
        }

        return new ManifestDeletion(
            isDeleted ? ManifestDeleteOutcome.Deleted : ManifestDeleteOutcome.Unknown, removed.Named, removed.Deleted, digest);
    }

    /// <summary>
    /// Deletes one version of a manifest, and then what names it; false when that version is gone, and nothing is removed. For
    /// the cleanup of cached content, which must not touch a tag of a manifest that was pushed again.
    /// </summary>
    public async ValueTask<bool> DeleteAsync(
        RepositoryName repository, Digest digest, FoundManifest found, CancellationToken cancellationToken)
    {
        if (!await documents.DeleteAsync(repository, digest, found.Version, cancellationToken))
        {
            return false;
        }

        await RemoveNamesAsync(repository, digest, found.Subject(), cancellationToken);
        await catalog.RemoveIfEmptyAsync(repository, cancellationToken);
        return true;
    }

    /// <summary>Removes what names a missing manifest, and nothing while the manifest is there.</summary>
    /// <remarks>
    /// Every version is read before the manifest is looked for. A push that writes the manifest after that look writes each
    /// name after the manifest, with a new version, which the deletes here do not match.
    /// </remarks>
    public ValueTask RemoveNamesAsync(
        RepositoryName repository, Digest digest, Digest? subject, CancellationToken cancellationToken) =>
        RemoveNamesAsync(repository, digest, subject, new RemovedTags(), cancellationToken);

    private async ValueTask RemoveNamesAsync(
        RepositoryName repository, Digest digest, Digest? subject, RemovedTags removed, CancellationToken cancellationToken)
    {
        var referrer = subject is { } of ? await referrers.VersionAsync(repository, of, digest, cancellationToken) : null;
        string? last = null;
        do
        {
            var names = await tags.NamesOfAsync(repository, digest, last, NamesPage, cancellationToken);
            if (await documents.ExistsAsync(repository, digest, cancellationToken))
            {
                return;
            }

            if (referrer is not null)
            {
                await referrers.RemoveUnlistedAsync(repository, subject!.Value, digest, referrer, cancellationToken);
                referrer = null;
            }

            await tags.RemoveAsync(repository, digest, names.Tags, removed, cancellationToken);
            last = names.Last;
        }
        while (last is not null);
    }

    /// <summary>The same for a push that has failed; tags too whose reverse entry a delete has removed.</summary>
    private async ValueTask TryRemoveNamesAsync(ManifestPush push)
    {
        try
        {
            foreach (var tag in push.AllTags)
            {
                await RemoveIfDanglingAsync(push.Repository, tag);
            }

            await RemoveNamesAsync(push.Repository, push.Digest, push.Manifest.Subject, CancellationToken.None);
        }
        catch (StorageException)
        {
            // The push has its own error. A delete of the manifest removes the rest.
        }
    }

    /// <summary>
    /// Deletes a tag whose manifest is missing, and what else names that manifest. The tag's version is read before the manifest
    /// is looked for: a push that stores the manifest after that look gives the tag another version.
    /// </summary>
    private async ValueTask RemoveIfDanglingAsync(RepositoryName repository, Tag tag)
    {
        if (await tags.FindAsync(repository, tag, CancellationToken.None) is { Digest: { } digest } found
            && !await documents.ExistsAsync(repository, digest, CancellationToken.None)
            && await tags.DeleteAsync(repository, tag, found.Version, CancellationToken.None))
        {
            await RemoveNamesAsync(repository, digest, null, CancellationToken.None);
            await catalog.RemoveIfEmptyAsync(repository, CancellationToken.None);
        }
    }

    /// <summary>The same for a pull that has found such a tag.</summary>
    public async ValueTask TryRemoveIfDanglingAsync(RepositoryName repository, Tag tag)
    {
        try
        {
            await RemoveIfDanglingAsync(repository, tag);
        }
        catch (StorageException)
        {
            // The request has its own answer; the next pull of the tag tries again.
        }
    }

    /// <summary>Whether all that a push has written is there.</summary>
    private async ValueTask<bool> IsWholeAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        IEnumerable<Tag> set,
        CancellationToken cancellationToken)
    {
        List<Task<bool>> looks =
        [
            IsThereAsync(),
            .. set.Select(tag => tags.HasReverseAsync(repository, digest, tag, cancellationToken).AsTask()),
        ];
        if (manifest.Subject is { } subject)
        {
            looks.Add(IsReferrerAsync(subject));
        }

        return Array.TrueForAll(await Task.WhenAll(looks), isThere => isThere);

        async Task<bool> IsThereAsync() => await documents.ReadAsync(repository, digest, cancellationToken) is not null;

        async Task<bool> IsReferrerAsync(Digest of) =>
            await referrers.VersionAsync(repository, of, digest, cancellationToken) is not null;
    }

    /// <param name="repository">The repository of the tag.</param>
    /// <param name="tag">The tag to set.</param>
    /// <param name="digest">The manifest that it is to name.</param>
    /// <param name="precondition">What the client requires of the tag.</param>
    /// <param name="mayMove">Whether the tag may be moved from another manifest.</param>
    /// <param name="own">What this request wrote before, which meets every condition; null when it wrote nothing.</param>
    /// <param name="mayRestore">Whether what the tag named before has to be known.</param>
    /// <param name="cancellationToken">Of the call.</param>
    private async ValueTask<(TagOutcome Outcome, SetTag Set)> TagAsync(
        RepositoryName repository,
        Tag tag,
        Digest digest,
        Precondition precondition,
        bool mayMove,
        SetTag? own,
        bool mayRestore,
        CancellationToken cancellationToken)
    {
        var isFree = precondition.IsNone && mayMove;
        if (isFree && !mayRestore)
        {
            // Reads nothing, so that it repairs a tag that cannot be read, and that many writers of one tag all succeed.
            var written = await tags.WriteAsync(repository, tag, digest, WriteCondition.None, cancellationToken);
            return (TagOutcome.Set, new SetTag(written!, null));
        }

        while (true)
        {
            var found = await tags.FindAsync(repository, tag, cancellationToken);
            var isOwn = own is { } mine && found?.Version == mine.Version;
            if (!isOwn && !isFree)
            {
                var current = found is { } there
                    ? await documents.ReadAsync(repository, there.Read().Digest, cancellationToken)
                    : null;
                if (!precondition.Allows(current?.Digest))
                {
                    return (TagOutcome.PreconditionFailed, default);
                }

                if (!mayMove && current is not null && current.Digest != digest)
                {
                    return (TagOutcome.Taken, default);
                }
            }

            var condition = found is { } present ? WriteCondition.Unchanged(present.Version) : WriteCondition.Absent;
            if (await tags.WriteAsync(repository, tag, digest, condition, cancellationToken) is { } version)
            {
                return (TagOutcome.Set, new SetTag(version, isOwn ? own!.Value.Before : found?.Digest));
            }
        }
    }

    /// <summary>
    /// Written anew in any case: any writer writes the same, because it follows from the manifest, and the new version keeps
    /// it from a delete that has read the former one.
    /// </summary>
    private async ValueTask AddReferrerAsync(
        RepositoryName repository, Digest digest, Manifest manifest, long size, CancellationToken cancellationToken)
    {
        if (manifest.Subject is { } subject)
        {
            var referrer = new Descriptor(manifest.MediaType, digest, size)
            {
                ArtifactType = manifest.ArtifactType,
                Annotations = manifest.Annotations,
            };
            await referrers.AddAsync(repository, subject, referrer, cancellationToken);
        }
    }
}

/// <summary>A manifest that a client pushes (spec end-7a, 7b).</summary>
/// <param name="Repository">Where to.</param>
/// <param name="Digest">Of <paramref name="Content"/>.</param>
/// <param name="Manifest">What it says.</param>
/// <param name="Content">Its bytes, as they are to be served.</param>
/// <param name="Target">What the request names: a tag, or the digest.</param>
/// <param name="MoreTags">Tags to set besides.</param>
/// <param name="Precondition">What the client requires of <paramref name="Target"/>.</param>
/// <param name="MayMoveTags">Whether tags may be moved from other manifests.</param>
internal sealed record ManifestPush(
    RepositoryName Repository,
    Digest Digest,
    Manifest Manifest,
    ReadOnlyMemory<byte> Content,
    Reference Target,
    IReadOnlyList<Tag> MoreTags,
    Precondition Precondition,
    bool MayMoveTags)
{
    public IReadOnlyList<Tag> AllTags { get; } = Target.Tag is { } named ? [named, .. MoreTags] : MoreTags;
}

/// <summary>How a manifest PUT ended; problems are what is wrong with its references.</summary>
internal sealed record ManifestPutResult(bool IsStored, IReadOnlyList<OciError> Problems)
{
    /// <summary>What the manifest refers to, and is not in the repository.</summary>
    public IReadOnlyList<Descriptor> Missing { get; init; } = [];

    public static ManifestPutResult Stored { get; } = new(true, []);

    /// <summary>Neither stored nor wrong: the client's condition does not hold.</summary>
    public static ManifestPutResult PreconditionFailed { get; } = new(false, []);

    /// <summary>A tag names another manifest, and may not be moved.</summary>
    public static ManifestPutResult TagTaken(Tag tag) => new(false, [OciError.TagTaken(tag)]) { Taken = tag };

    /// <summary>The tag that names another manifest, and that the caller may not move.</summary>
    public Tag? Taken { get; init; }
}

/// <param name="Version">The tag's version, as this request has written it.</param>
/// <param name="Before">What the tag named before; null when there was none, it could not be read, or was not asked for.</param>
internal readonly record struct SetTag(string Version, Digest? Before);

internal enum TagOutcome
{
    Set,
    PreconditionFailed,
    Taken,
}

/// <summary>How a manifest or tag DELETE ended.</summary>
/// <param name="Outcome">The outcome.</param>
/// <param name="Named">Tags that have named the manifest, now or once; the tag that was deleted.</param>
/// <param name="Deleted">The tags that were deleted.</param>
/// <param name="Digest">What they named; null for a tag that could not be read.</param>
internal sealed record ManifestDeletion(
    ManifestDeleteOutcome Outcome, IReadOnlyCollection<Tag> Named, IReadOnlyCollection<Tag> Deleted, Digest? Digest)
{
    public static ManifestDeletion Failed(ManifestDeleteOutcome outcome) => new(outcome, [], [], null);
}

internal enum ManifestDeleteOutcome
{
    Deleted,
    Unknown,
    PreconditionFailed,
}
