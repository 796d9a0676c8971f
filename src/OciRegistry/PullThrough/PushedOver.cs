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

    /// <summary>Stores a manifest in any repository, as <see cref="ManifestStore.PutAsync"/> does.</summary>
    /// <remarks>
    /// In an upstream's repository:
    ///   (1) the push is acceptable, once what is missing has been fetched: a HEAD of it has said that it is there
    ///                                                 else refused, and nothing has changed
    ///   (2) note that what it is made of was pushed, down to the layers of cached children, and then the manifest itself
    ///   (3) note that its tags are pushed             from now on the upstream does not change them
    ///   (4) the push is acceptable still: a sweep may have removed something before (2); it is stored
    ///                                                 else what was known of its tags is restored
    /// A process that dies after (3) leaves tags that the upstream does not change until the sweep finds, a day later, that they
    /// name cached content. One that dies after (2) leaves content that the sweep does not remove.
    /// </remarks>
    public async ValueTask<ManifestPutResult> PutAsync(ManifestPush push, CancellationToken cancellationToken)
    {
        if (upstreams.Of(push.Repository) is not { } upstream)
        {
            return await manifests.PutAsync(push, cancellationToken);
        }

        // (1)
        var refused = await manifests.CheckAsync(push, cancellationToken);
        if (refused is { Problems.Count: > 0 } && await TryFetchMissingAsync(upstream, push, cancellationToken))
        {
            refused = await manifests.CheckAsync(push, cancellationToken);
        }

        if (refused is not null)
        {
            return refused;
        }

        // (2)
        await KeepPartsAsync(push.Repository, push.Manifest, cancellationToken);
        await KeepAsync(push.Repository, push.Digest, cancellationToken);

        var pushed = new List<PushedTag>(push.AllTags.Count);
        var isStored = false;
        try
        {
            // (3)
            foreach (var tag in push.AllTags)
            {
                pushed.Add(await resolved.SetPushedAsync(push.Repository, tag, cancellationToken));
            }

            // (4)
            var result = await manifests.PutAsync(push, cancellationToken);
            isStored = result.IsStored;
            return result;
        }
        finally
        {
            if (!isStored)
            {
                await TryUndoAsync(push.Repository, pushed);
            }
        }
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

        await entries.SetPushedAsync(
            repository, digest, token => RelinkAsync(repository, digest, token), cancellationToken);
        return await blobs.LinkedSizeAsync(repository, digest, cancellationToken) is not null;
    }

    /// <summary>False when there was nothing to fetch.</summary>
    private async ValueTask<bool> TryFetchMissingAsync(
        Upstream upstream, ManifestPush push, CancellationToken cancellationToken)
    {
        if (!upstream.Allows(upstream.NameThere(push.Repository)))
        {
            return false;
        }

        // What cannot be fetched is missing when the push is checked again: then the client pushes it.
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(
            push.Manifest.Blobs.Select(blob => blob.Digest).Distinct(),
            parallel,
            async (blob, token) => await pulledBlobs.FetchAsync(upstream, push.Repository, blob, token));
        await Parallel.ForEachAsync(
            push.Manifest.Manifests.Select(child => child.Digest).Distinct(),
            parallel,
            async (child, token) =>
                await pulledManifests.GetAsync(upstream, push.Repository, child, withContent: true, token));
        return true;
    }

    private Task KeepPartsAsync(RepositoryName repository, Manifest manifest, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).Distinct(),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            (part, token) => KeepAsync(repository, part, token));

    /// <summary>
    /// Content is kept after what it is made of: so what was kept before, or is no cached content, needs no second look.
    /// </summary>
    private async ValueTask KeepAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await entries.IsCachedAsync(repository, digest, cancellationToken)
            && await documents.ReadAsync(repository, digest, cancellationToken) is { } cached
            && Manifest.TryParse(cached.Content, cached.MediaType, out var manifest, out _))
        {
            await KeepPartsAsync(repository, manifest, cancellationToken);
        }

        await entries.SetPushedAsync(
            repository,
            digest,
            async token =>
            {
                await documents.RenewAsync(repository, digest, token);
                await RelinkAsync(repository, digest, token);
            },
            cancellationToken);
    }

    /// <summary>Gives the link of a blob another version; nothing where there is none.</summary>
    private async ValueTask RelinkAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await blobs.LinkedSizeAsync(repository, digest, cancellationToken) is { } size)
        {
            await blobs.LinkAsync(repository, digest, size, isHeld: false, cancellationToken);
        }
    }

    /// <summary>Where the storage fails for this too, the sweep does it.</summary>
    private async ValueTask TryUndoAsync(RepositoryName repository, IReadOnlyList<PushedTag> pushed)
    {
        foreach (var tag in pushed)
        {
            try
            {
                await resolved.UndoPushedAsync(repository, tag, CancellationToken.None);
            }
            catch (StorageException e)
            {
                LogNotUndone(log, e, tag.Tag, repository);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Tag {Tag} of {Repository}, whose push has failed, cannot be given back to its upstream now. The sweep of cached content does it within two days.")]
    private static partial void LogNotUndone(ILogger logger, Exception exception, Tag tag, RepositoryName repository);
}
