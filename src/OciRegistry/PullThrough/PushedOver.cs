using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Content that is pushed into an upstream's repositories, where that is allowed. It belongs to this registry then: it is not
/// replaced by what the upstream has, and not removed with cached content that is not pulled.
/// </summary>
internal sealed partial class PushedOver(
    Upstreams upstreams,
    ResolvedTags resolved,
    PulledEntries entries,
    PulledBlobs pulledBlobs,
    PulledManifests pulledManifests,
    ManifestStore manifests,
    ManifestDocuments documents,
    RepositoryBlobs blobs,
    ILogger<PushedOver> log)
{
    private const int Parallelism = 16;
    private const int FetchParallelism = 4;

    /// <summary>Stores a manifest in any repository, as <see cref="ManifestStore.PutAsync"/> does.</summary>
    /// <param name="push">What is pushed.</param>
    /// <param name="mayFetch">Whether the caller may pull, so that what is missing may be fetched for it.</param>
    /// <param name="cancellationToken">Ends the push before anything has changed.</param>
    /// <remarks>
    /// In an upstream's repository:
    ///   (1) the push is acceptable, once what is missing has been fetched: a HEAD of it has said that it is there
    ///                                                 else refused, and nothing has changed
    ///   (2) note that what it is made of was pushed, down to the layers of its children, and then the manifest itself
    ///   (3) note that its tags are being pushed       from now on the upstream does not change them
    ///   (4) the push is acceptable still: a sweep may have removed something before (2); it is stored
    ///                                                 else what was known of its tags is restored
    ///   (5) note the manifest and its tags anew       a delete of the former ones that has not ended keeps off
    /// A process that dies after (3) leaves tags that the upstream does not change until the sweep finds, a day later, that they
    /// name cached content. One that dies after (2) leaves content that the sweep does not remove.
    /// </remarks>
    public async ValueTask<ManifestPutResult> PutAsync(ManifestPush push, bool mayFetch, CancellationToken cancellationToken)
    {
        if (upstreams.Of(push.Repository) is not { } upstream)
        {
            return await manifests.PutAsync(push, CancellationToken.None);
        }

        // (1)
        var refused = await manifests.CheckAsync(push, cancellationToken);
        if (mayFetch && refused is { Missing: { Count: > 0 } missing })
        {
            refused = await FetchAsync(upstream, push.Repository, missing, cancellationToken) is { } failure
                ? failure.Status == StatusCodes.Status404NotFound ? refused : new ManifestPutResult(false, [failure])
                : await manifests.CheckAsync(push, cancellationToken);
        }

        return refused ?? await StoreAsync(push);
    }

    /// <summary>
    /// To be called once a blob was pushed to, or mounted in, any repository. False where a sweep of cached content has removed
    /// it just now: then it has to be pushed again.
    /// </summary>
    public async ValueTask<bool> KeepBlobAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (upstreams.Of(repository) is null)
        {
            return true;
        }

        await KeepAsync(repository, digest, isAnew: true, cancellationToken);
        return await blobs.LinkedSizeAsync(repository, digest, cancellationToken) is not null;
    }

    /// <summary>The steps (2) to (5), which no client ends.</summary>
    private async ValueTask<ManifestPutResult> StoreAsync(ManifestPush push)
    {
        // (2)
        await KeepPartsAsync(push.Repository, push.Manifest, CancellationToken.None);
        await KeepAsync(push.Repository, push.Digest, isAnew: true, CancellationToken.None);

        var name = Guid.NewGuid().ToString("n");
        var isStored = false;
        try
        {
            // (3)
            foreach (var tag in push.AllTags)
            {
                await resolved.SetPushedAsync(push.Repository, tag, name, CancellationToken.None);
            }

            // (4)
            var result = await manifests.PutAsync(push, CancellationToken.None);
            isStored = result.IsStored;
            if (!isStored)
            {
                return result;
            }
        }
        finally
        {
            if (!isStored)
            {
                await TryUndoAsync(push, name);
            }
        }

        // (5)
        await KeepAsync(push.Repository, push.Digest, isAnew: true, CancellationToken.None);
        foreach (var tag in push.AllTags)
        {
            await resolved.SetPushedAsync(push.Repository, tag, push: null, CancellationToken.None);
        }

        return ManifestPutResult.Stored;
    }

    /// <summary>Null when all is here now; else why the first that failed is not, 404 when the upstream does not have it.</summary>
    private async ValueTask<OciError?> FetchAsync(
        Upstream upstream, RepositoryName repository, IReadOnlyList<Descriptor> missing, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        OciError? failure = null;
        try
        {
            await Parallel.ForEachAsync(
                missing,
                new ParallelOptions { MaxDegreeOfParallelism = FetchParallelism, CancellationToken = stop.Token },
                async (part, token) =>
                {
                    if (await FetchAsync(upstream, repository, part, token) is { } problem)
                    {
                        Interlocked.CompareExchange(ref failure, problem, null);
                        await stop.CancelAsync();
                    }
                });
        }
        catch (OperationCanceledException) when (failure is not null)
        {
            // One missing part is enough to refuse the push.
        }

        return failure;
    }

    private async ValueTask<OciError?> FetchAsync(
        Upstream upstream, RepositoryName repository, Descriptor part, CancellationToken cancellationToken)
    {
        var unknown = OciError.ManifestBlobUnknown(part.Digest);
        if (!upstream.Allows(upstream.NameThere(repository)))
        {
            return unknown;
        }

        var error = MediaTypes.IsManifest(part.MediaType)
            ? (await pulledManifests.GetAsync(upstream, repository, part.Digest, withContent: true, cancellationToken)).Error
            : (await pulledBlobs.FetchAsync(upstream, repository, part.Digest, cancellationToken))?.For<BlobSize>(unknown).Error;
        return error is { Status: StatusCodes.Status403Forbidden or StatusCodes.Status404NotFound } ? unknown : error;
    }

    /// <summary>Keeps what a manifest is made of, and what the manifests that it lists, and are here, are made of.</summary>
    private async ValueTask KeepPartsAsync(RepositoryName repository, Manifest manifest, CancellationToken cancellationToken)
    {
        var own = PartsOf(manifest).ToHashSet();
        var reached = own.ToHashSet();
        var listed = new Queue<Digest>(manifest.Manifests.Select(child => child.Digest).Distinct());
        while (listed.TryDequeue(out var digest))
        {
            if (await documents.ReadAsync(repository, digest, cancellationToken) is { } stored
                && Manifest.TryParse(stored.Content, stored.MediaType, out var child, out _))
            {
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

    private static IEnumerable<Digest> PartsOf(Manifest manifest) =>
        manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest);

    private ValueTask KeepAsync(RepositoryName repository, Digest digest, bool isAnew, CancellationToken cancellationToken) =>
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

    /// <summary>Where the storage fails for this too, the sweep does it.</summary>
    private async ValueTask TryUndoAsync(ManifestPush push, string name)
    {
        try
        {
            foreach (var tag in push.AllTags)
            {
                await resolved.UndoPushedAsync(push.Repository, tag, name, CancellationToken.None);
            }
        }
        catch (StorageException e)
        {
            LogNotUndone(log, e, push.Digest, push.Repository);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The push of {Digest} to {Repository} has failed, and its tags cannot be given back to the upstream now. The sweep of cached content does it within two days.")]
    private static partial void LogNotUndone(ILogger logger, Exception exception, Digest digest, RepositoryName repository);
}
