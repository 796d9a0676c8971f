using System.Text;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Tags: one document each, which holds the digest as it was pushed. A plain write replaces it as one step; only a
/// conditional one compares, so that a thousand writers of one tag do not starve each other.
/// </summary>
internal sealed class TagStore(IDocumentStore documents, RegistryMetrics metrics)
{
    /// <summary>The digest that the tag names, and the version to write against; null when there is no such tag.</summary>
    /// <exception cref="StorageException">There is such a tag, and its document cannot be read.</exception>
    public async ValueTask<TagEntry?> ReadAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        (await FindAsync(repository, tag, cancellationToken))?.Read();

    /// <summary>The tag, also when its document cannot be read; null when there is no such tag.</summary>
    public async ValueTask<FoundTag?> FindAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.Tag(repository, tag), cancellationToken) is not { } document)
        {
            return null;
        }

        if (Digest.TryParse(Encoding.ASCII.GetString(document.Content.Span), out var digest))
        {
            return new FoundTag(tag, digest, document.Version);
        }

        metrics.IntegrityEvent("tag");
        return new FoundTag(tag, null, document.Version);
    }

    /// <summary>The new version of the tag; null when the condition did not hold.</summary>
    /// <remarks>
    /// The reverse entry comes first: a delete of the manifest finds every tag that names it. It is empty, so any writer
    /// writes the same; it is written in any case, because the new version keeps it from a delete that has read the former.
    /// </remarks>
    public async ValueTask<string?> WriteAsync(
        RepositoryName repository,
        Tag tag,
        Digest digest,
        WriteCondition condition,
        CancellationToken cancellationToken)
    {
        await documents.WriteAsync(
            RegistryLayout.Tagged(repository, digest, tag),
            ReadOnlyMemory<byte>.Empty,
            WriteCondition.None,
            Durability.Synced,
            cancellationToken);
        return await documents.WriteAsync(
            RegistryLayout.Tag(repository, tag),
            Encoding.ASCII.GetBytes(digest.ToString()),
            condition,
            Durability.Synced,
            cancellationToken);
    }

    /// <summary>Returns once a tag that was found missing stays missing after a power cut.</summary>
    public ValueTask ConfirmAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        documents.ConfirmAsync(RegistryLayout.Tag(repository, tag), cancellationToken);

    /// <summary>Deletes one version of a tag; false when it is gone or was written again.</summary>
    public ValueTask<bool> DeleteAsync(
        RepositoryName repository, Tag tag, string version, CancellationToken cancellationToken) =>
        documents.DeleteAsync(
            RegistryLayout.Tag(repository, tag), WriteCondition.Unchanged(version), Durability.Synced, cancellationToken);

    /// <summary>Tags after <paramref name="after"/>, in ordinal order.</summary>
    public ValueTask<IReadOnlyList<string>> ListAsync(
        RepositoryName repository, string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(
            RegistryLayout.Tags(repository), static name => Tag.TryParse(name, out _), after, limit, cancellationToken);

    /// <summary>Whether the tag's reverse entry for a manifest is there.</summary>
    public async ValueTask<bool> HasReverseAsync(
        RepositoryName repository, Digest digest, Tag tag, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.Tagged(repository, digest, tag), cancellationToken) is not null;

    /// <summary>
    /// Deletes every tag that names the digest now; tags that have moved or cannot be read stay. The reverse entries stay,
    /// because the manifest is there, and a push may be setting a tag.
    /// </summary>
    /// <param name="repository">The repository of the manifest.</param>
    /// <param name="digest">The manifest.</param>
    /// <param name="removed">Gets what was found and deleted.</param>
    /// <param name="cancellationToken">Of the call.</param>
    public async ValueTask DeleteAllOfAsync(
        RepositoryName repository, Digest digest, RemovedTags removed, CancellationToken cancellationToken)
    {
        var names = await documents.ListFreshAsync(
            RegistryLayout.Tagged(repository, digest), null, int.MaxValue, cancellationToken);
        foreach (var name in names)
        {
            if (!Tag.TryParse(name, out var tag))
            {
                continue;
            }

            removed.Named.Add(tag);
            if (await FindAsync(repository, tag, cancellationToken) is { } found && found.Digest == digest
                && await DeleteAsync(repository, tag, found.Version, cancellationToken))
            {
                removed.Deleted.Add(tag);
            }
        }
    }

    /// <summary>
    /// The reverse entries of a digest after <paramref name="after"/>, with their versions and those of the tags that name the
    /// digest now.
    /// </summary>
    public async ValueTask<TagNames> NamesOfAsync(
        RepositoryName repository, Digest digest, string? after, int limit, CancellationToken cancellationToken)
    {
        var found = new List<TagName>();
        var names = await documents.ListAsync(RegistryLayout.Tagged(repository, digest), after, limit, cancellationToken);
        foreach (var name in names)
        {
            if (Tag.TryParse(name, out var tag)
                && await documents.ReadAsync(RegistryLayout.Tagged(repository, digest, tag), cancellationToken) is { } reverse)
            {
                var current = await FindAsync(repository, tag, cancellationToken);
                found.Add(new TagName(tag, reverse.Version, current?.Digest == digest ? current?.Version : null));
            }
        }

        return new TagNames(found, names.Count < limit ? null : names[^1]);
    }

    /// <summary>Deletes tags and reverse entries as <see cref="NamesOfAsync"/> found them; what was written since stays.</summary>
    public async ValueTask RemoveAsync(
        RepositoryName repository,
        Digest digest,
        IReadOnlyList<TagName> names,
        RemovedTags removed,
        CancellationToken cancellationToken)
    {
        foreach (var (tag, reverse, version) in names)
        {
            removed.Named.Add(tag);
            if (version is not null && await DeleteAsync(repository, tag, version, cancellationToken))
            {
                removed.Deleted.Add(tag);
            }

            await documents.DeleteAsync(
                RegistryLayout.Tagged(repository, digest, tag),
                WriteCondition.Unchanged(reverse),
                Durability.Atomic,
                cancellationToken);
        }
    }
}

internal readonly record struct TagEntry(Digest Digest, string Version);

/// <param name="Tag">Which.</param>
/// <param name="Digest">The digest that it names; null when its document cannot be read.</param>
/// <param name="Version">Of its document.</param>
internal readonly record struct FoundTag(Tag Tag, Digest? Digest, string Version)
{
    /// <exception cref="StorageException">The document cannot be read.</exception>
    public TagEntry Read() => Digest is { } digest
        ? new TagEntry(digest, Version)
        : throw new StorageException(
            $"The tag '{Tag}' is damaged in the registry's storage. Push it again without If-Match and If-None-Match, or delete it.")
        {
            IsDamaged = true,
        };
}

/// <param name="Tag">A tag that has named a digest once.</param>
/// <param name="Reverse">The version of its reverse entry.</param>
/// <param name="Version">The version of the tag; null when it does not name the digest now.</param>
internal readonly record struct TagName(Tag Tag, string Reverse, string? Version);

/// <summary>What the delete of a manifest does to tags.</summary>
internal sealed class RemovedTags
{
    /// <summary>Tags that have named the manifest, now or once.</summary>
    public HashSet<Tag> Named { get; } = [];

    /// <summary>Those that named it, and were deleted with it, in the order of that; one that was pushed meanwhile is in it twice.</summary>
    public List<Tag> Deleted { get; } = [];
}

/// <param name="Tags">The tags of one page.</param>
/// <param name="Last">Where the next page starts after; null after the last one.</param>
internal sealed record TagNames(IReadOnlyList<TagName> Tags, string? Last);
