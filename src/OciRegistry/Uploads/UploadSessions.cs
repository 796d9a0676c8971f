using System.IO.Pipelines;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Storage;
using Versioned = OciRegistry.Uploads.UploadSessionDocuments.Versioned;

namespace OciRegistry.Uploads;

/// <summary>
/// Upload sessions: what POST, PATCH, PUT, GET and DELETE on blobs/uploads mean. README.md has the states and what each
/// crash leaves. Every method may run on any replica, and none relies on anything but the session's document.
/// </summary>
internal sealed partial class UploadSessions(
    UploadSessionDocuments documents,
    IUploadStore uploads,
    StagedHash stagedHash,
    UploadCommit commit,
    IRegistryLocks locks,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    StoreClock clock,
    TimeProvider time,
    ILogger<UploadSessions> log)
{
    private static readonly TimeSpan RecordPoll = TimeSpan.FromMilliseconds(100);

    private UploadOptions Options => options.Value.Uploads;

    /// <summary>Starts a session (spec end-4a, end-4c).</summary>
    public async ValueTask<UploadSessionId> StartAsync(
        UploadOwner owner, DigestAlgorithm algorithm, string requestId, CancellationToken cancellationToken)
    {
        var now = clock.Now;
        var session = new UploadSession
        {
            Id = UploadSessionId.New(),
            Repository = owner.Repository,
            Subject = owner.Subject,
            Algorithm = algorithm,
            Epoch = uploads.Epoch,
            Started = now,
            Active = now,
            Timeline = [new UploadEvent(now, requestId, Turn.Replica, "POST", "Started", 0, 0, 0)],
        };
        await documents.CreateAsync(session, cancellationToken);
        metrics.UploadStarted();
        return session.Id;
    }

    /// <summary>How many bytes the session has (spec end-13); null when there is no such session.</summary>
    public async ValueTask<long?> StatusAsync(
        UploadOwner owner, UploadSessionId id, CancellationToken cancellationToken) =>
        (await LoadAsync(owner, id, cancellationToken))?.Session.Progress;

    /// <summary>When the session was started; null when there is no such session.</summary>
    public async ValueTask<DateTimeOffset?> StartedAsync(
        UploadOwner owner, UploadSessionId id, CancellationToken cancellationToken) =>
        (await LoadAsync(owner, id, cancellationToken))?.Session.Started;

    /// <summary>Appends one chunk (spec end-5).</summary>
    public async ValueTask<UploadResult> AppendAsync(
        UploadOwner owner,
        UploadSessionId id,
        UploadClaim claim,
        string requestId,
        PipeReader body,
        CancellationToken cancellationToken)
    {
        await using var turn = new Turn(locks, id, "PATCH", requestId, time);
        var result = await AppendAsync(turn, owner, id, claim, closing: null, body, cancellationToken);
        await NoteRefusalAsync(turn, id, result);
        return result;
    }

    /// <summary>Completes a session, after appending the body when there is one (spec end-6).</summary>
    public async ValueTask<UploadResult> CompleteAsync(
        UploadOwner owner,
        UploadSessionId id,
        UploadClaim claim,
        Digest digest,
        string requestId,
        PipeReader? body,
        CancellationToken cancellationToken)
    {
        await using var turn = new Turn(locks, id, "PUT", requestId, time);
        var result = await CompleteAsync(turn, owner, id, claim, digest, body, cancellationToken);
        await NoteRefusalAsync(turn, id, result);
        return result;
    }

    /// <summary>Gives a session up (spec end-14). A request that is writing to it is fenced.</summary>
    public async ValueTask<UploadResult> CancelAsync(
        UploadOwner owner, UploadSessionId id, CancellationToken cancellationToken)
    {
        while (await LoadAsync(owner, id, cancellationToken) is { } loaded)
        {
            if (loaded.Session.State == UploadState.Sealed)
            {
                return new UploadResult(UploadOutcome.Completing);
            }

            if (await DiscardAsync(loaded))
            {
                await locks.RequestReleaseAsync(Turn.LockName(id), CancellationToken.None);
                metrics.UploadCancelled();
                return new UploadResult(UploadOutcome.Cancelled);
            }
        }

        return new UploadResult(UploadOutcome.Unknown);
    }

    /// <summary>Gives a session up for an operator, whoever's it is.</summary>
    public async ValueTask<UploadResult> AbortAsync(UploadSessionId id, CancellationToken cancellationToken) =>
        await documents.ReadAsync(id, cancellationToken) is { } loaded
            ? await CancelAsync(loaded.Session.Owner, id, cancellationToken)
            : new UploadResult(UploadOutcome.Unknown);

    /// <summary>
    /// Discards a session that no client has continued in time: for the sweep. A sealed one too: only a client's request
    /// may link a blob, because others may have pushed and deleted the same blob since. Returns the session when it stays.
    /// </summary>
    /// <param name="id">The session.</param>
    /// <param name="now">The storage's time, measured for this sweep.</param>
    public async ValueTask<UploadSession?> ExpireAsync(UploadSessionId id, DateTimeOffset now)
    {
        if (await documents.ReadAsync(id, CancellationToken.None) is not { } loaded)
        {
            if (await documents.IsGoneAsync(id, CancellationToken.None))
            {
                // Listed, but none: a power cut has left an empty name.
                await uploads.DiscardAsync(new StagedKey(id, 0), CancellationToken.None);
                await documents.DeleteAsync(id, CancellationToken.None);
            }

            return null;
        }

        if (loaded.Session.State == UploadState.Discarding)
        {
            await FinishDiscardAsync(loaded.Session);
            return null;
        }

        if (!loaded.Session.HasExpired(Options, now))
        {
            return loaded.Session;
        }

        if (!await DiscardAsync(loaded))
        {
            return loaded.Session; // somebody has come back to it
        }

        metrics.UploadExpired();
        LogExpired(log, id, loaded.Session.Repository, loaded.Session.Progress);
        return null;
    }

    /// <summary>Completes a session.</summary>
    /// <remarks>
    ///   (1) append the body                            as one more chunk, with the same order; bytes that have the
    ///                                                  digest are sealed by the very write that ends the chunk: (6)
    ///   (2) load the session                           gone: 201 if the repository has the digest now, else Unknown
    ///   (3) wait for the running request               or fence it, when it only repeats what is acknowledged
    ///   (4) compare the digest                         wrong bytes are final: the session is discarded
    ///   (5) seal, by compare-and-swap                  a conflict: (2) again. From here it only goes forward
    ///   (6) hold, publish, confirm, link, and remove the session: each step safe to repeat by anyone (UploadCommit)
    /// </remarks>
    private async ValueTask<UploadResult> CompleteAsync(
        Turn turn,
        UploadOwner owner,
        UploadSessionId id,
        UploadClaim claim,
        Digest digest,
        PipeReader? body,
        CancellationToken cancellationToken)
    {
        var acknowledgedEnd = claim.End;

        // (1)
        if (body is not null)
        {
            var appended = await AppendAsync(
                turn, owner, id, claim, digest, body, cancellationToken);
            if (turn.Sealed is { } whole)
            {
                return await CommitAsync(turn, whole, isOwnSeal: true);
            }

            acknowledgedEnd = appended.Offset;
            var mayBeReplay =
                appended.Outcome is UploadOutcome.Unknown or UploadOutcome.Completing or UploadOutcome.Fenced;
            if (appended.Outcome != UploadOutcome.Appended
                && !(mayBeReplay && await IsCompletingAsync(owner, id, digest, cancellationToken)))
            {
                return appended;
            }
        }

        while (true)
        {
            // (2)
            if (await LoadAsync(owner, id, cancellationToken) is not { } loaded)
            {
                return await commit.LinkedSizeAsync(owner.Repository, digest, cancellationToken) is { } size
                    ? new UploadResult(UploadOutcome.Completed, size)
                    : new UploadResult(UploadOutcome.Unknown);
            }

            if (loaded.Session.State == UploadState.Sealed)
            {
                if (loaded.Session.Digest != digest)
                {
                    return new UploadResult(UploadOutcome.Completing);
                }

                if (!turn.IsTaken && await turn.TakeAsync(Options.OrderWait, cancellationToken))
                {
                    continue; // whoever committed is done, or gone
                }

                return await CommitAsync(turn, loaded.Session, isOwnSeal: false);
            }

            // (3)
            turn.See(loaded.Session.Writer);
            if (!turn.IsTaken && !(turn.GoOnWithout && loaded.Session.Writer is null))
            {
                var replaysOnly = loaded.Session.Writer is { } running
                    && running.Start < loaded.Session.Offset
                    && acknowledgedEnd == loaded.Session.Offset;
                if (replaysOnly)
                {
                    await turn.AskForAsync(Options.FenceWait, cancellationToken);
                }
                else if (!await turn.TakeAsync(WaitFor(loaded.Session), cancellationToken))
                {
                    if (await HasMovedOnAsync(turn, loaded, cancellationToken))
                    {
                        continue; // look again: whoever was waited for has changed the session
                    }

                    if (loaded.Session.Writer is not null && !HasStalled(turn, loaded.Session))
                    {
                        return new UploadResult(UploadOutcome.Busy, loaded.Session.Progress);
                    }
                }

                turn.GoOnWithout |= replaysOnly;
                if (turn.IsTaken && loaded.Session.Writer is not null)
                {
                    continue;
                }
            }

            // Without a body, a range says what was sent before: not all of it has arrived here.
            if (body is null && claim.IsRange && claim.End != loaded.Session.Offset)
            {
                return new UploadResult(
                    claim.Offset == loaded.Session.Offset ? UploadOutcome.LengthMismatch : UploadOutcome.OutOfOrder, loaded.Session.Offset);
            }

            // Whoever is still recorded as the writer lost its lock with its process, or has stalled, or only repeats.
            var hasStalled = !turn.IsTaken && !turn.GoOnWithout && loaded.Session.Writer is not null;
            var session = loaded.Session.TakeOver(counts: !turn.GoOnWithout);

            // (4)
            if (await stagedHash.DigestAsync(session, digest.Algorithm, cancellationToken) is not { } computed)
            {
                if (await IsUnchangedAsync(loaded) && await DiscardAsync(loaded))
                {
                    return Lost(session);
                }

                continue; // somebody else has published them meanwhile
            }

            if (computed != digest)
            {
                if (hasStalled)
                {
                    // Not the client's last word on its bytes: the one that has stalled may have more of them.
                    return new UploadResult(UploadOutcome.Busy, session.Offset);
                }

                if (!await DiscardAsync(loaded))
                {
                    continue;
                }

                metrics.UploadFailed("digest");
                LogFailed(log, id, owner.Repository, UploadOutcome.DigestMismatch, Told(session));
                return new UploadResult(UploadOutcome.DigestMismatch, session.Offset, computed);
            }

            // (5)
            if (await documents.ReplaceAsync(
                    loaded, Seal(turn, session, digest, clock.Now), CancellationToken.None) is { } @sealed)
            {
                if (hasStalled)
                {
                    await DismissAsync(id);
                }

                // (6)
                return await CommitAsync(turn, @sealed.Session, isOwnSeal: true);
            }
        }
    }

    /// <summary>Appends one chunk.</summary>
    /// <remarks>
    /// spec end-5: "Chunks MUST be uploaded in order … If a chunk is uploaded out of order, the registry MUST respond
    /// with a 416 Requested Range Not Satisfiable code."
    ///
    ///   (1) load the session                         else Unknown    — its owner must match
    ///   (2) wait for the running request, or fence it                — Turn; no body byte is read yet
    ///   (3) the chunk starts where it may            else OutOfOrder — nothing has been written
    ///   (4) record this writer, by compare-and-swap  else (1)        — before the first byte
    ///   (5) stream the bytes to store and hash                       — a disconnect keeps what arrived
    ///   (6) close the record at what both hold       else Fenced     — our bytes are nobody's, and go with the session
    /// </remarks>
    private async ValueTask<UploadResult> AppendAsync(
        Turn turn,
        UploadOwner owner,
        UploadSessionId id,
        UploadClaim claim,
        Digest? closing,
        PipeReader body,
        CancellationToken cancellationToken)
    {
        var mayBeInPlace = true;
        while (true)
        {
            // (1)
            var isFresh = turn.IsTaken || turn.GoOnWithout;
            if (await LoadAsync(owner, id, cancellationToken) is not { } loaded)
            {
                return new UploadResult(UploadOutcome.Unknown);
            }

            if (loaded.Session.State == UploadState.Sealed)
            {
                return new UploadResult(UploadOutcome.Completing, loaded.Session.Offset);
            }

            // (2)
            turn.See(loaded.Session.Writer);
            var hasStalled = false;
            var replaysRunning = loaded.Session.IsReplayOfRunning(claim);
            if (!turn.IsTaken && !turn.GoOnWithout)
            {
                if (replaysRunning)
                {
                    metrics.UploadReplayed();
                    LogReplay(log, id, loaded.Session.Writer!.RequestId, loaded.Session.Writer.Replica);
                    await turn.AskForAsync(Options.FenceWait, cancellationToken);
                    turn.GoOnWithout = !turn.IsTaken;
                    continue;
                }

                var isTaken = await turn.TakeAsync(WaitFor(loaded.Session), cancellationToken);
                if (isTaken ? loaded.Session.Writer is not null : await HasMovedOnAsync(turn, loaded, cancellationToken))
                {
                    continue; // whoever was waited for has changed the session; else compare-and-swap finds out if anybody has
                }

                if (!isTaken)
                {
                    hasStalled = claim.Offset == loaded.Session.Progress && HasStalled(turn, loaded.Session);
                    if (loaded.Session.Writer is { } running && running.Start != claim.Offset && !hasStalled)
                    {
                        return new UploadResult(UploadOutcome.Busy, loaded.Session.Progress);
                    }

                    if (!hasStalled || loaded.Session.Writer!.Start == claim.Offset)
                    {
                        // The same chunk again: its client has given the running request up, even if its connection has not.
                        await turn.AskForAsync(Options.FenceWait, cancellationToken);
                        turn.GoOnWithout = !turn.IsTaken;
                        continue;
                    }
                }
            }

            if (turn.GoOnWithout
                && loaded.Session.Writer is { } other
                && other.Start != claim.Offset
                && other.RequestId != turn.RequestId)
            {
                // Not the request that we repeat: that one has ended, and its client has gone on.
                return new UploadResult(UploadOutcome.Busy, loaded.Session.Progress);
            }

            // A writer on record while we have its lock is one whose process died; without the lock, one that we replace,
            // or go on from when it has stalled.
            var session = loaded.Session.TakeOver(counts: !turn.GoOnWithout);

            // (3)
            if (session.StartOf(claim) is not { } start)
            {
                if (!isFresh)
                {
                    continue; // read before its turn: what came in between is what the answer is about
                }

                return new UploadResult(UploadOutcome.OutOfOrder, session.Offset);
            }

            if (start + claim.Length > Options.MaxBlobSize)
            {
                return await DiscardTooLargeAsync(loaded);
            }

            if (start < session.Offset && !replaysRunning)
            {
                metrics.UploadReplayed();
            }

            // (4)
            if (session.Offset == 0 && closing?.Algorithm is { } named)
            {
                // A request before it may have left a hash of no bytes, of the other algorithm.
                session = session with { Algorithm = named, Hash = null, HashAtLastStart = null };
            }

            // Beside a writer whose lock we do not have: it may be about to open the very generation.
            var replaces = !turn.IsTaken && loaded.Session.Writer is not null;
            var inPlace = uploads.AppendsInPlace && mayBeInPlace && start == session.Offset && !replaces;
            var begun = session.BeginWriting(start, inPlace, turn.RequestId, Turn.Replica, clock.Now) with
            {
                // A copy of staged bytes hides it when writing the original to disk has failed.
                IsSuspect = session.IsSuspect || (!inPlace && start > 0),
            };
            if (await documents.ReplaceAsync(loaded, begun, CancellationToken.None) is not { } writing)
            {
                continue;
            }

            if (hasStalled)
            {
                await DismissAsync(id);
            }

            var staged = inPlace
                ? await uploads.OpenAsync(session.Staged, start, CancellationToken.None)
                : await uploads.ForkAsync(
                    session.Staged with { Parts = session.PartsAt(start) },
                    start,
                    new StagedKey(id, begun.Writer!.Generation),
                    CancellationToken.None);
            if (staged is not null)
            {
                await using var open = staged;

                // The record once more, now that nobody else can open the bytes: we may have been paused between the two,
                // and what whoever replaced us has staged here since is not ours to cut off. A generation that is given to
                // one writer only holds nothing of others.
                var own = uploads.AppendsInPlace ? await ReadOwnAsync(writing) : writing;
                return own is not null || await IsRepeatedElsewhereAsync(writing.Session)
                    ? await WriteAsync(turn, own ?? writing, own is not null, claim, closing, staged, body, cancellationToken)
                    : await FencedAsync(writing.Session);
            }

            if (!inPlace)
            {
                if (!await DiscardAsync(writing))
                {
                    continue; // they went with a session that somebody has completed or cancelled meanwhile
                }

                return Lost(session);
            }

            // Somebody who was paused still has the file open: leave it to him.
            mayBeInPlace = false;
        }
    }

    private static UploadSession Seal(Turn turn, UploadSession session, Digest digest, DateTimeOffset now) =>
        session.Seal(digest, now).With(turn.Event("Sealed", session.Offset, 0));

    /// <param name="turn">Of the request.</param>
    /// <param name="session">Sealed.</param>
    /// <param name="isOwnSeal">Whether this request has sealed it, and so knows what has become of its bytes since.</param>
    private async ValueTask<UploadResult> CommitAsync(Turn turn, UploadSession session, bool isOwnSeal)
    {
        try
        {
            if (await commit.TryCommitAsync(session, isOwnSeal))
            {
                metrics.UploadCompleted();
                return new UploadResult(UploadOutcome.Completed, session.Offset);
            }
        }
        catch (StorageException e)
        {
            await NoteAsync(session.Id, turn.Event(Kind(e), session.Offset, 0));
            if (e.IsFull)
            {
                await FreeAsync(session);
            }

            throw;
        }

        var lost = Lost(session);
        await FinishDiscardAsync(session);
        return lost;
    }

    /// <summary>What the client of a session is told whose staged bytes are gone: it pushes them again.</summary>
    private UploadResult Lost(UploadSession session)
    {
        LogStagedBytesLost(log, session.Id, session.Repository, session.Offset);
        metrics.IntegrityEvent("staged");
        return new UploadResult(UploadOutcome.Unknown);
    }

    /// <summary>
    /// Discards a sealed session that the full store cannot complete: its bytes are what other pushes need the space for.
    /// It stays when its content is in place already, because only the link is missing then, and nothing would be freed.
    /// </summary>
    private async ValueTask FreeAsync(UploadSession session)
    {
        try
        {
            if (await uploads.LengthAsync(session.Staged, CancellationToken.None) > 0
                && await documents.ReadAsync(session.Id, CancellationToken.None) is { Session.State: UploadState.Sealed } loaded
                && await DiscardAsync(loaded))
            {
                metrics.UploadFailed("full");
                LogFull(log, session.Id, session.Repository, session.Offset);
            }
        }
        catch (StorageException e)
        {
            LogNotFreed(log, e, session.Id);
        }
    }

    /// <summary>Puts a refusal on the session's timeline, when there still is a session.</summary>
    private ValueTask NoteRefusalAsync(Turn turn, UploadSessionId id, UploadResult result) =>
        turn.IsNoted || result.Outcome is UploadOutcome.Appended or UploadOutcome.Completed or UploadOutcome.Unknown
            ? ValueTask.CompletedTask
            : NoteAsync(id, turn.Event(result.Outcome.ToString(), result.Offset, 0));

    /// <summary>Nothing depends on the timeline, so nothing fails for it.</summary>
    private async ValueTask NoteAsync(UploadSessionId id, UploadEvent said)
    {
        try
        {
            for (var attempt = 0; attempt < 3; attempt++)
            {
                if (await documents.ReadAsync(id, CancellationToken.None) is not { } loaded
                    || loaded.Session.State == UploadState.Discarding
                    || await documents.ReplaceAsync(loaded, loaded.Session.With(said), CancellationToken.None) is not null)
                {
                    return;
                }
            }
        }
        catch (StorageException)
        {
            // The log has what the timeline now lacks.
        }
    }

    private static string Told(UploadSession session) => string.Join("; ", session.Timeline);

    /// <summary>What broke a request off, for the timeline.</summary>
    private static string Kind(Exception exception) => exception switch
    {
        StorageException => "StorageFailed",
        IOException or OperationCanceledException => "ClientLeft",
        _ => "Failed",
    };

    private async ValueTask<UploadResult> DiscardTooLargeAsync(Versioned loaded)
    {
        await DiscardAsync(loaded);
        metrics.UploadFailed("size");
        LogFailed(log, loaded.Session.Id, loaded.Session.Repository, UploadOutcome.TooLarge, Told(loaded.Session));
        return new UploadResult(UploadOutcome.TooLarge, loaded.Session.Offset);
    }

    /// <summary>
    /// A request that is writing may take its time. Where none is on record, the lock's holder is about to let go, or
    /// was replaced and does not know it yet.
    /// </summary>
    private TimeSpan WaitFor(UploadSession session) => session.Writer is null ? Options.FenceWait : Options.OrderWait;

    /// <summary>
    /// Where the lock is not to be had, the record tells when the running request has ended: waits for that as long as a
    /// request may wait in all. False when it still runs.
    /// </summary>
    private async ValueTask<bool> HasMovedOnAsync(Turn turn, Versioned loaded, CancellationToken cancellationToken)
    {
        if (loaded.Session.Writer is not { } running)
        {
            return false;
        }

        while (true)
        {
            var now = await documents.ReadAsync(loaded.Session.Id, cancellationToken);
            if (now?.Session.Writer is not { } writer || !writer.IsSameAs(running))
            {
                return true;
            }

            turn.See(writer);
            if (turn.Waited >= Options.OrderWait)
            {
                return false;
            }

            await Task.Delay(RecordPoll, time, cancellationToken);
        }
    }

    /// <summary>
    /// Whether the running request has made no progress for as long as this one has waited for it, lock or no lock: its
    /// process is dead or paused, or its connection is. What is recorded of it counts, and may be gone on from.
    /// </summary>
    private bool HasStalled(Turn turn, UploadSession session) =>
        session.Writer is not null && turn.StalledFor >= Options.OrderWait;

    /// <summary>
    /// A writer that has stalled is asked to stop once it is fenced, and no sooner: it would take what it has written out
    /// of the record.
    /// </summary>
    private ValueTask DismissAsync(UploadSessionId id) =>
        locks.RequestReleaseAsync(Turn.LockName(id), CancellationToken.None);

    /// <summary>The session as it is to go on with, or null: unknown, another owner's, or given up.</summary>
    private async ValueTask<Versioned?> LoadAsync(
        UploadOwner owner, UploadSessionId id, CancellationToken cancellationToken)
    {
        while (await documents.ReadAsync(id, cancellationToken) is { } loaded
            && loaded.Session.Owner == owner
            && loaded.Session.State != UploadState.Discarding)
        {
            // The bytes of a sealed session are hashed again anyway, by whoever finds it sealed.
            if (loaded.Session.Epoch == uploads.Epoch || loaded.Session.State == UploadState.Sealed)
            {
                return loaded;
            }

            if (await RehashAsync(loaded, cancellationToken) is { } rehashed)
            {
                return rehashed;
            }
        }

        return null;
    }

    /// <summary>
    /// After a reboot a session may describe bytes that never reached the disk: it goes on with those that are there,
    /// whose hash is computed anew.
    /// </summary>
    private async ValueTask<Versioned?> RehashAsync(Versioned loaded, CancellationToken cancellationToken)
    {
        var session = loaded.Session.EndWriting();
        var length = Math.Min(session.Offset, await uploads.LengthAsync(session.Staged, cancellationToken));
        using var read = await stagedHash.ReadAsync(session, session.Algorithm, length, cancellationToken);
        if (read is null)
        {
            return await IsUnchangedAsync(loaded)
                ? throw new StorageException($"The staged bytes of upload session {session.Id} are fewer than recorded.")
                : null;
        }

        var hash = length == 0 ? null : read.Save();
        var rehashed = session with
        {
            Epoch = uploads.Epoch,
            Offset = length,
            Hash = hash,
            LastStart = length,
            HashAtLastStart = hash,
        };
        return await documents.ReplaceAsync(loaded, rehashed, CancellationToken.None);
    }

    /// <summary>
    /// Staged bytes that are gone have gone the way of their session; else the store has lost them. In a store of blocks a
    /// closing request that hashes them again puts together what there is: a repetition that was sending then has staged more
    /// in vain.
    /// </summary>
    private async ValueTask<bool> IsUnchangedAsync(Versioned loaded) =>
        (await documents.ReadAsync(loaded.Session.Id, CancellationToken.None))?.Version == loaded.Version;

    /// <summary>Whether a request that was refused only repeats one that completes, or has completed, the session.</summary>
    private async ValueTask<bool> IsCompletingAsync(
        UploadOwner owner, UploadSessionId id, Digest digest, CancellationToken cancellationToken) =>
        await LoadAsync(owner, id, cancellationToken) is { } loaded
            ? loaded.Session.State == UploadState.Sealed && loaded.Session.Digest == digest
            : await commit.LinkedSizeAsync(owner.Repository, digest, cancellationToken) is not null;

    /// <summary>False when somebody else has changed the session since it was read.</summary>
    private async ValueTask<bool> DiscardAsync(Versioned loaded)
    {
        try
        {
            if (await documents.ReplaceAsync(loaded, loaded.Session.Discard(), CancellationToken.None) is null)
            {
                return false;
            }
        }
        catch (StorageException e) when (e.IsFull)
        {
            // Not even space for that word: a session that is gone is fenced as well. The sweep finds staged bytes that a
            // crash leaves now.
            if (!await documents.TryDeleteAsync(loaded, CancellationToken.None))
            {
                return false;
            }
        }

        await FinishDiscardAsync(loaded.Session);
        return true;
    }

    private async ValueTask FinishDiscardAsync(UploadSession session)
    {
        await uploads.DiscardAsync(session.Staged, CancellationToken.None);
        if (session.Digest is { } digest)
        {
            await commit.AbandonAsync(session.Repository, digest);
        }

        await documents.DeleteAsync(session.Id, CancellationToken.None);
    }

    [LoggerMessage(LogLevel.Information, "Upload session {Session}: a client repeats request {Running}, which still runs on {Replica}; the repetition takes over.")]
    private static partial void LogReplay(ILogger logger, UploadSessionId session, string running, string replica);

    [LoggerMessage(LogLevel.Information, "Upload session {Session}: request {Request} was overtaken by a newer one and ends.")]
    private static partial void LogFenced(ILogger logger, UploadSessionId session, string request);

    [LoggerMessage(LogLevel.Information, "Upload session {Session} in {Repository} was discarded ({Outcome}). Before: {Timeline}.")]
    private static partial void LogFailed(
        ILogger logger, UploadSessionId session, RepositoryName repository, UploadOutcome outcome, string timeline);

    [LoggerMessage(LogLevel.Warning, "Storage full: upload session {Session} in {Repository} could not be completed; its {Bytes} bytes were discarded. Free disk space, then push again.")]
    private static partial void LogFull(ILogger logger, UploadSessionId session, RepositoryName repository, long bytes);

    [LoggerMessage(LogLevel.Error, "Storage full: failed to free the staged bytes of upload session {Session}. They are deleted when the session expires.")]
    private static partial void LogNotFreed(ILogger logger, Exception exception, UploadSessionId session);

    [LoggerMessage(LogLevel.Information, "Upload session {Session} in {Repository} has expired with {Bytes} bytes.")]
    private static partial void LogExpired(ILogger logger, UploadSessionId session, RepositoryName repository, long bytes);

    [LoggerMessage(LogLevel.Error, "Upload session {Session} in {Repository}: the storage no longer has the {Bytes} bytes that were staged. The session is discarded.")]
    private static partial void LogStagedBytesLost(ILogger logger, UploadSessionId session, RepositoryName repository, long bytes);
}
