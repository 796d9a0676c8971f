using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// The manifests of repositories, under the digest they were pushed with, byte for byte. A manifest's document holds its
/// media type in a first line, and its bytes; it is verified whenever it is read from the storage.
/// </summary>
internal sealed partial class ManifestStore(
    IDocumentStore documents,
    TagStore tags,
    ReferrerIndex referrers,
    ManifestReferenceCheck references,
    RepositoryCatalog catalog,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    ILogger<ManifestStore> log)
{
    // For as long as a store hands out the same document again, which it has not read again.
    private readonly ConditionalWeakTable<Document, StoredManifest> _verified = [];

    /// <summary>The manifest that a tag or digest names; null when there is none. A tag without its manifest names none.</summary>
    public async ValueTask<StoredManifest?> GetAsync(
        RepositoryName repository, Reference reference, CancellationToken cancellationToken)
    {
        if (reference.Digest is { } digest)
        {
            return await ReadAsync(repository, digest, cancellationToken);
        }

        return await tags.ReadAsync(repository, reference.Tag!.Value, cancellationToken) is { } tag
            ? await ReadAsync(repository, tag.Digest, cancellationToken)
            : null;
    }

    /// <summary>Stores a manifest (spec end-7a) and points tags at it (end-7b).</summary>
    /// <remarks>
    ///   (1) the precondition holds                    else PreconditionFailed — before anything is looked at;
    ///       no tag moves that may not                 else TagTaken
    ///   (2) what it refers to is in the repository    else Missing            — nothing has been stored
    ///   (3) manifest, referrer entry, tags            in this order: nobody finds a tag without its manifest
    ///   (4) the manifest is still there               else (3): a delete at the same time came first, we come second
    /// </remarks>
    public async ValueTask<ManifestPutResult> PutAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        ReadOnlyMemory<byte> content,
        Reference target,
        IReadOnlyList<Tag> moreTags,
        Precondition precondition,
        bool mayMoveTags,
        CancellationToken cancellationToken)
    {
        // (1)
        if (!precondition.IsNone
            && !precondition.Allows((await GetAsync(repository, target, cancellationToken))?.Digest))
        {
            return ManifestPutResult.PreconditionFailed;
        }

        Tag[] allTags = target.Tag is { } named ? [named, .. moreTags] : [.. moreTags];
        foreach (var tag in mayMoveTags ? [] : allTags)
        {
            if (await GetAsync(repository, tag, cancellationToken) is { } present && present.Digest != digest)
            {
                return ManifestPutResult.TagTaken(tag);
            }
        }

        // (2)
        if (options.Value.Manifests.References != ManifestReferences.Off)
        {
            var problems = await references.FindProblemsAsync(repository, manifest, cancellationToken);
            if (problems.Count > 0)
            {
                return new ManifestPutResult(false, problems);
            }
        }

        do
        {
            // (3)
            await WriteAsync(repository, digest, manifest, content, mayMoveTags, cancellationToken);
            foreach (var tag in allTags)
            {
                var condition = tag == target.Tag ? precondition : Precondition.None;
                var outcome = await TagAsync(repository, tag, digest, condition, mayMoveTags, cancellationToken);
                if (outcome != TagOutcome.Set)
                {
                    return outcome == TagOutcome.Taken ? ManifestPutResult.TagTaken(tag) : ManifestPutResult.PreconditionFailed;
                }
            }

            await catalog.AddAsync(repository, cancellationToken);

            // (4)
        }
        while (await ReadAsync(repository, digest, cancellationToken) is null);

        return ManifestPutResult.Stored;
    }

    /// <summary>Stores a manifest that an upstream has sent, without a look at what it refers to: that is there to be fetched.</summary>
    public async ValueTask AddAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        ReadOnlyMemory<byte> content,
        CancellationToken cancellationToken)
    {
        await WriteAsync(repository, digest, manifest, content, mayReplace: true, cancellationToken);
        await catalog.AddAsync(repository, cancellationToken);
    }

    /// <summary>Deletes a tag (spec end-9); the manifest and its other tags stay.</summary>
    public async ValueTask<ManifestDeleteOutcome> DeleteAsync(
        RepositoryName repository, Tag tag, Precondition precondition, CancellationToken cancellationToken)
    {
        while (await tags.ReadAsync(repository, tag, cancellationToken) is { } entry)
        {
            if (!precondition.Allows(entry.Digest))
            {
                return ManifestDeleteOutcome.PreconditionFailed;
            }

            var condition = precondition.IsNone ? WriteCondition.None : WriteCondition.Unchanged(entry.Version);
            if (await tags.DeleteAsync(repository, tag, condition, cancellationToken))
            {
                return ManifestDeleteOutcome.Deleted;
            }
        }

        return precondition.IsNone ? ManifestDeleteOutcome.Unknown : ManifestDeleteOutcome.PreconditionFailed;
    }

    /// <summary>Deletes a manifest, and every tag that names it (spec end-9).</summary>
    /// <remarks>
    /// Tags and referrer entry go first, so that a delete that is cut off leaves nothing behind that names what is gone;
    /// and once more afterwards, for those that a push has added in between.
    /// </remarks>
    public async ValueTask<ManifestDeleteOutcome> DeleteAsync(
        RepositoryName repository, Digest digest, Precondition precondition, CancellationToken cancellationToken)
    {
        var stored = await ReadAsync(repository, digest, cancellationToken);
        if (!precondition.Allows(stored?.Digest))
        {
            return ManifestDeleteOutcome.PreconditionFailed;
        }

        var subject = stored is not null && Manifest.TryParse(stored.Content, stored.MediaType, out var manifest, out _)
            ? manifest.Subject
            : null;
        await RemoveWhatNamesAsync(repository, digest, subject, cancellationToken);
        var deleted = await documents.DeleteAsync(
            RegistryLayout.Manifest(repository, digest), WriteCondition.None, Durability.Synced, cancellationToken);
        if (!deleted)
        {
            return ManifestDeleteOutcome.Unknown;
        }

        await RemoveWhatNamesAsync(repository, digest, subject, cancellationToken);
        await catalog.RemoveIfEmptyAsync(repository, cancellationToken);
        return ManifestDeleteOutcome.Deleted;
    }

    private async ValueTask RemoveWhatNamesAsync(
        RepositoryName repository, Digest digest, Digest? subject, CancellationToken cancellationToken)
    {
        await tags.DeleteAllOfAsync(repository, digest, cancellationToken);
        if (subject is { } of
            && await referrers.VersionAsync(repository, of, digest, cancellationToken) is { } version)
        {
            await referrers.RemoveAsync(repository, of, digest, version, cancellationToken);
        }
    }

    private async ValueTask<TagOutcome> TagAsync(
        RepositoryName repository,
        Tag tag,
        Digest digest,
        Precondition precondition,
        bool mayMove,
        CancellationToken cancellationToken)
    {
        if (precondition.IsNone && mayMove)
        {
            await tags.WriteAsync(repository, tag, digest, WriteCondition.None, cancellationToken);
            return TagOutcome.Set;
        }

        while (true)
        {
            var entry = await tags.ReadAsync(repository, tag, cancellationToken);
            var current = entry is { } named ? await ReadAsync(repository, named.Digest, cancellationToken) : null;
            if (!precondition.Allows(current?.Digest))
            {
                return TagOutcome.PreconditionFailed;
            }

            if (!mayMove && current is not null && current.Digest != digest)
            {
                return TagOutcome.Taken;
            }

            var condition = entry is { } e ? WriteCondition.Unchanged(e.Version) : WriteCondition.Absent;
            if (await tags.WriteAsync(repository, tag, digest, condition, cancellationToken))
            {
                return TagOutcome.Set;
            }
        }
    }

    private async ValueTask<StoredManifest?> ReadAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.Manifest(repository, digest), cancellationToken) is not { } document)
        {
            return null;
        }

        if (_verified.TryGetValue(document, out var verified))
        {
            return verified;
        }

        var end = document.Content.Span.IndexOf((byte)'\n');
        var content = document.Content[(end + 1)..];
        if (end > 0 && Digest.Of(content.Span, digest.Algorithm) == digest)
        {
            var manifest = new StoredManifest(digest, Encoding.UTF8.GetString(document.Content.Span[..end]), content);
            _verified.AddOrUpdate(document, manifest);
            return manifest;
        }

        metrics.IntegrityEvent("manifest");
        LogDamaged(log, digest, repository);
        return null;
    }

    /// <summary>The manifest, then what names it as a referrer.</summary>
    private async ValueTask WriteAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        ReadOnlyMemory<byte> content,
        bool mayReplace,
        CancellationToken cancellationToken)
    {
        await WriteAsync(repository, digest, manifest.MediaType, content, mayReplace, cancellationToken);
        if (manifest.Subject is { } subject)
        {
            var referrer = new Descriptor(manifest.MediaType, digest, content.Length)
            {
                ArtifactType = manifest.ArtifactType,
                Annotations = manifest.Annotations,
            };
            await referrers.AddAsync(repository, subject, referrer, cancellationToken);
        }
    }

    private async ValueTask WriteAsync(
        RepositoryName repository,
        Digest digest,
        string mediaType,
        ReadOnlyMemory<byte> content,
        bool mayReplace,
        CancellationToken cancellationToken)
    {
        var document = new byte[Encoding.UTF8.GetByteCount(mediaType) + 1 + content.Length];
        var end = Encoding.UTF8.GetBytes(mediaType, document);
        document[end] = (byte)'\n';
        content.CopyTo(document.AsMemory(end + 1));
        var key = RegistryLayout.Manifest(repository, digest);
        var isNew = await documents.WriteAsync(
            key, document, WriteCondition.Absent, Durability.Synced, cancellationToken) is not null;
        if (isNew || await ReadAsync(repository, digest, cancellationToken) is { } present
            && (present.MediaType == mediaType || !mayReplace))
        {
            return;
        }

        await documents.WriteAsync(key, document, WriteCondition.None, Durability.Synced, cancellationToken);
    }

    [LoggerMessage(LogLevel.Error, "Manifest {Digest} of {Repository} is damaged in the storage. It is answered as unknown; pushing it again repairs it.")]
    private static partial void LogDamaged(ILogger logger, Digest digest, RepositoryName repository);
}

/// <summary>A manifest as it was pushed.</summary>
internal sealed record StoredManifest(Digest Digest, string MediaType, ReadOnlyMemory<byte> Content);

/// <summary>How a manifest PUT ended; problems are what is wrong with its references.</summary>
internal sealed record ManifestPutResult(bool IsStored, IReadOnlyList<OciError> Problems)
{
    public static ManifestPutResult Stored { get; } = new(true, []);

    /// <summary>Neither stored nor wrong: the client's condition does not hold.</summary>
    public static ManifestPutResult PreconditionFailed { get; } = new(false, []);

    /// <summary>A tag names another manifest, and may not be moved.</summary>
    public static ManifestPutResult TagTaken(Tag tag) => new(false, [OciError.TagTaken(tag)]);
}

internal enum TagOutcome
{
    Set,
    PreconditionFailed,
    Taken,
}

internal enum ManifestDeleteOutcome
{
    Deleted,
    Unknown,
    PreconditionFailed,
}
