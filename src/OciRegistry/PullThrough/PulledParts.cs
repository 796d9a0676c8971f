using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Which manifests of a repository are made of a blob or manifest: an empty document each, so that what an upstream does not
/// have any more leads to the tags that it was part of, without a look at all of them.
/// </summary>
internal sealed class PulledParts(IDocumentStore documents)
{
    private const int MaxWholes = 1_000;
    private const int Parallelism = 16;

    /// <summary>Not synced: what gets lost makes a tag be asked for at its time, instead of at once.</summary>
    public async ValueTask AddAsync(RepositoryName repository, Digest whole, Manifest manifest, CancellationToken cancellationToken) =>
        await EachAsync(
            manifest,
            async (part, token) => await documents.WriteAsync(
                RegistryLayout.Part(repository, part, whole), ReadOnlyMemory<byte>.Empty, WriteCondition.None, Durability.Atomic, token),
            cancellationToken);

    public async ValueTask RemoveAsync(
        RepositoryName repository, Digest whole, Manifest manifest, CancellationToken cancellationToken) =>
        await EachAsync(
            manifest,
            async (part, token) => await documents.DeleteAsync(
                RegistryLayout.Part(repository, part, whole), WriteCondition.None, Durability.Atomic, token),
            cancellationToken);

    /// <summary>The content itself, and every manifest that is made of it, or of one of those.</summary>
    public async ValueTask<IReadOnlyCollection<Digest>> WholesAsync(
        RepositoryName repository, Digest part, CancellationToken cancellationToken)
    {
        var found = new HashSet<Digest> { part };
        var next = new Queue<Digest>(found);
        while (next.TryDequeue(out var digest) && found.Count < MaxWholes)
        {
            foreach (var whole in await ManifestsOfAsync(repository, digest, MaxWholes, cancellationToken))
            {
                if (found.Add(whole))
                {
                    next.Enqueue(whole);
                }
            }
        }

        return found;
    }

    /// <summary>The manifests that name a blob or manifest themselves, at most <paramref name="limit"/>.</summary>
    public async ValueTask<IReadOnlyCollection<Digest>> ManifestsOfAsync(
        RepositoryName repository, Digest part, int limit, CancellationToken cancellationToken)
    {
        var found = new List<Digest>();
        foreach (var name in await documents.ListAsync(RegistryLayout.Parts(repository, part), null, limit, cancellationToken))
        {
            if (Digest.TryParse(name, out var whole))
            {
                found.Add(whole);
            }
        }

        return found;
    }

    private static Task EachAsync(
        Manifest manifest, Func<Digest, CancellationToken, ValueTask> act, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).Distinct(),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            act);
}
