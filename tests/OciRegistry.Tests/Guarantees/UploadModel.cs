using OciRegistry.Uploads;

namespace OciRegistry.Tests.Guarantees;

internal enum UploadVerb
{
    Patch,
    Put,
    Status,
    Cancel,
    Pull,
}

/// <summary>What an answer says: its status, the offset in its Location, the code of its error.</summary>
internal readonly record struct UploadAnswer(int Status, long? Offset = null, string? Code = null);

/// <summary>One request on the session, as it was sent, with what was certain at that moment.</summary>
internal sealed class UploadRequest
{
    public required int Number { get; init; }

    public required UploadVerb Verb { get; init; }

    public required string Replica { get; init; }

    /// <summary>Where the client says that its body starts; null when it does not say.</summary>
    public long? Claim { get; init; }

    public bool IsRange { get; init; }

    public byte[] Body { get; init; } = [];

    public Digest? Digest { get; init; }

    /// <summary>Its client breaks the body off: any part of it may count.</summary>
    public bool IsBrokenOff { get; init; }

    /// <summary>Its replica may die or its store fail: it may be answered anything that says so, or not at all.</summary>
    public required Func<bool> MayFail { get; init; }

    public long SentAt { get; set; }

    /// <summary>When its replica was done with it.</summary>
    public long EndedAt { get; set; } = long.MaxValue;

    public long AnsweredAt { get; set; } = long.MaxValue;

    public long FloorAtSend { get; set; }

    public bool WasEndedAtSend { get; set; }

    public bool WasCreatedAtSend { get; set; }

    /// <summary>What must be answered; null when others run at the same time.</summary>
    public UploadAnswer? Expected { get; set; }

    public UploadAnswer? Answer { get; set; }

    public UploadRequest With(long? claim, bool isRange = false, byte[]? body = null, bool isBrokenOff = false) => new()
    {
        Number = Number,
        Verb = Verb,
        Replica = Replica,
        Digest = Digest,
        MayFail = MayFail,
        Claim = claim,
        IsRange = isRange,
        Body = body ?? [],
        IsBrokenOff = isBrokenOff && body is { Length: > 0 },
    };

    public bool MayEnd => Verb is UploadVerb.Put or UploadVerb.Cancel;

    public override string ToString() =>
        $"#{Number} {Replica} {Verb}"
        + (Verb is UploadVerb.Patch or UploadVerb.Put ? $" {(IsRange ? "range" : "at")} {Claim?.ToString() ?? "?"} + {Body.Length}" : "")
        + (IsBrokenOff ? ", broken off" : "")
        + (Digest is { } digest ? $", {digest.ToString()[..15]}" : "");
}

/// <summary>
/// What an upload session may do, by what its clients were told: of one request alone the exact answer, of several at
/// once all that must hold in any order. It knows nothing of how the registry gets there.
/// </summary>
internal sealed class UploadModel
{
    private static readonly HashSet<(UploadVerb Verb, int Status, string? Code)> Allowed =
    [
        (UploadVerb.Patch, 202, null), (UploadVerb.Patch, 404, "BLOB_UPLOAD_UNKNOWN"),
        (UploadVerb.Patch, 409, "BLOB_UPLOAD_INVALID"), (UploadVerb.Patch, 416, "BLOB_UPLOAD_INVALID"),
        (UploadVerb.Put, 201, null), (UploadVerb.Put, 400, "DIGEST_INVALID"), (UploadVerb.Put, 404, "BLOB_UPLOAD_UNKNOWN"),
        (UploadVerb.Put, 409, "BLOB_UPLOAD_INVALID"), (UploadVerb.Put, 416, "BLOB_UPLOAD_INVALID"),
        (UploadVerb.Status, 204, null), (UploadVerb.Status, 404, "BLOB_UPLOAD_UNKNOWN"),
        (UploadVerb.Cancel, 204, null), (UploadVerb.Cancel, 404, "BLOB_UPLOAD_UNKNOWN"),
        (UploadVerb.Cancel, 409, "BLOB_UPLOAD_INVALID"),
        (UploadVerb.Pull, 200, null), (UploadVerb.Pull, 404, "BLOB_UNKNOWN"),
    ];

    private readonly Lock _lock = new();
    private readonly List<UploadRequest> _requests = [];
    private readonly HashSet<Digest> _created = [];
    private long _now;

    /// <summary>Bytes that were acknowledged, or seen on record: there are never fewer.</summary>
    public long Floor { get; private set; }

    /// <summary>Somebody was told that the session is no more.</summary>
    public bool IsEnded { get; private set; }

    public IReadOnlyCollection<Digest> Created => _created;

    /// <summary>Digests that were named in closing requests.</summary>
    public IReadOnlyList<Digest> Named => [.. _requests.Where(r => r.Verb == UploadVerb.Put).Select(r => r.Digest!.Value).Distinct()];

    /// <summary>Somebody has named it and was not told that it was refused.</summary>
    public bool MayBeCreated(Digest digest) => _requests.Exists(r =>
        r.Verb == UploadVerb.Put && r.Digest == digest && r.Answer?.Status is null or 0 or 201 or >= 500);

    /// <summary>Before it is sent. Alone on the session, with what is on record there, its answer is certain.</summary>
    public void Send(UploadRequest request, UploadRecord? alone)
    {
        lock (_lock)
        {
            request.SentAt = ++_now;
            request.FloorAtSend = Floor;
            request.WasEndedAtSend = IsEnded;
            request.WasCreatedAtSend = request.Digest is { } digest && _created.Contains(digest);
            _requests.Add(request);
            request.Expected = alone is null || request.IsBrokenOff ? null : Expect(request, alone);
        }
    }

    public void End(UploadRequest request)
    {
        lock (_lock)
        {
            request.EndedAt = ++_now;
        }
    }

    public void Judge(UploadRequest request, UploadAnswer answer)
    {
        lock (_lock)
        {
            request.Answer = answer;
            request.AnsweredAt = ++_now;
            if (answer.Status is 0 or >= 500)
            {
                Require(
                    request.MayFail() || (answer.Status == 0 && request.IsBrokenOff),
                    request,
                    "nothing has failed");
                return;
            }

            Require(Allowed.Contains((request.Verb, answer.Status, answer.Code)), request, "no such answer");
            if (request.Expected is { } expected)
            {
                Require(
                    answer.Status == expected.Status && (expected.Offset is null || answer.Offset == expected.Offset),
                    request,
                    $"expected {expected}");
            }

            JudgeEnded(request, answer);
            JudgeOffset(request, answer);
        }
    }

    /// <summary>What is certain now, before something is read that may be older when it is looked at.</summary>
    public (long Now, long Floor, bool IsEnded) Mark()
    {
        lock (_lock)
        {
            return (++_now, Floor, IsEnded);
        }
    }

    /// <summary>What is on record: nothing acknowledged is missing, and every byte is some request's.</summary>
    public void Observe(UploadRecord record, (long Now, long Floor, bool IsEnded) before)
    {
        lock (_lock)
        {
            if (record.Session is not { State: not UploadState.Discarding } session)
            {
                Require(_requests.Exists(r => r.MayEnd), null, "the session has gone, and nobody has ended it");
                return;
            }

            Require(!before.IsEnded, null, $"a session that had ended is {session.State} again");
            Require(
                session.Offset >= before.Floor, null, $"{session.Offset} bytes are on record, {before.Floor} were acknowledged");
            if (record.Staged is { } staged)
            {
                var hash = session.Hash is { } state ? ResumableHash.Resume(state) : ResumableHash.Create(session.Algorithm);
                using (hash)
                {
                    Require(
                        hash.Digest() == Digest.Of(staged, session.Algorithm), null, "what is staged is not what was hashed");
                }

                ObserveBytes(staged, before.Now);
            }

            Floor = Math.Max(Floor, session.Offset);
        }
    }

    /// <summary>The bytes that a reader was given for a digest.</summary>
    public void ObserveContent(Digest digest, byte[] content)
    {
        lock (_lock)
        {
            Require(Digest.Of(content, digest.Algorithm) == digest, null, $"{digest} has other bytes");
            Require(
                _requests.Exists(r => r.Verb == UploadVerb.Put && r.Digest == digest && r.FloorAtSend <= content.Length),
                null,
                $"{digest} has {content.Length} bytes, fewer than were acknowledged before anybody named it");
            ObserveBytes(content, long.MaxValue);
        }
    }

    private static void Require(bool holds, UploadRequest? request, string what)
    {
        if (!holds)
        {
            Assert.Fail(request is null ? what : $"{request} was answered {request.Answer}: {what}");
        }
    }

    /// <summary>One request alone: what the protocol says of the session on record.</summary>
    private UploadAnswer? Expect(UploadRequest request, UploadRecord record)
    {
        if (request.Verb == UploadVerb.Pull)
        {
            return null;
        }

        if (record.Session is not { State: not UploadState.Discarding } session)
        {
            return new UploadAnswer(
                request.Verb == UploadVerb.Put && _created.Contains(request.Digest!.Value) ? 201 : 404);
        }

        if (session.State == UploadState.Sealed)
        {
            return request.Verb switch
            {
                UploadVerb.Status => new UploadAnswer(204, session.Offset),
                UploadVerb.Put when request.Digest == session.Digest => new UploadAnswer(201),
                _ => new UploadAnswer(409),
            };
        }

        var (offset, lastStart, staged) = (record.Offset, record.LastStart, record.StagedByAll!);
        if (request.Verb == UploadVerb.Status)
        {
            return new UploadAnswer(204, Math.Max(session.Offset, session.Writer?.Offset ?? 0));
        }

        if (request.Verb == UploadVerb.Cancel)
        {
            return new UploadAnswer(204);
        }

        var appends = request.Verb == UploadVerb.Patch || request.Body.Length > 0 || request.IsRange;
        if (appends)
        {
            var start = request.Claim ?? offset;
            var end = start + request.Body.Length;
            var mayStart = start == offset || (!request.IsRange && start == lastStart);
            if (!mayStart || end < offset)
            {
                return new UploadAnswer(416, offset);
            }

            if (request.Verb == UploadVerb.Patch)
            {
                return new UploadAnswer(202, end);
            }

            staged = [.. staged[..(int)start], .. request.Body];
        }

        return new UploadAnswer(Digest.Of(staged, request.Digest!.Value.Algorithm) == request.Digest ? 201 : 400);
    }

    private void JudgeEnded(UploadRequest request, UploadAnswer answer)
    {
        var ends = answer.Status switch
        {
            200 or 202 => false,
            201 or 400 => true,
            204 => request.Verb == UploadVerb.Cancel,
            404 => request.Verb != UploadVerb.Pull,
            _ => false,
        };
        if (request.Verb == UploadVerb.Pull)
        {
            Require(!request.WasCreatedAtSend || answer.Status == 200, request, "it was created before");
            Require(
                answer.Status != 200 || _requests.Exists(r => r.Verb == UploadVerb.Put && r.Digest == request.Digest),
                request,
                "nobody has named it");
            return;
        }

        if (request.WasEndedAtSend)
        {
            var isRepeated = request.Verb == UploadVerb.Put && (request.WasCreatedAtSend || answer.Status == 201);
            Require(answer.Status == (isRepeated ? 201 : 404), request, "the session had ended");
        }

        if (answer.Status == 404)
        {
            Require(
                _requests.Exists(r => r != request && r.MayEnd && r.Answer?.Status is not (409 or 416)),
                request,
                "nobody has ended the session");
        }

        if (answer.Status == 201)
        {
            _created.Add(request.Digest!.Value);
        }

        IsEnded |= ends;
    }

    private void JudgeOffset(UploadRequest request, UploadAnswer answer)
    {
        if (answer.Offset is not { } offset)
        {
            Require(answer.Status is not (202 or 416) && (request.Verb, answer.Status) is not (UploadVerb.Status, 204), request, "where?");
            return;
        }

        Require(offset >= request.FloorAtSend, request, $"{request.FloorAtSend} bytes had been acknowledged");
        Require(offset <= Ceiling(), request, $"no more than {Ceiling()} bytes were sent");
        if (answer.Status == 202)
        {
            Require(request.Claim is not { } claim || offset == claim + request.Body.Length, request, "that is not its end");
            Require(
                !request.IsRange || request.Claim >= request.FloorAtSend, request, "it began before what was acknowledged");
            if (!IsEnded)
            {
                Floor = Math.Max(Floor, offset);
            }
        }
    }

    private long Ceiling() =>
        _requests.Where(r => r.Claim is not null).Select(r => r.Claim!.Value + r.Body.Length).Append(0).Max()
        + _requests.Where(r => r.Claim is null).Sum(r => r.Body.Length);

    private void ObserveBytes(byte[] bytes, long toldBefore)
    {
        // A chain of bodies, each from where it began to where the next one begins: never a mix.
        var reachable = new bool[bytes.Length + 1];
        reachable[0] = true;
        for (var at = 0; at < bytes.Length; at++)
        {
            if (!reachable[at])
            {
                continue;
            }

            foreach (var request in _requests.Where(r => r.Body.Length > 0 && (r.Claim is null || r.Claim == at)))
            {
                var common = bytes.AsSpan(at).CommonPrefixLength(request.Body);
                var mayCountInPart = request.IsBrokenOff || request.MayFail();
                for (var length = mayCountInPart ? 1 : request.Body.Length; length <= common; length++)
                {
                    reachable[at + length] = true;
                }
            }
        }

        Require(reachable[^1], null, $"these {bytes.Length} bytes are no chain of what was sent");

        // Acknowledged bytes are those of the request that was told so, unless somebody repeats it with others.
        foreach (var told in _requests.Where(r =>
            r is { Verb: UploadVerb.Patch, Answer: { Status: 202, Offset: not null } } && r.AnsweredAt < toldBefore))
        {
            var (end, start) = (told.Answer!.Value.Offset!.Value, told.Answer.Value.Offset!.Value - told.Body.Length);
            var isThere = end <= bytes.Length && bytes.AsSpan((int)start, told.Body.Length).SequenceEqual(told.Body);
            var isReplaced = _requests.Exists(r =>
                r != told && r.Body.Length > 0 && !r.IsRange && r.Claim < end && r.EndedAt > told.SentAt);
            Require(isThere || isReplaced, told, "these are not its bytes");
        }
    }
}

/// <summary>A session on record, with the bytes that it says are staged; null when they have moved on meanwhile.</summary>
/// <param name="Session">Null when there is none.</param>
/// <param name="Staged">As many as are acknowledged.</param>
/// <param name="Offset">What is acknowledged once who is recorded as the writer has ended.</param>
/// <param name="LastStart">Where that began.</param>
internal sealed record UploadRecord(UploadSession? Session, byte[]? Staged, long Offset, long LastStart)
{
    /// <summary>As many as <see cref="Offset"/>.</summary>
    public byte[]? StagedByAll { get; init; }
}
