using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.ExceptionServices;
using OciRegistry.Storage;
using Versioned = OciRegistry.Uploads.UploadSessionDocuments.Versioned;

namespace OciRegistry.Uploads;

/// <summary>The steps (5) and (6) of an append: a request that is on record as the writer, from its first byte to its end.</summary>
internal sealed partial class UploadSessions
{
    private const long CheckpointBytes = 64 * 1024 * 1024;
    private static readonly TimeSpan CheckpointInterval = TimeSpan.FromSeconds(2);

    private async ValueTask<UploadResult> WriteAsync(
        Turn turn,
        Versioned writing,
        bool isOnRecord,
        UploadClaim claim,
        Digest? closing,
        IStagedBlob staged,
        PipeReader body,
        CancellationToken cancellationToken)
    {
        var start = writing.Session.Writer!.Start;
        using var hash = writing.Session.Writer.Hash is { } begun
            ? ResumableHash.Resume(begun)
            : ResumableHash.Create(writing.Session.Algorithm);

        // The loss of the lock ends nothing: a lock service may restart, and whoever takes the session over meanwhile
        // fences this request at its next record.

        // By waking the reader, not by its token: Kestrel cannot drain a body whose read was cancelled.
        using var leaving = cancellationToken.UnsafeRegister(Wake, body);
        using var asked = turn.ReleaseRequested.UnsafeRegister(Wake, body);

        // Wakes it regularly too, so that a client that stalls does not keep what it sent before out of the record.
        var rhythm = TimeSpan.FromTicks(Math.Min(CheckpointInterval.Ticks, Options.IdleExpiry.Ticks / 4));
        await using var wake = time.CreateTimer(Wake, body, rhythm, rhythm);
        var checkpointed = time.GetTimestamp();
        var settled = new Settled(start, writing.Session.Writer.Hash, writing.Session.Writer.Parts);
        var received = -1L; // at the last look, while off the record
        var maxLength = Math.Min(Options.MaxBlobSize ?? long.MaxValue, start + (claim.Length ?? (long.MaxValue - start)));
        var finished = false;
        var overrun = false;
        ExceptionDispatchInfo? fault = null;

        // (5)
        try
        {
            while (!finished && !overrun)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (isOnRecord && turn.ReleaseRequested.IsCancellationRequested)
                {
                    isOnRecord = false;
                    await RecordAsync(writing, own => own.DropWriter());
                    await turn.ReleaseAsync();
                    if (await ReadRepeatedAsync(writing.Session) is null)
                    {
                        return await FencedAsync(writing.Session);
                    }
                }

                var read = await body.ReadAsync(CancellationToken.None);
                var taken = read.Buffer;
                try
                {
                    overrun = taken.Length > maxLength - hash.Length;
                    if (!overrun)
                    {
                        // Not beyond the next checkpoint: a store that stages in blocks has whole ones there.
                        taken = taken.Slice(0, Math.Min(taken.Length, settled.Offset + CheckpointBytes - hash.Length));
                        await StageAsync(taken, staged, hash);
                    }
                }
                finally
                {
                    // Whatever failed: a body that is left in the middle of a read takes its connection with it, and the
                    // answer too.
                    metrics.BytesReceived(taken.Length);
                    body.AdvanceTo(taken.End);
                }

                finished = read.IsCompleted && taken.Length == read.Buffer.Length;
                var unrecorded = hash.Length - settled.Offset;
                var elapsed = time.GetElapsedTime(checkpointed);
                var isDue = unrecorded >= CheckpointBytes
                    || (unrecorded > 0 && elapsed >= rhythm)
                    || (turn.IsUnsure && elapsed >= rhythm) // somebody may have taken over
                    || elapsed >= Options.IdleExpiry / 4; // a sign of life, for the sweep
                if (isDue && !finished)
                {
                    checkpointed = time.GetTimestamp();
                    settled = await FlushAsync(staged, hash);
                    var now = clock.Now;
                    if (isOnRecord && await RecordAsync(writing, own => own.Checkpoint(settled, now)) is { } renewed)
                    {
                        writing = renewed;
                        continue;
                    }

                    isOnRecord = false;
                    var hasStalled = received == hash.Length;
                    if (await ReadRepeatedAsync(writing.Session) is not { } repeated
                        || (hasStalled && repeated.Writer is null && repeated.Offset > received))
                    {
                        return await FencedAsync(writing.Session);
                    }

                    received = hash.Length;
                }
            }
        }
        catch (Exception e)
        {
            // The client left, or the store failed: what arrived is kept (R1.3), and the exception goes on its way once
            // that is on record.
            fault = ExceptionDispatchInfo.Capture(e);
        }

        // (6)
        if (overrun && maxLength == Options.MaxBlobSize)
        {
            return await DiscardTooLargeAsync(writing);
        }

        if (fault?.SourceException is StorageException { IsFull: true })
        {
            var said = turn.Event(Kind(fault.SourceException), start, 0);
            await DropStagedAsync(writing, isOnRecord, said, settled with { IsSuspect = staged.IsSuspect });
            fault.Throw();
        }

        try
        {
            settled = await FlushAsync(staged, hash);
        }
        catch (Exception e)
        {
            fault ??= ExceptionDispatchInfo.Capture(e); // what was settled before is kept
        }

        var announcedMore = finished && claim.Length is { } announced && hash.Length - start != announced;
        var isWhole = finished && !overrun && !announcedMore && fault is null;
        var (end, endTime) = (settled.Offset, clock.Now);
        Versioned? ended = null;
        if (isOnRecord)
        {
            var outcome = overrun || announcedMore ? UploadOutcome.LengthMismatch : UploadOutcome.Appended;
            var said = turn.Event(fault is null ? outcome.ToString() : Kind(fault.SourceException), start, end - start);
            var seals = isWhole && closing?.Algorithm == hash.Algorithm && hash.Digest() == closing;
            ended = await RecordAsync(writing, own =>
            {
                var written = own.Checkpoint(settled, endTime);
                written = (outcome == UploadOutcome.Appended ? written.EndWriting() : written.DropWriter()).With(said);
                return seals && written.Offset == end ? Seal(turn, written, closing!.Value, endTime) : written;
            });
            turn.Sealed = ended?.Session.State == UploadState.Sealed ? ended.Session : null;
        }

        if (ended is null && isWhole)
        {
            ended = await SettleAsync(turn, writing.Session, settled);
        }

        if (ended is null)
        {
            return await FencedAsync(writing.Session);
        }

        fault?.Throw();
        turn.IsNoted = true;
        return overrun || announcedMore ? new UploadResult(UploadOutcome.LengthMismatch, ended.Session.Offset)
            : ended.Session.Offset > end ? new UploadResult(UploadOutcome.OutOfOrder, ended.Session.Offset)
            : new UploadResult(UploadOutcome.Appended, ended.Session.Offset);
    }

    /// <summary>
    /// Frees what a request has staged that the full store refused: other pushes need the space now, and its client may
    /// never return. What earlier requests have brought stays.
    /// </summary>
    /// <remarks>
    ///   (1) drop what is not on record   whoever took the session over counts no more than the record says; and the
    ///                                    record needs a little space itself
    ///   (2) take the writer off record   else another request has taken over, and counts what was on record
    ///   (3) drop the rest
    /// </remarks>
    private async ValueTask DropStagedAsync(Versioned writing, bool isOnRecord, UploadEvent said, Settled settled)
    {
        var writer = writing.Session.Writer!;
        var staged = new StagedKey(writing.Session.Id, writer.Generation);
        try
        {
            // (1)
            await uploads.TrimAsync(staged, settled.Offset, CancellationToken.None);

            // (2)
            if (isOnRecord
                && await RecordAsync(
                    writing,
                    own => own.DropWriter().With(said) with { IsSuspect = own.IsSuspect || settled.IsSuspect }) is { } ended)
            {
                // (3)
                var kept = writer.Generation == ended.Session.Generation ? ended.Session.Offset : 0;
                await uploads.TrimAsync(staged, kept, CancellationToken.None);
            }
        }
        catch (StorageException e)
        {
            LogNotFreed(log, e, writing.Session.Id);
        }
    }

    /// <summary>
    /// The session as it is now, when a writer that was fenced was fenced by its own repetition, or by one that has broken
    /// off since; else null. That one may be the late one: sent before, given up by the client, and delivered only now. So
    /// the bytes of this one are staged to their end all the same, in their own generation, where they harm nobody. Not
    /// for a client that has stalled while its repetition has brought more.
    /// </summary>
    private async ValueTask<UploadSession?> ReadRepeatedAsync(UploadSession writing) =>
        await documents.ReadAsync(writing.Id, CancellationToken.None) is { Session: { State: UploadState.Open } now }
        && now.IsRepetitionOf(writing.Writer!)
            ? now
            : null;

    /// <summary>Whether that is so before the first byte, and nobody has staged in the same generation meanwhile.</summary>
    private async ValueTask<bool> IsRepeatedElsewhereAsync(UploadSession writing) =>
        await ReadRepeatedAsync(writing) is { } now
        && (now.Generation != writing.Writer!.Generation || now.Offset <= writing.Writer.Start);

    /// <summary>
    /// The end of a writer that was fenced by its own repetition: waits for that one's end. Then the same bytes are
    /// acknowledged, whoever brought them; or fewer or none are, because the repetition broke off, and these are taken. Null
    /// when other bytes are, or when it takes too long.
    /// </summary>
    private async ValueTask<Versioned?> SettleAsync(Turn turn, UploadSession writing, Settled staged)
    {
        var own = writing.Writer!;
        var end = staged.Offset;
        var began = time.GetTimestamp();
        while (await documents.ReadAsync(writing.Id, CancellationToken.None) is { Session: { State: UploadState.Open } now } loaded)
        {
            if (now.Offset == end && HashState.AreSame(now.Hash, staged.Hash))
            {
                return loaded;
            }

            if (!now.IsRepetitionOf(own))
            {
                return null; // its client has gone on
            }

            if (now.Writer is not null)
            {
                if (time.GetElapsedTime(began) >= Options.OrderWait)
                {
                    return null;
                }

                await Task.Delay(RecordPoll, time, CancellationToken.None);
                continue;
            }

            var isAsBefore = now.Generation == writing.Generation && now.Offset == writing.Offset;
            var taken = (now with { Writer = own }).Checkpoint(staged, clock.Now).EndWriting();
            if (taken.Offset != end || !(isAsBefore || (now.Offset < end && await BeginsWithAsync(own, now))))
            {
                return null;
            }

            taken = taken.With(turn.Event(nameof(UploadOutcome.Appended), own.Start, end - own.Start));
            if (await documents.ReplaceAsync(loaded, taken, CancellationToken.None) is { } settled)
            {
                return settled;
            }
        }

        return null;
    }

    /// <summary>
    /// Whether what a writer has staged begins with what is acknowledged: its repetition broke off on the way. Where what is
    /// staged cannot be read, that it broke off must do: nobody was told then that its bytes count, and the digest decides.
    /// </summary>
    private async ValueTask<bool> BeginsWithAsync(UploadWriter writer, UploadSession now)
    {
        if (!uploads.AppendsInPlace)
        {
            return now.Timeline.LastOrDefault(said => said.Bytes > 0) is { } last
                && (last.Offset, last.Bytes) == (writer.Start, now.Offset - writer.Start)
                && last.Outcome != nameof(UploadOutcome.Appended);
        }

        using var read = await stagedHash.ReadAsync(
            now with { Generation = writer.Generation }, now.Algorithm, now.Offset, CancellationToken.None);
        return read is not null && HashState.AreSame(read.Save(), now.Hash);
    }

    /// <summary>
    /// Changes the session as its writer; null when that is somebody else by now. Others may have added to its timeline.
    /// </summary>
    private async ValueTask<Versioned?> RecordAsync(Versioned writing, Func<UploadSession, UploadSession> change)
    {
        for (var own = writing; own is not null; own = await ReadOwnAsync(writing))
        {
            if (await documents.ReplaceAsync(own, change(own.Session), CancellationToken.None) is { } recorded)
            {
                return recorded;
            }
        }

        return null;
    }

    private async ValueTask<Versioned?> ReadOwnAsync(Versioned writing) =>
        await documents.ReadAsync(writing.Session.Id, CancellationToken.None) is { Session.Writer: { } writer } now
        && writer.IsSameAs(writing.Session.Writer!)
            ? now
            : null;

    private static async ValueTask StageAsync(ReadOnlySequence<byte> bytes, IStagedBlob staged, ResumableHash hash)
    {
        foreach (var segment in bytes)
        {
            // The store first: the hash never covers a byte that is not staged.
            await staged.AppendAsync(segment, CancellationToken.None);
            hash.Append(segment.Span);
        }
    }

    /// <summary>
    /// What both the store and the hash hold: an append that failed half-way may have left the store some bytes more.
    /// </summary>
    private static async ValueTask<Settled> FlushAsync(IStagedBlob staged, ResumableHash hash)
    {
        await staged.FlushAsync(CancellationToken.None);
        return new Settled(hash.Length, hash.Save(), staged.Parts, staged.IsSuspect);
    }

    private async ValueTask<UploadResult> FencedAsync(UploadSession session)
    {
        metrics.UploadFenced();
        LogFenced(log, session.Id, session.Writer!.RequestId);
        if (await documents.IsGoneAsync(session.Id, CancellationToken.None))
        {
            // Whoever ended the session has deleted what was staged; we may have staged something after that.
            await uploads.DiscardAsync(session.Staged, CancellationToken.None);
        }

        return new UploadResult(UploadOutcome.Fenced, session.Offset);
    }

    /// <summary>
    /// Has a read of a body return. The reader throws when its connection has failed: so does the read that waits, and what calls this
    /// handles no exception. On a timer's thread it would end the process.
    /// </summary>
    private static void Wake(object? body)
    {
        try
        {
            ((PipeReader)body!).CancelPendingRead();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or InvalidOperationException)
        {
        }
    }
}
