using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Removes what was pulled through and is not asked for any more, or does not fit any more: from its repository, and from the
/// store when no other repository has it.
/// </summary>
internal sealed partial class PulledSweep(
    Upstreams upstreams,
    PulledEntries entries,
    PulledRepositories repositories,
    ResolvedTags resolved,
    PulledReferrers referrers,
    PulledParts parts,
    PulledBlobs pulledBlobs,
    ManifestDocuments documents,
    ManifestStore manifests,
    RepositoryBlobs blobs,
    TagStore tags,
    CondemnedContent condemned,
    IRegistryLocks locks,
    RegistryMetrics metrics,
    StoreClock clock,
    ILogger<PulledSweep> log)
{
    private const int PageSize = 1_000;
    private const int AgeSteps = 10_000;
    private static readonly TimeSpan TagNoteLife = TimeSpan.FromDays(1);

    /// <summary>
    /// One sweep over all upstreams that no other replica is sweeping; over all of them where there is no lock service, because
    /// the lock only saves work.
    /// </summary>
    public async ValueTask SweepAsync(CancellationToken cancellationToken)
    {
        await pulledBlobs.GiveUpBrokenAsync();
        foreach (var upstream in upstreams.All)
        {
            await using var turn = await locks.TryAcquireAsync($"pulled/sweep/{upstream.Prefix}", TimeSpan.Zero, cancellationToken);
            if (turn is null && locks.Problem is null)
            {
                upstream.Traffic.ForgetKept(); // whoever sweeps tells
                continue;
            }

            try
            {
                await SweepAsync(upstream, cancellationToken);
                metrics.Swept("pulled", hasFailed: false);
            }
            catch (StorageException e)
            {
                metrics.Swept("pulled", hasFailed: true);
                LogFailed(log, e, upstream.Options.Prefix);
            }
        }

        if (upstreams.All.Count > 0)
        {
            await condemned.SweepAsync(TimeSpan.Zero, cancellationToken);
        }
    }

    private async ValueTask SweepAsync(Upstream upstream, CancellationToken cancellationToken)
    {
        var now = await clock.MeasureAsync(cancellationToken); // where the storage cannot tell, the sweep ends here
        var life = upstream.Options.ContentTtl + PulledEntries.Precision(upstream);
        var bytesByAge = new long[AgeSteps + 1]; // the oldest last
        var kept = 0L;
        await foreach (var (repository, digest, found) in AllAsync(upstream, cancellationToken))
        {
            var age = now - found.Entry.Pulled;
            if (found.Entry.IsGoing || age > life)
            {
                await RemoveAsync(repository, digest, found, cancellationToken);
                continue;
            }

            kept += found.Entry.Size;
            bytesByAge[StepOf(age, life)] += found.Entry.Size;
        }

        if (upstream.Options.MaxBytes is { } limit && kept > limit)
        {
            kept = await RemoveOldestAsync(upstream, now, life, bytesByAge, kept, limit, cancellationToken);
        }

        upstream.Traffic.Kept(kept);
        await ForgetAsync(upstream, now, cancellationToken);
    }

    /// <summary>The age from which on things go is found first, so that no list of them is needed.</summary>
    private async ValueTask<long> RemoveOldestAsync(
        Upstream upstream, DateTimeOffset now, TimeSpan life, long[] bytesByAge, long kept, long limit, CancellationToken cancellationToken)
    {
        var step = AgeSteps;
        for (var left = kept; step > 0 && left - bytesByAge[step] > limit; step--)
        {
            left -= bytesByAge[step];
        }

        // First what is surely older, then of the age at the border as much as has to go.
        foreach (var border in new[] { false, true })
        {
            await foreach (var (repository, digest, found) in AllAsync(upstream, cancellationToken))
            {
                var at = StepOf(now - found.Entry.Pulled, life);
                if (kept > limit && (border ? at >= step : at > step)
                    && await RemoveAsync(repository, digest, found, cancellationToken))
                {
                    kept -= found.Entry.Size;
                }
            }
        }

        return kept;
    }

    /// <summary>Removes cached content from a repository; false when it was pulled or pushed meanwhile, and then it stays.</summary>
    /// <remarks>
    ///   (1) mark the note                             so that a sweep that dies leaves a note of what is to be removed
    ///   (2) read the version of the content, then that the note is still marked, and that there is none of a push
    ///   (3) delete that version                       a push is noted first, then writes noted content anew: it is found by
    ///                                                 (2), or has given the content another version
    ///   (4) delete the marked note                    refused for content that was fetched again
    /// </remarks>
    private async ValueTask<bool> RemoveAsync(
        RepositoryName repository, Digest digest, VersionedEntry found, CancellationToken cancellationToken)
    {
        if (await entries.MarkAsync(repository, digest, found, cancellationToken) is not { } going
            || !await (found.Entry.Kind == PulledKind.Manifest
                ? RemoveManifestAsync(repository, digest, going, cancellationToken)
                : RemoveBlobAsync(repository, digest, going, cancellationToken)))
        {
            return false;
        }

        await entries.TakeAsync(repository, digest, going, cancellationToken);
        metrics.PulledContentExpired(found.Entry.Size);
        return true;
    }

    private async ValueTask<bool> RemoveManifestAsync(
        RepositoryName repository, Digest digest, string going, CancellationToken cancellationToken)
    {
        var found = await documents.FindAsync(repository, digest, cancellationToken);
        if (!await entries.IsMarkedAsync(repository, digest, going, cancellationToken))
        {
            return false;
        }

        if (found is not { } stored)
        {
            await manifests.RemoveNamesAsync(repository, digest, null, cancellationToken); // a sweep that died has left them
            return true;
        }

        // Of a manifest that a push saves they are of no use any more: the upstream does not change what was pushed.
        if (stored.Manifest is { } intact)
        {
            await parts.RemoveAsync(repository, digest, Manifest.Read(intact.Content, intact.MediaType), cancellationToken);
        }

        return await manifests.DeleteAsync(repository, digest, stored, cancellationToken);
    }

    private async ValueTask<bool> RemoveBlobAsync(
        RepositoryName repository, Digest digest, string going, CancellationToken cancellationToken)
    {
        var link = await blobs.LinkVersionAsync(repository, digest, cancellationToken);
        if (!await entries.IsMarkedAsync(repository, digest, going, cancellationToken)
            || (link is not null && !await blobs.UnlinkAsync(repository, digest, link, cancellationToken)))
        {
            return false;
        }

        await condemned.CondemnAsync(digest, cancellationToken);
        return true;
    }

    /// <summary>Notes of tags that are gone, lists of referrers that nobody reads, repositories that have nothing any more.</summary>
    private async ValueTask ForgetAsync(Upstream upstream, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await foreach (var repository in RepositoriesAsync(upstream, cancellationToken))
        {
            var names = await resolved.ListAsync(repository, null, int.MaxValue, cancellationToken);
            foreach (var name in names)
            {
                if (Tag.TryParse(name, out var tag)
                    && await resolved.ReadAsync(repository, tag, cancellationToken) is { } known
                    && IsOld(upstream, known.Tag, now))
                {
                    await ForgetAsync(repository, tag, known, cancellationToken);
                }
            }

            await referrers.ExpireAsync(upstream, repository, now, cancellationToken);
            await repositories.RemoveIfEmptyAsync(upstream, repository, cancellationToken);
        }
    }

    /// <summary>
    /// What an upstream said must be older than a pull believes it, too: without the note, a tag that the pull sets just now would
    /// count as pushed.
    /// </summary>
    private static bool IsOld(Upstream upstream, ResolvedTag tag, DateTimeOffset now)
    {
        var age = now - tag.Checked;
        return age > TagNoteLife && (tag.IsPushed || age / 2 > upstream.Options.TagTtl);
    }

    private async ValueTask ForgetAsync(
        RepositoryName repository, Tag tag, VersionedTag known, CancellationToken cancellationToken)
    {
        if (await tags.FindAsync(repository, tag, cancellationToken) is not { } found)
        {
            await resolved.DeleteAsync(repository, tag, known, cancellationToken);
        }
        else if (known.Tag.Push is not null && found.Digest is { } digest
            && await entries.IsCachedAsync(repository, digest, cancellationToken))
        {
            // It names cached content, so the push has died before it set the tag.
            await resolved.SetUnsureAsync(repository, tag, known, cancellationToken);
        }
    }

    private async IAsyncEnumerable<(RepositoryName Repository, Digest Digest, VersionedEntry Found)> AllAsync(
        Upstream upstream, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var repository in RepositoriesAsync(upstream, cancellationToken))
        {
            string? last = null;
            while (await entries.ListAsync(repository, last, PageSize, cancellationToken) is { Count: > 0 } page)
            {
                foreach (var name in page)
                {
                    if (Digest.TryParse(name, out var digest)
                        && await entries.ReadAsync(repository, digest, cancellationToken) is { } found)
                    {
                        yield return (repository, digest, found);
                    }
                }

                last = page[^1];
            }
        }
    }

    private async IAsyncEnumerable<RepositoryName> RepositoriesAsync(
        Upstream upstream, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? last = null;
        while (await repositories.ListAsync(upstream, last, PageSize, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var name in page)
            {
                if (RepositoryName.TryParse(name, out var repository))
                {
                    yield return repository;
                }
            }

            last = page[^1];
        }
    }

    private static int StepOf(TimeSpan age, TimeSpan life) =>
        (int)Math.Clamp(age.Ticks / (double)life.Ticks * AgeSteps, 0, AgeSteps);

    [LoggerMessage(LogLevel.Error, "The sweep of what was pulled through {Prefix} failed; the next one goes on.")]
    private static partial void LogFailed(ILogger logger, Exception exception, string prefix);
}

/// <summary>Runs the sweep every <see cref="PullThroughOptions.SweepInterval"/>.</summary>
internal sealed partial class PulledSweepService(
    PulledSweep sweep, Upstreams upstreams, IOptions<OciRegistryOptions> options, TimeProvider time, ILogger<PulledSweepService> log)
    : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (upstreams.All.Count == 0)
        {
            return;
        }

        using var timer = new PeriodicTimer(options.Value.PullThrough.SweepInterval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await sweep.SweepAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(log, e);
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "The sweep of what was pulled through failed; the next one goes on.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
