using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>Which repositories exist: those with a manifest or a blob. One document each, so nothing has to walk.</summary>
internal sealed class RepositoryCatalog(IDocumentStore documents)
{
    // Versions of entries that are known to be on disk, the last of each class of names: a push finds its repository's
    // entry several times, and must not sync it each time.
    private readonly string?[] _confirmed = new string?[1024];

    public async ValueTask<bool> ContainsAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.CatalogEntry(repository), cancellationToken) is not null;

    /// <summary>Names after <paramref name="after"/>, in byte order.</summary>
    public ValueTask<IReadOnlyList<string>> ListAsync(string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(
            RegistryLayout.Catalog, static name => RepositoryName.TryParse(name, out _), after, limit, cancellationToken);

    /// <summary>Called after content was written. Returns once the entry is on disk, whoever has written it.</summary>
    public async ValueTask AddAsync(RepositoryName repository, CancellationToken cancellationToken)
    {
        var key = RegistryLayout.CatalogEntry(repository);
        var name = (uint)repository.GetHashCode() % (uint)_confirmed.Length;
        var (version, isNew) = await PresenceEntry.AddAsync(documents, key, cancellationToken);
        if (!isNew && _confirmed[name] != version)
        {
            await documents.ConfirmAsync(key, cancellationToken);
        }

        _confirmed[name] = version;
        if (isNew)
        {
            await RemoveIfEmptyAsync(repository, cancellationToken); // a delete of the content may have found no entry
        }
    }

    /// <summary>Takes a repository out that has no content any more. A push at the same time keeps it in, or puts it back.</summary>
    public ValueTask RemoveIfEmptyAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        PresenceEntry.RemoveIfEmptyAsync(
            documents,
            RegistryLayout.CatalogEntry(repository),
            token => HasContentAsync(repository, token),
            cancellationToken);

    private async ValueTask<bool> HasContentAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        await documents.AnyAsync(RegistryLayout.Manifests(repository), cancellationToken)
        || await documents.AnyAsync(RegistryLayout.RepositoryBlobs(repository), cancellationToken);
}
