using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Uploads;

namespace OciRegistry.PullThrough;

/// <summary>
/// Blobs of an upstream's repositories. One that is not here is fetched once on this replica, whoever asks meanwhile: all read
/// the file that grows, and none of them owns the fetch. README.md has the steps, and what each failure leaves.
/// </summary>
internal sealed partial class PulledBlobs(
    RepositoryBlobs repositoryBlobs,
    IBlobStore blobs,
    ManifestStore manifests,
    PulledParts parts,
    ResolvedTags resolved,
    PulledEntries entries,
    RecentlyUnknown unknown,
    UploadSessions sessions,
    IRegistryLocks locks,
    IOptions<OciRegistryOptions> options,
    TimeProvider time,
    ILogger<PulledBlobs> log) : IHostedService, IDisposable
{
    /// <summary>The subject that its upload sessions belong to: no client's.</summary>
    public const string Subject = "pull-through";

    private const int BufferSize = 64 * 1024;
    internal const int MaxBroken = 64;
    private const int MaxManifests = 8;
    private const int MaxTries = 3;
    private static readonly TimeSpan BrokenLife = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<(RepositoryName, Digest), Lazy<Fetch>> _fetches = new();
    private readonly ConcurrentDictionary<(RepositoryName, Digest), Broken> _broken = new();
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Blobs on their way to this replica.</summary>
    public IEnumerable<(RepositoryName Repository, Digest Digest, long Arrived, long? Length)> Running =>
        _fetches.Values.Where(fetch => fetch.IsValueCreated).Select(fetch => fetch.Value).Select(
            fetch => (fetch.Repository, fetch.Digest, fetch.Content?.Arrived ?? 0, fetch.Content?.Length));

    /// <summary>What became of those that broke off: they are kept for a while, to go on where they were.</summary>
    public int BrokenCount => _broken.Count;

    /// <summary>Notes that a blob was served from here.</summary>
    public ValueTask HitAsync(
        Upstream upstream, RepositoryName repository, Digest digest, long bytes, CancellationToken cancellationToken)
    {
        upstream.Traffic.Hit(bytes);
        return entries.TouchAsync(upstream, repository, digest, cancellationToken);
    }

    /// <summary>The size in bytes of a blob that is not here, without fetching it.</summary>
    public async ValueTask<Pulled<BlobSize>> StatAsync(
        Upstream upstream, RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var there = upstream.NameThere(repository);
        if (!upstream.Allows(there))
        {
            return Pulled<BlobSize>.Failed(PulledManifests.Closed(there));
        }

        upstream.Traffic.Missed();
        var (size, failure) = await StatAsync(upstream, repository, digest, there, cancellationToken);
        return size is { } bytes
            ? Pulled<BlobSize>.Of(new BlobSize(bytes))
            : failure!.For<BlobSize>(Unknown(digest));
    }

    /// <summary>
    /// A blob that is not here, for reading while it comes: reading waits for what has not arrived, and throws when it will
    /// not.
    /// </summary>
    public async ValueTask<Pulled<IBlobContent>> OpenReadAsync(
        Upstream upstream, RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var there = upstream.NameThere(repository);
        if (!upstream.Allows(there))
        {
            return Pulled<IBlobContent>.Failed(PulledManifests.Closed(there));
        }

        upstream.Traffic.Missed();
        for (var tries = 0; tries < MaxTries; tries++)
        {
            var fetch = StartOrJoin(upstream, repository, digest, out var joined);
            var start = await fetch.Started.WaitAsync(cancellationToken);
            if (start.Failure is { } failure)
            {
                return failure.For<IBlobContent>(Unknown(digest));
            }

            if (start.Content?.TryOpen() is { } content)
            {
                if (joined)
                {
                    upstream.Traffic.Followed(content.Length);
                }

                return Pulled<IBlobContent>.Of(content);
            }

            // It is in the store, from this fetch or another replica's, or will not be.
            if (await fetch.Ended.WaitAsync(cancellationToken) is { } late)
            {
                return late.For<IBlobContent>(Unknown(digest));
            }

            if (await repositoryBlobs.LinkedSizeAsync(repository, digest, cancellationToken) is { } size
                && await repositoryBlobs.OpenReadAsync(repository, digest, size, 0, size, cancellationToken) is { } stored)
            {
                return Pulled<IBlobContent>.Of(stored);
            }
        }

        return UpstreamFailure.Here("What was fetched was removed at once.").For<IBlobContent>(Unknown(digest));
    }

    /// <summary>Fetches a blob that is not here, to its end; null when it is here then.</summary>
    public async ValueTask<UpstreamFailure?> FetchAsync(
        Upstream upstream, RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        if (await repositoryBlobs.StatAsync(repository, digest, cancellationToken) is not null)
        {
            await entries.TouchAsync(upstream, repository, digest, cancellationToken);
            return null;
        }

        upstream.Traffic.Missed();
        return await StartOrJoin(upstream, repository, digest, out _).Ended.WaitAsync(cancellationToken);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>After the server has stopped: nobody reads any more what is on its way.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        Task ended = Task.WhenAll(_fetches.Values.Where(fetch => fetch.IsValueCreated).Select(fetch => fetch.Value.Ended));
        await ended.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await GiveUpBrokenAsync(TimeSpan.Zero);
    }

    /// <summary>Gives up what broke off long ago, and nobody has asked for since; for the sweep.</summary>
    public ValueTask GiveUpBrokenAsync() => GiveUpBrokenAsync(BrokenLife);

    private async ValueTask GiveUpBrokenAsync(TimeSpan age)
    {
        foreach (var (key, broken) in _broken)
        {
            if (time.GetElapsedTime(broken.Since) >= age && _broken.TryRemove(new(key, broken)))
            {
                await GiveUpAsync(broken);
            }
        }
    }

    public void Dispose() => _stopping.Dispose();

    private Fetch StartOrJoin(Upstream upstream, RepositoryName repository, Digest digest, out bool joined)
    {
        Lazy<Fetch>? mine = null;
        var fetch = _fetches.GetOrAdd((repository, digest), _ => mine = new(() =>
        {
            var started = new Fetch(upstream, repository, digest);
            started.Ended = Task.Run(() => RunAsync(started), CancellationToken.None);
            return started;
        }));
        joined = !ReferenceEquals(fetch, mine);
        return fetch.Value;
    }

    /// <summary>A fetch from its beginning to its end, whatever becomes of those who wait for it. Throws nothing.</summary>
    private async Task<UpstreamFailure?> RunAsync(Fetch fetch)
    {
        fetch.Upstream.Traffic.FetchStarted();
        UpstreamFailure? failure;
        try
        {
            failure = await RunStepsAsync(fetch);
        }
        catch (Exception e)
        {
            // The storage, a full spool, or the end of the process.
            LogFailed(log, e, fetch.Digest, fetch.Repository);
            failure = UpstreamFailure.Here(_stopping.IsCancellationRequested
                ? "The registry is being stopped."
                : "The registry's storage failed while the content was being fetched.");
        }

        _fetches.TryRemove((fetch.Repository, fetch.Digest), out _); // before anybody is told: who comes now begins anew
        fetch.Upstream.Traffic.FetchEnded();
        if (failure is not null)
        {
            fetch.Content?.Fail(new IOException(failure.Problem));
        }

        fetch.Start(new FetchStart(null, failure));
        return failure;
    }

    /// <remarks>
    ///   (1) wait for another replica                     up to ReplicaWait; what it has published is served
    ///   (2) the content is here, for another repository  the upstream says by HEAD that this one has it too: it is linked
    ///   (3) ask the upstream                             from where the last fetch broke off; those who wait begin to read
    ///   (4) note it, then bring it into an upload session  with the digest as its end: published only if the bytes have it
    ///   (5) the last byte is given out
    /// </remarks>
    private async Task<UpstreamFailure?> RunStepsAsync(Fetch fetch)
    {
        var (upstream, repository, digest) = (fetch.Upstream, fetch.Repository, fetch.Digest);
        var there = upstream.NameThere(repository);

        // (1)
        await using var turn = await locks.TryAcquireAsync(
            $"pulled/{repository}/{digest}", options.Value.PullThrough.ReplicaWait, _stopping.Token);
        if (await repositoryBlobs.StatAsync(repository, digest, _stopping.Token) is not null)
        {
            return null;
        }

        if (unknown.Contains(repository, $"blobs/{digest}"))
        {
            return UpstreamFailure.Unknown;
        }

        // (2)
        if (await blobs.StatAsync(digest, _stopping.Token) is { } present)
        {
            var (size, problem) = await StatAsync(upstream, repository, digest, there, _stopping.Token);
            if (size == present)
            {
                await entries.AddAsync(repository, digest, PulledKind.Blob, present, CancellationToken.None);
                if (await repositoryBlobs.LinkAsync(repository, digest, present, isHeld: false, CancellationToken.None))
                {
                    upstream.Traffic.Followed(present);
                    return null;
                }
            }
            else if (size is null)
            {
                return problem;
            }
        }

        // (3)
        _broken.TryRemove((repository, digest), out var broken);
        using var answer = await upstream.Client.SendAsync(
            HttpMethod.Get,
            there,
            $"blobs/{digest}",
            request => request.Headers.Range = broken is null ? null : new RangeHeaderValue(broken.Arrived, null),
            _stopping.Token);
        if (answer.Response is not { } response)
        {
            // What it did not answer may be answered the next time; a 404 or a range that it has not got will not.
            var mayGoOn = answer.Outcome is UpstreamOutcome.Limited or UpstreamOutcome.Down && answer.Status is null or >= 500 or 429;
            if (broken is not null && !(mayGoOn && _broken.TryAdd((repository, digest), broken)))
            {
                await GiveUpAsync(broken);
            }

            await NoteAsync(repository, digest, answer);
            return UpstreamFailure.Of(answer);
        }

        if (broken is not null && ContinuesAt(response, broken))
        {
            return await BringAsync(fetch, response, broken.Length, broken);
        }

        if (broken is not null)
        {
            await GiveUpAsync(broken);
        }

        if (response.StatusCode != HttpStatusCode.OK)
        {
            return UpstreamFailure.Wrong(upstream, "went on from another place than it was asked to.");
        }

        if (response.Content.Headers.ContentLength is { } announced)
        {
            return await BringAsync(fetch, response, announced, null);
        }

        // Nobody can be told how long it is, and it may be endless.
        if (await SizeInManifestsAsync(repository, digest, _stopping.Token) is { } stated)
        {
            return await BringAsync(fetch, response, stated, null);
        }

        // It is there: a HEAD that says otherwise proves nothing.
        using var head = await upstream.Client.SendAsync(HttpMethod.Head, there, $"blobs/{digest}", null, _stopping.Token);
        return SizeIn(head, digest) is { } known ? await BringAsync(fetch, response, known, null)
            : head.Outcome is UpstreamOutcome.Found or UpstreamOutcome.Unknown || head.IsOfHeadAlone ? UnknownSize(upstream)
            : UpstreamFailure.Of(head);
    }

    /// <summary>The steps (4) and (5).</summary>
    private async Task<UpstreamFailure?> BringAsync(Fetch fetch, HttpResponseMessage response, long length, Broken? broken)
    {
        var (upstream, repository, digest) = (fetch.Upstream, fetch.Repository, fetch.Digest);
        var spool = broken?.Spool ?? Spool.Create(options.Value.PullThrough.SpoolFolder);
        var isKept = false;
        try
        {
            // (4)
            await entries.AddAsync(repository, digest, PulledKind.Blob, length, CancellationToken.None);
            var owner = new UploadOwner(repository, Subject);
            var requestId = $"pull-through-{Guid.NewGuid():n}";
            var session = broken?.Session
                ?? await sessions.StartAsync(owner, digest.Algorithm, requestId, CancellationToken.None);
            var content = new GrowingContent(spool, length, broken?.Arrived ?? 0);
            fetch.Content = content;
            if (length > 0)
            {
                fetch.Start(new FetchStart(content, null)); // else there is no byte that could be held back
            }

            var body = new ForwardedBody();
            var storing = StoreAsync(owner, session, content.Arrived, digest, requestId, body);
            var copied = await CopyAsync(upstream, response, content, body);
            UploadResult stored;
            try
            {
                stored = await storing;
            }
            catch (IOException e) when (copied is not null)
            {
                if (e.InnerException is StorageException)
                {
                    await GiveUpAsync(owner, session); // there is no room here: what has arrived takes it from others
                }
                else
                {
                    isKept = await TryKeepAsync(repository, digest, owner, session, content, spool);
                }

                return copied;
            }
            catch
            {
                await GiveUpAsync(owner, session);
                throw;
            }

            // (5)
            switch (stored.Outcome)
            {
                case UploadOutcome.Completed:
                    content.Complete();
                    return null;

                case UploadOutcome.DigestMismatch:
                    LogWrongDigest(log, upstream.Options.Prefix, digest, repository, stored.Computed!.Value);
                    return UpstreamFailure.Wrong(upstream, "sent what has another digest.");

                default:
                    await GiveUpAsync(owner, session);
                    return UpstreamFailure.Here(stored.Outcome == UploadOutcome.TooLarge
                        ? "The blob is larger than this registry takes."
                        : $"The content could not be stored ({stored.Outcome}).");
            }
        }
        finally
        {
            if (!isKept)
            {
                spool.Leave();
            }
        }
    }

    private async Task<UploadResult> StoreAsync(
        UploadOwner owner, UploadSessionId session, long offset, Digest digest, string requestId, ForwardedBody body)
    {
        try
        {
            return await sessions.CompleteAsync(
                owner, session, new UploadClaim(offset), digest, requestId, body, CancellationToken.None);
        }
        finally
        {
            await body.CompleteAsync(); // so that nobody writes into it any more
        }
    }

    /// <summary>From the upstream to those who read and to the storage, a piece at a time; null when all of it has come.</summary>
    private async Task<UpstreamFailure?> CopyAsync(
        Upstream upstream, HttpResponseMessage response, GrowingContent content, ForwardedBody body)
    {
        try
        {
            await using var source = await response.Content.ReadAsStreamAsync(_stopping.Token);
            while (true)
            {
                var memory = body.Writer.GetMemory(BufferSize);
                var read = await source.ReadAsync(memory[..Math.Min(memory.Length, BufferSize)], _stopping.Token);
                if (read == 0)
                {
                    break;
                }

                if (content.Arrived + read > content.Length)
                {
                    throw new IOException("more bytes came than were announced.");
                }

                content.Append(memory.Span[..read]);
                upstream.Traffic.HasSent(read);
                body.Writer.Advance(read);
                if ((await body.Writer.FlushAsync(CancellationToken.None)).IsCompleted)
                {
                    return null; // the storage takes no more: its own outcome says why
                }
            }

            if (content.Arrived < content.Length)
            {
                throw new IOException($"the end came at byte {content.Arrived} of {content.Length}.");
            }

            await body.Writer.CompleteAsync();
            return null;
        }
        catch (StorageException e)
        {
            LogNoRoom(log, e, options.Value.PullThrough.SpoolFolder ?? Path.GetTempPath());
            await body.FailAsync(e);
            return UpstreamFailure.Here("This registry has no room for content on its way; its operator has to make some.");
        }
        catch (Exception e) when (e is IOException or HttpRequestException or OperationCanceledException or TimeoutException)
        {
            if (!_stopping.IsCancellationRequested)
            {
                LogBrokeOff(log, e, upstream.Options.Prefix, content.Arrived);
            }

            await body.FailAsync(e);
            return UpstreamFailure.Wrong(upstream, $"broke off: {e.Message}");
        }
    }

    /// <summary>Whether what has arrived is kept, in its session and its spool, for the next one who asks.</summary>
    private async ValueTask<bool> TryKeepAsync(
        RepositoryName repository,
        Digest digest,
        UploadOwner owner,
        UploadSessionId session,
        GrowingContent content,
        Spool spool)
    {
        if (!_stopping.IsCancellationRequested
            && _broken.Count < MaxBroken
            && await sessions.StatusAsync(owner, session, CancellationToken.None) is > 0 and var arrived
            && arrived <= content.Arrived
            && _broken.TryAdd((repository, digest), new Broken(owner, session, spool, arrived, content.Length, time.GetTimestamp())))
        {
            return true;
        }

        await GiveUpAsync(owner, session);
        return false;
    }

    /// <summary>The size that the upstream says: to a HEAD, else with the head of a GET, else in a manifest that names the blob.</summary>
    private async ValueTask<(long? Size, UpstreamFailure? Failure)> StatAsync(
        Upstream upstream, RepositoryName repository, Digest digest, string there, CancellationToken cancellationToken)
    {
        var (size, failure) = await HeadAsync(upstream, repository, digest, there, cancellationToken);
        if (size is not null || failure is not null)
        {
            return (size, failure);
        }

        (size, failure) = await AskSizeAsync(HttpMethod.Get, upstream, repository, digest, there, cancellationToken);
        size = failure is null ? size ?? await SizeInManifestsAsync(repository, digest, cancellationToken) : null;
        return (size, size is null ? failure ?? UnknownSize(upstream) : null);
    }

    /// <summary>The size that the upstream says to a HEAD; neither size nor failure where only a GET can tell.</summary>
    private ValueTask<(long? Size, UpstreamFailure? Failure)> HeadAsync(
        Upstream upstream, RepositoryName repository, Digest digest, string there, CancellationToken cancellationToken) =>
        unknown.Contains(repository, $"blobs/{digest}")
            ? new((null, UpstreamFailure.Unknown))
            : AskSizeAsync(HttpMethod.Head, upstream, repository, digest, there, cancellationToken);

    private async ValueTask<(long? Size, UpstreamFailure? Failure)> AskSizeAsync(
        HttpMethod method, Upstream upstream, RepositoryName repository, Digest digest, string there, CancellationToken cancellationToken)
    {
        using var answer = await upstream.Client.SendAsync(method, there, $"blobs/{digest}", null, cancellationToken);
        if (method == HttpMethod.Head && answer.IsOfHeadAlone)
        {
            return (null, null);
        }

        if (answer.Response is null)
        {
            await NoteAsync(repository, digest, answer);
            return (null, UpstreamFailure.Of(answer));
        }

        return (SizeIn(answer, digest), null);
    }

    // Of the length of a body that they leave out, some proxies say that it is 0.
    private static long? SizeIn(UpstreamAnswer answer, Digest digest) =>
        answer.Response?.Content.Headers.ContentLength is { } size
        && (size > 0 || (size == 0 && digest == Digest.Of([], digest.Algorithm)))
            ? size
            : null;

    /// <summary>The size that the manifests say that are here and name the blob; null where there are none, or they differ.</summary>
    private async ValueTask<long?> SizeInManifestsAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            var sizes = new HashSet<long>();
            foreach (var whole in await parts.ManifestsOfAsync(repository, digest, MaxManifests, cancellationToken))
            {
                if (await manifests.GetAsync(repository, whole, cancellationToken) is { } manifest)
                {
                    sizes.UnionWith(Manifest.Read(manifest.Content, manifest.MediaType).Blobs
                        .Where(blob => blob.Digest == digest).Select(blob => blob.Size));
                }
            }

            return sizes.Count == 1 && sizes.First() is >= 0 and var size ? size : null;
        }
        catch (StorageException)
        {
            return null; // a manifest that cannot be read; the upstream may know
        }
    }

    private static UpstreamFailure UnknownSize(Upstream upstream) =>
        UpstreamFailure.Wrong(upstream, "does not say how large the blob is.");

    private async ValueTask NoteAsync(RepositoryName repository, Digest digest, UpstreamAnswer answer)
    {
        if (answer.Outcome == UpstreamOutcome.Unknown)
        {
            unknown.Add(repository, $"blobs/{digest}");
            await resolved.DoubtAsync(repository, digest, CancellationToken.None);
        }
    }

    private static bool ContinuesAt(HttpResponseMessage response, Broken broken) =>
        response.StatusCode == HttpStatusCode.PartialContent
        && response.Content.Headers.ContentRange is { From: { } from } range
        && from == broken.Arrived
        && (range.Length is null || range.Length == broken.Length);

    private ValueTask GiveUpAsync(Broken broken)
    {
        broken.Spool.Leave();
        return GiveUpAsync(broken.Owner, broken.Session);
    }

    private async ValueTask GiveUpAsync(UploadOwner owner, UploadSessionId session)
    {
        try
        {
            await sessions.CancelAsync(owner, session, CancellationToken.None);
        }
        catch (StorageException e)
        {
            LogNotGivenUp(log, e, session); // it expires
        }
    }

    /// <summary>A blob on its way.</summary>
    private sealed class Fetch(Upstream upstream, RepositoryName repository, Digest digest)
    {
        private readonly TaskCompletionSource<FetchStart> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Upstream Upstream => upstream;

        public RepositoryName Repository => repository;

        public Digest Digest => digest;

        public GrowingContent? Content { get; set; }

        /// <summary>When there is something to read, or it is over.</summary>
        public Task<FetchStart> Started => _started.Task;

        /// <summary>When it is over; null when the blob is here.</summary>
        public Task<UpstreamFailure?> Ended { get; set; } = Task.FromResult<UpstreamFailure?>(null);

        public void Start(FetchStart start) => _started.TrySetResult(start);
    }

    /// <param name="Content">To read; null when it is in the store by now, or has failed.</param>
    /// <param name="Failure">Why there is nothing.</param>
    private sealed record FetchStart(GrowingContent? Content, UpstreamFailure? Failure);

    /// <summary>A fetch that broke off: what has arrived is in its session, and in its spool.</summary>
    private sealed record Broken(
        UploadOwner Owner, UploadSessionId Session, Spool Spool, long Arrived, long Length, long Since);

    private static OciError Unknown(Digest digest) =>
        OciError.BlobUnknown(digest) with { Message = "Neither this registry nor the upstream of this repository has the blob." };

    [LoggerMessage(LogLevel.Error, "Fetching {Digest} for {Repository} failed.")]
    private static partial void LogFailed(ILogger logger, Exception exception, Digest digest, RepositoryName repository);

    [LoggerMessage(LogLevel.Error, "There is no room in {Folder} for content on its way. Make some, or set PullThrough:SpoolFolder.")]
    private static partial void LogNoRoom(ILogger logger, Exception exception, string folder);

    [LoggerMessage(LogLevel.Warning, "The upstream of {Prefix} broke off a blob at byte {Offset}.")]
    private static partial void LogBrokeOff(ILogger logger, Exception exception, string prefix, long offset);

    [LoggerMessage(LogLevel.Warning, "The upstream of {Prefix} sent for {Digest} of {Repository} what has the digest {Computed}; nothing was kept.")]
    private static partial void LogWrongDigest(
        ILogger logger, string prefix, Digest digest, RepositoryName repository, Digest computed);

    [LoggerMessage(LogLevel.Warning, "Upload session {Session} of a fetch that broke off could not be given up; it expires.")]
    private static partial void LogNotGivenUp(ILogger logger, Exception exception, UploadSessionId session);
}

/// <summary>Bytes that a blob has.</summary>
internal sealed record BlobSize(long Bytes);
