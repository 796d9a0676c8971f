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
    PulledBlobs pulledBlobs,
    PulledManifests pulledManifests,
    ManifestStore manifests,
    PushedParts parts,
    RepositoryBlobs blobs,
    ILogger<PushedOver> log)
{
    private const int MaxRounds = 100;
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
    ///                                                 else its tags, where they are still its own, and what was known of them
    ///                                                 are restored
    ///       (once it was stored, its tags are compared when they are set: those that are still its own do not refuse it)
    ///   (5) note the manifest, its parts and its tags anew: a delete of the former ones that has not ended keeps off
    ///                                                 where a delete, or another push that has failed, has taken the note of
    ///                                                 a tag, a pull may have pointed it to the upstream's: (3) again
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
    /// To be called once a blob was pushed to, or mounted in, any repository. A delete, or a sweep of cached content, may have
    /// unlinked it since: this push comes second, and links it again. False where its content has gone: then it has to be pushed
    /// again.
    /// </summary>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="size">Its bytes.</param>
    /// <param name="cancellationToken">Of the call.</param>
    public async ValueTask<bool> KeepBlobAsync(
        RepositoryName repository, Digest digest, long size, CancellationToken cancellationToken)
    {
        if (upstreams.Of(repository) is null)
        {
            return true;
        }

        var isKept = false;
        try
        {
            for (var round = 0; round < MaxRounds; round++)
            {
                await parts.KeepAsync(repository, digest, isAnew: true, cancellationToken);
                if (await blobs.LinkedSizeAsync(repository, digest, cancellationToken) is not null)
                {
                    return isKept = true;
                }

                if (!await blobs.LinkAsync(repository, digest, size, isHeld: false, cancellationToken))
                {
                    return false;
                }
            }
        }
        finally
        {
            if (!isKept)
            {
                await TryForgetAsync(repository, digest);
            }
        }

        throw new StorageException($"The blob {digest} is pushed and deleted by too many others at once. Try again.");
    }

    /// <summary>The steps (2) to (5), which no client ends.</summary>
    private async ValueTask<ManifestPutResult> StoreAsync(ManifestPush push)
    {
        await KeepAsync(push); // (2)
        var name = UniqueId.New().ToString("n");
        var set = new Dictionary<Tag, SetTag>();
        for (var round = 0; round < MaxRounds; round++)
        {
            // (3), (4)
            var (result, runs) = await StoreAsync(push, name, set, isAgain: round > 0);
            if (!result.IsStored)
            {
                return result;
            }

            // (5)
            await KeepAsync(push);
            if (await TryEndAsync(push, runs))
            {
                return ManifestPutResult.Stored;
            }
        }

        throw new StorageException($"The tags of {push.Digest} are pushed and deleted by too many others at once. Try again.");
    }

    private async ValueTask<(ManifestPutResult Result, List<string> Runs)> StoreAsync(
        ManifestPush push, string name, Dictionary<Tag, SetTag> set, bool isAgain)
    {
        var isStored = false;
        try
        {
            var runs = new List<string>();
            foreach (var tag in push.AllTags)
            {
                runs.Add(await resolved.SetPushedAsync(push.Repository, tag, name, CancellationToken.None));
            }

            var refused = isAgain
                ? await manifests.CheckReferencesAsync(push, CancellationToken.None)
                : await manifests.CheckAsync(push, CancellationToken.None);
            var result = refused ?? await manifests.StoreAsync(push, set, mayRestore: true, CancellationToken.None);
            isStored = result.IsStored;
            return (result, runs);
        }
        finally
        {
            if (!isStored)
            {
                await TryUndoAsync(push, name, set);
            }
        }
    }

    private async ValueTask KeepAsync(ManifestPush push)
    {
        await parts.KeepPartsAsync(push.Repository, push.Manifest, CancellationToken.None);
        await parts.KeepAsync(push.Repository, push.Digest, isAnew: true, CancellationToken.None);
    }

    /// <summary>False when somebody has taken a tag's note away, with which a pull may have pointed the tag elsewhere.</summary>
    private async ValueTask<bool> TryEndAsync(ManifestPush push, List<string> runs)
    {
        foreach (var (tag, run) in push.AllTags.Zip(runs))
        {
            if (!await resolved.TryEndPushAsync(push.Repository, tag, run, CancellationToken.None))
            {
                return false;
            }
        }

        return true;
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

    /// <summary>Undoes (4), (3) and the note of the manifest. What the storage fails for, the sweep does.</summary>
    /// <remarks>
    /// A tag first, then its note: a tag of this push without a note would count as pushed. A process that dies in between leaves
    /// the note, by which the tag follows the upstream again.
    /// </remarks>
    private async ValueTask TryUndoAsync(ManifestPush push, string name, Dictionary<Tag, SetTag> set)
    {
        try
        {
            await manifests.RestoreTagsAsync(push.Repository, set, CancellationToken.None);
            foreach (var tag in push.AllTags)
            {
                await resolved.UndoPushedAsync(push.Repository, tag, name, CancellationToken.None);
            }

            await parts.ForgetAsync(push.Repository, push.Digest, CancellationToken.None);
        }
        catch (StorageException e)
        {
            LogNotUndone(log, e, push.Digest, push.Repository);
        }
    }

    private async ValueTask TryForgetAsync(RepositoryName repository, Digest digest)
    {
        try
        {
            await parts.ForgetAsync(repository, digest, CancellationToken.None);
        }
        catch (StorageException e)
        {
            LogNotForgotten(log, e, digest, repository);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The push of {Digest} to {Repository} has failed, and the note that it was pushed cannot be deleted now. If the blob is pulled from the upstream later, it stays in the cache until it is deleted.")]
    private static partial void LogNotForgotten(ILogger logger, Exception exception, Digest digest, RepositoryName repository);

    [LoggerMessage(LogLevel.Warning, "The push of {Digest} to {Repository} has failed, and its tags cannot be restored now. Push or delete a tag that names it. The sweep of cached content gives the others back to the upstream within two days.")]
    private static partial void LogNotUndone(ILogger logger, Exception exception, Digest digest, RepositoryName repository);
}
