using System.Text;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Tags: one document each, which holds the digest as it was pushed. A plain write replaces it as one step; only a
/// conditional one compares, so that a thousand writers of one tag do not starve each other.
/// </summary>
internal sealed class TagStore(IDocumentStore documents)
{
    /// <summary>The digest that the tag names, and the version to write against; null when there is no such tag.</summary>
    public async ValueTask<TagEntry?> ReadAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.Tag(repository, tag), cancellationToken) is { } document
        && Digest.TryParse(Encoding.ASCII.GetString(document.Content.Span), out var digest)
            ? new TagEntry(digest, document.Version)
            : null;

    /// <summary>False when the condition did not hold.</summary>
    /// <remarks>The reverse entry comes first: a delete of the manifest finds every tag that names it.</remarks>
    public async ValueTask<bool> WriteAsync(
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
            cancellationToken) is not null;
    }

    /// <summary>False when the condition did not hold or there was no such tag.</summary>
    public ValueTask<bool> DeleteAsync(
        RepositoryName repository, Tag tag, WriteCondition condition, CancellationToken cancellationToken) =>
        documents.DeleteAsync(RegistryLayout.Tag(repository, tag), condition, Durability.Synced, cancellationToken);

    /// <summary>Tags after <paramref name="after"/>, in ordinal order.</summary>
    public ValueTask<IReadOnlyList<string>> ListAsync(
        RepositoryName repository, string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(
            RegistryLayout.Tags(repository), static name => Tag.TryParse(name, out _), after, limit, cancellationToken);

    /// <summary>Deletes every tag that names the digest now; those that have moved on stay.</summary>
    public async ValueTask DeleteAllOfAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var names = await documents.ListFreshAsync(
            RegistryLayout.Tagged(repository, digest), null, int.MaxValue, cancellationToken);
        foreach (var name in names)
        {
            if (!Tag.TryParse(name, out var tag))
            {
                continue;
            }

            if (await ReadAsync(repository, tag, cancellationToken) is { } entry && entry.Digest == digest)
            {
                await DeleteAsync(repository, tag, WriteCondition.Unchanged(entry.Version), cancellationToken);
            }

            await documents.DeleteAsync(
                RegistryLayout.Tagged(repository, digest, tag), WriteCondition.None, Durability.Atomic, cancellationToken);
        }
    }
}

internal readonly record struct TagEntry(Digest Digest, string Version);
