using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>Fetches images before anybody asks for them: everything that their references reach.</summary>
internal sealed class Prefetch(Upstreams upstreams, PulledManifests manifests, PulledBlobs blobs)
{
    private const int Parallelism = 4;
    private const int MaxDepth = 4;

    /// <summary>Fetches what a reference names, such as <c>hub/library/alpine:3</c>; what is here already is not fetched again.</summary>
    /// <param name="reference">The repository, by prefix or by namespace, and a tag or digest; without one, <c>latest</c>.</param>
    /// <param name="tell">Is told of each step, of several at a time.</param>
    /// <param name="cancellationToken">Ends it between two steps.</param>
    /// <returns>Null when all of it is here; else what is wrong.</returns>
    public async ValueTask<string?> RunAsync(string reference, Action<PrefetchStep> tell, CancellationToken cancellationToken)
    {
        if (!TryParse(reference, out var upstream, out var repository, out var named))
        {
            return "It names nothing of an upstream. Write it like hub/library/alpine:3, with the Prefix of an upstream or its host.";
        }

        var problem = await RunAsync(upstream, repository, named, MaxDepth, tell, cancellationToken);
        return problem;
    }

    private async ValueTask<string?> RunAsync(
        Upstream upstream,
        RepositoryName repository,
        Reference reference,
        int depth,
        Action<PrefetchStep> tell,
        CancellationToken cancellationToken)
    {
        var pulled = await manifests.GetAsync(upstream, repository, reference, withContent: true, cancellationToken);
        if (pulled.Value is not { Content: { } content } found)
        {
            return $"{repository} {reference}: {pulled.Error!.Message}";
        }

        tell(new PrefetchStep(repository, found.Digest, found.Length));
        if (!Manifest.TryParse(content, found.MediaType, out var manifest, out var error))
        {
            return $"{repository} {reference}: {error.Message}";
        }

        string? problem = null;
        await Parallel.ForEachAsync(
            manifest.Blobs.Concat(manifest.Manifests),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            async (part, token) =>
            {
                var isManifest = MediaTypes.IsImage(part.MediaType) || MediaTypes.IsIndex(part.MediaType);
                if (isManifest && depth == 0)
                {
                    return;
                }

                var found = isManifest
                    ? await RunAsync(upstream, repository, part.Digest, depth - 1, tell, token)
                    : (await blobs.FetchAsync(upstream, repository, part.Digest, token))?.Problem is { } what
                        ? $"{repository} {part.Digest}: {what}"
                        : null;
                if (found is not null)
                {
                    problem = found;
                }
                else if (!isManifest)
                {
                    tell(new PrefetchStep(repository, part.Digest, part.Size));
                }
            });
        return problem;
    }

    private bool TryParse(string text, out Upstream upstream, out RepositoryName repository, out Reference reference)
    {
        (upstream, repository, reference) = (null!, default, default);
        var at = text.IndexOf('@', StringComparison.Ordinal);
        var colon = text.LastIndexOf(':');
        var (name, named) = at > 0 ? (text[..at], text[(at + 1)..])
            : colon > text.LastIndexOf('/') ? (text[..colon], text[(colon + 1)..])
            : (text, "latest");
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        if (!Reference.TryParse(named, out reference)
            || !((RepositoryName.TryParse(name, out var whole) && upstreams.Of(whole) is not null
                    && upstreams.TryFind(whole, null, "", out repository))
                || (slash > 0 && RepositoryName.TryParse(name.AsSpan(slash + 1), out var rest)
                    && upstreams.TryFind(rest, name[..slash], "", out repository))))
        {
            return false;
        }

        upstream = upstreams.Of(repository)!;
        return true;
    }
}

/// <summary>A manifest or blob that is here now.</summary>
internal readonly record struct PrefetchStep(RepositoryName Repository, Digest Digest, long Size);
