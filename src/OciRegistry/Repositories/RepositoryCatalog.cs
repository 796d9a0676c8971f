using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>Which repositories exist: those with a manifest or a blob. One document each, so nothing has to walk.</summary>
internal sealed class RepositoryCatalog(IDocumentStore documents)
{
    public async ValueTask<bool> ContainsAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.CatalogEntry(repository), cancellationToken) is not null;

    /// <summary>Names after <paramref name="after"/>, in byte order.</summary>
    public ValueTask<IReadOnlyList<string>> ListAsync(string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(
            RegistryLayout.Catalog, static name => RepositoryName.TryParse(name, out _), after, limit, cancellationToken);

    /// <summary>Called after content was written, so that <see cref="RemoveIfEmptyAsync"/> sees it or we see its work.</summary>
    public async ValueTask AddAsync(RepositoryName repository, CancellationToken cancellationToken)
    {
        if (!await ContainsAsync(repository, cancellationToken))
        {
            await documents.WriteAsync(
                RegistryLayout.CatalogEntry(repository),
                "{}"u8.ToArray(),
                WriteCondition.None,
                Durability.Synced,
                cancellationToken);
        }
    }

    /// <summary>
    /// Takes a repository out that holds nothing any more. Whoever pushes at the same time has either written before we
    /// look again, and is put back in, or finds no entry afterwards, and makes one.
    /// </summary>
    public async ValueTask RemoveIfEmptyAsync(RepositoryName repository, CancellationToken cancellationToken)
    {
        if (await HasContentAsync(repository, cancellationToken))
        {
            return;
        }

        await documents.DeleteAsync(
            RegistryLayout.CatalogEntry(repository), WriteCondition.None, Durability.Synced, cancellationToken);
        if (await HasContentAsync(repository, cancellationToken))
        {
            await AddAsync(repository, cancellationToken);
        }
    }

    private async ValueTask<bool> HasContentAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        await documents.AnyAsync(RegistryLayout.Manifests(repository), cancellationToken)
        || await documents.AnyAsync(RegistryLayout.RepositoryBlobs(repository), cancellationToken);
}
