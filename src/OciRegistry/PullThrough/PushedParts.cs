using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>Keeps content from the sweep of cached content, because a client has pushed it, or something that is made of it.</summary>
internal sealed class PushedParts(PulledEntries entries, ManifestDocuments documents, RepositoryBlobs blobs)
{
    private const int Parallelism = 16;

    /// <summary>Notes one blob or manifest as pushed.</summary>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="isAnew">Whether a note that is there is written again, so that a delete that has read it keeps off.</param>
    /// <param name="cancellationToken">Of the call.</param>
    public ValueTask KeepAsync(RepositoryName repository, Digest digest, bool isAnew, CancellationToken cancellationToken) =>
        entries.SetPushedAsync(
            repository,
            digest,
            async token =>
            {
                await documents.RenewAsync(repository, digest, token);
                await blobs.RenewAsync(repository, digest, token);
            },
            isAnew,
            cancellationToken);

    /// <summary>
    /// Takes the note of content that is not here, neither as a blob nor as a manifest. The note's version is read first: a push
    /// that stores the content after the look writes its note anew after that.
    /// </summary>
    public async ValueTask ForgetAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await entries.PushedVersionAsync(repository, digest, cancellationToken) is { } pushed
            && await blobs.LinkedSizeAsync(repository, digest, cancellationToken) is null
            && !await documents.ExistsAsync(repository, digest, cancellationToken))
        {
            await entries.TakePushedAsync(repository, digest, pushed, cancellationToken);
        }
    }

    /// <summary>Keeps what a manifest is made of, and what the manifests that it lists, and are here, are made of.</summary>
    /// <remarks>
    /// A listed manifest that is not here yet brings the notes of its own parts when it is fetched: <see cref="KeepPartsIfPushedAsync"/>.
    /// One that is just being fetched is found by the push when it does this again after it has stored its manifest.
    /// </remarks>
    public async ValueTask KeepPartsAsync(RepositoryName repository, Manifest manifest, CancellationToken cancellationToken)
    {
        var own = manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).ToHashSet();
        var reached = own.ToHashSet();
        var listed = new Queue<Digest>(manifest.Manifests.Select(child => child.Digest).Distinct());
        while (listed.TryDequeue(out var digest))
        {
            if (await documents.ReadAsync(repository, digest, cancellationToken) is { } stored)
            {
                var child = Manifest.Read(stored.Content, stored.MediaType);
                reached.UnionWith(child.Blobs.Select(blob => blob.Digest));
                foreach (var grandchild in child.Manifests.Select(one => one.Digest).Where(reached.Add))
                {
                    listed.Enqueue(grandchild);
                }
            }
        }

        await Parallel.ForEachAsync(
            reached,
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            (part, token) => KeepAsync(repository, part, isAnew: own.Contains(part), token));
    }

    /// <summary>Keeps what a fetched manifest is made of, where a manifest was pushed that lists it; false where none was.</summary>
    public async ValueTask<bool> KeepPartsIfPushedAsync(
        RepositoryName repository, Digest digest, Manifest manifest, CancellationToken cancellationToken)
    {
        if (await entries.PushedVersionAsync(repository, digest, cancellationToken) is null)
        {
            return false;
        }

        await KeepPartsAsync(repository, manifest, cancellationToken);
        return true;
    }
}
