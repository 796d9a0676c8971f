using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// A document that is there as long as something else is, such as a repository in the catalog as long as it has content.
/// </summary>
/// <remarks>
/// Content is added first, then its entry is looked at. An entry is marked first, then content is looked for, and the entry
/// deleted by the version of the mark. So either the remover finds the content, or the writer of the content finds the mark
/// and writes the entry anew, which the delete does not match. A remover that dies leaves an entry, never content without
/// one.
/// </remarks>
internal static class PresenceEntry
{
    private static readonly ReadOnlyMemory<byte> Present = "{}"u8.ToArray();
    private static readonly ReadOnlyMemory<byte> Leaving = """{"leaving":true}"""u8.ToArray();

    /// <summary>Makes the entry, or takes its mark away. To be called after the content was written.</summary>
    /// <returns>The entry's version, and whether this call has written it.</returns>
    public static async ValueTask<(string Version, bool IsNew)> AddAsync(
        IDocumentStore documents, DocumentKey key, CancellationToken cancellationToken)
    {
        while (true)
        {
            var found = await documents.ReadAsync(key, cancellationToken);
            if (found is not null && !found.Content.Span.SequenceEqual(Leaving.Span))
            {
                return (found.Version, false);
            }

            var condition = found is null ? WriteCondition.Absent : WriteCondition.Unchanged(found.Version);
            if (await documents.WriteAsync(key, Present, condition, Durability.Synced, cancellationToken) is { } written)
            {
                return (written, true);
            }
        }
    }

    /// <summary>Deletes the entry when there is no content.</summary>
    /// <param name="documents">The store.</param>
    /// <param name="key">The entry.</param>
    /// <param name="hasContent">Whether there is content, as of the call.</param>
    /// <param name="cancellationToken">Of the call.</param>
    public static async ValueTask RemoveIfEmptyAsync(
        IDocumentStore documents,
        DocumentKey key,
        Func<CancellationToken, ValueTask<bool>> hasContent,
        CancellationToken cancellationToken)
    {
        if (await hasContent(cancellationToken))
        {
            return;
        }

        if (await documents.ReadAsync(key, cancellationToken) is not { } found)
        {
            await documents.ConfirmAsync(key, cancellationToken); // the request that removed it may have failed after that
            return;
        }

        if (await documents.WriteAsync(
            key, Leaving, WriteCondition.Unchanged(found.Version), Durability.Synced, cancellationToken) is not { } marked)
        {
            return; // another request has just written the entry, and looks for content itself
        }

        if (await hasContent(cancellationToken))
        {
            await documents.WriteAsync(
                key, Present, WriteCondition.Unchanged(marked), Durability.Synced, cancellationToken);
            return;
        }

        // A replica of the release before does not know the mark: it has taken the entry for one that stays.
        if (await documents.DeleteAsync(key, WriteCondition.Unchanged(marked), Durability.Synced, cancellationToken)
            && await hasContent(cancellationToken))
        {
            await AddAsync(documents, key, cancellationToken);
        }
    }
}
