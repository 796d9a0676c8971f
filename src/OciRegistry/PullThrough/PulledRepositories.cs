using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// The repositories of each upstream in which the sweep has something to look at: one document each, for as long as there is
/// any note.
/// </summary>
internal sealed class PulledRepositories(IDocumentStore documents, Upstreams upstreams)
{
    /// <summary>To be called after the first note of its kind was written in a repository.</summary>
    public async ValueTask AddAsync(RepositoryName repository, CancellationToken cancellationToken)
    {
        if (upstreams.Of(repository) is { } upstream)
        {
            await PresenceEntry.AddAsync(documents, RegistryLayout.PulledRepository(upstream.Prefix, repository), cancellationToken);
        }
    }

    public ValueTask<IReadOnlyList<string>> ListAsync(
        Upstream upstream, string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(RegistryLayout.PulledRepositories(upstream.Prefix), after, limit, cancellationToken);

    public ValueTask RemoveIfEmptyAsync(Upstream upstream, RepositoryName repository, CancellationToken cancellationToken) =>
        PresenceEntry.RemoveIfEmptyAsync(
            documents,
            RegistryLayout.PulledRepository(upstream.Prefix, repository),
            async token => await documents.AnyAsync(RegistryLayout.PulledContent(repository), token)
                || await documents.AnyAsync(RegistryLayout.ResolvedTags(repository), token)
                || await documents.AnyAsync(RegistryLayout.ReferredSubjects(repository), token),
            cancellationToken);
}
