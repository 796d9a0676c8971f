using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>Fetches images before anybody asks for them: everything that their references reach.</summary>
internal sealed partial class Prefetch(Upstreams upstreams, PulledManifests manifests, PulledBlobs blobs, ILogger<Prefetch> log)
{
    /// <summary>How references are written, for whoever wrote one that names nothing of an upstream.</summary>
    public const string Form = "Write it like hub/library/alpine:3, with the Prefix of an upstream or its host.";

    private const int Parallelism = 4;
    private const int MaxDepth = 4;
    private const int MaxUntold = 64; // then it waits for whoever is told

    public bool Names(string reference) => TryParse(reference, out _, out _, out _);

    /// <summary>
    /// Fetches what references name, one after the other, and tells of each step and of each reference's end; what is here
    /// already is not fetched again. When one fails, the others are fetched all the same.
    /// </summary>
    /// <param name="references">Of each the repository, by prefix or by namespace, and a tag or digest; without one, <c>latest</c>.</param>
    /// <param name="cancellationToken">Ends it between two steps, as does whoever reads no further.</param>
    public async IAsyncEnumerable<PrefetchNews> RunAsync(
        IReadOnlyCollection<string> references, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var news = Channel.CreateBounded<PrefetchNews>(MaxUntold);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var running = RunAllAsync(references, news.Writer, stop.Token);
        try
        {
            await foreach (var one in news.Reader.ReadAllAsync(cancellationToken))
            {
                yield return one;
            }
        }
        finally
        {
            await stop.CancelAsync();
            await running;
        }
    }

    /// <summary>Throws nothing: what goes wrong is at the end of the news.</summary>
    private async Task RunAllAsync(
        IReadOnlyCollection<string> references, ChannelWriter<PrefetchNews> news, CancellationToken cancellationToken)
    {
        try
        {
            foreach (var reference in references)
            {
                var problem = await RunAsync(
                    reference,
                    step => news.WriteAsync(new PrefetchNews(reference, step, null), cancellationToken),
                    cancellationToken);
                await news.WriteAsync(new PrefetchNews(reference, null, problem), cancellationToken);
            }

            news.Complete();
        }
        catch (Exception e)
        {
            news.Complete(e);
        }
    }

    /// <returns>Null when all of it is here; else what is wrong.</returns>
    private async ValueTask<string?> RunAsync(
        string reference, Func<PrefetchStep, ValueTask> tell, CancellationToken cancellationToken)
    {
        if (!TryParse(reference, out var upstream, out var repository, out var named))
        {
            return $"It names nothing of an upstream. {Form}";
        }

        try
        {
            return await RunAsync(upstream, repository, named, MaxDepth, tell, cancellationToken);
        }
        catch (StorageException e)
        {
            LogStorageFailed(log, e, repository, named);
            return $"{repository} {named}: The registry's storage failed: {e.Message}";
        }
    }

    private async ValueTask<string?> RunAsync(
        Upstream upstream,
        RepositoryName repository,
        Reference reference,
        int depth,
        Func<PrefetchStep, ValueTask> tell,
        CancellationToken cancellationToken)
    {
        var pulled = await manifests.GetAsync(upstream, repository, reference, withContent: true, cancellationToken);
        if (pulled.Value is not { Content: { } content } found)
        {
            return $"{repository} {reference}: {pulled.Error!.Message}";
        }

        await tell(new PrefetchStep(repository, found.Digest, found.Length));
        var manifest = Manifest.Read(content, found.MediaType);
        string? problem = null;
        await Parallel.ForEachAsync(
            manifest.Blobs.Concat(manifest.Manifests),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            async (part, token) =>
            {
                var isManifest = MediaTypes.IsManifest(part.MediaType);
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
                    await tell(new PrefetchStep(repository, part.Digest, part.Size));
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
                    && upstreams.TryFind(rest, name[..slash], "", out repository)))
            || upstreams.Of(repository) is not { } found) // without any upstream a namespace says nothing
        {
            return false;
        }

        upstream = found;
        return true;
    }

    [LoggerMessage(LogLevel.Error, "The storage failed while {Reference} of {Repository} was prefetched.")]
    private static partial void LogStorageFailed(ILogger logger, Exception exception, RepositoryName repository, Reference reference);
}

/// <summary>A manifest or blob that is here now.</summary>
internal readonly record struct PrefetchStep(RepositoryName Repository, Digest Digest, long Size);

/// <summary>How it goes with a reference.</summary>
/// <param name="Reference">As it was asked for.</param>
/// <param name="Step">What is here now; null when the reference is at its end.</param>
/// <param name="Problem">At the end what is wrong; null when all of it is here.</param>
internal readonly record struct PrefetchNews(string Reference, PrefetchStep? Step, string? Problem);

/// <summary>How it went with several.</summary>
internal sealed class PrefetchTotals
{
    /// <summary>References of which all is here.</summary>
    public int Fetched { get; private set; }

    /// <summary>References of which something is missing.</summary>
    public int Failed { get; private set; }

    /// <summary>Bytes of what is here now of all of them, those included that were here before.</summary>
    public long Bytes { get; private set; }

    public void Add(PrefetchNews news)
    {
        if (news.Step is { } step)
        {
            Bytes += step.Size;
        }
        else if (news.Problem is null)
        {
            Fetched++;
        }
        else
        {
            Failed++;
        }
    }
}
