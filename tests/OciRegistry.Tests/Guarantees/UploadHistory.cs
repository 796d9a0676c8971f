using System.Collections.Concurrent;
using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// A random history of one upload session: requests of every kind on every replica, several at once, some held or broken
/// off, replicas that die in between. What is sent goes by the seed; what has been answered meanwhile is a race.
/// </summary>
internal sealed class UploadHistory(Replicas replicas, ReplicaStorage storage, int seed, bool mayCrash, bool mayFail)
{
    private const int MostAtOnce = 5;

    private readonly Random _random = new(seed);
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly ConcurrentQueue<string> _trace = [];
    private readonly List<(UploadRequest Request, Task Running, TaskCompletionSource Hold)> _running = [];
    private byte[] _content = [];
    private UploadModel _model = new();
    private string _session = "";
    private UploadRequest? _lastWithBody;
    private long _known;
    private int _number;

    public string Trace => string.Join(Environment.NewLine, _trace);

    /// <summary>How often a request had to be answered in exactly one way.</summary>
    public int Certain { get; private set; }

    public async Task RunAsync()
    {
        var algorithm = _random.Next(8) == 0 ? DigestAlgorithm.Sha512 : DigestAlgorithm.Sha256;
        _content = RandomBytes(_random, _random.Next(1, 12_000));
        _model = new UploadModel();
        await replicas.ReviveAsync();
        _session = await StartAsync(algorithm);
        var steps = _random.Next(4, 16);
        for (var step = 0; step < steps; step++)
        {
            await replicas.ReviveAsync();
            await StepAsync(new Random(_random.Next()));
            await ObserveAsync();
        }

        await EverythingEndedAsync();
        await ObserveAsync();
        await FinishAsync();
        await AssertReadableAsync();
    }

    private async Task<string> StartAsync(DigestAlgorithm algorithm)
    {
        var query = $"?digest-algorithm={algorithm.Name()}";
        while (true)
        {
            var replica = replicas.Any(_random);
            using var response = await replica.Registry.Http.StartUploadAsync(_repository, query);
            if (response.StatusCode == HttpStatusCode.Accepted)
            {
                return response.Headers.Location!.ToString().Split('?')[0];
            }

            (mayFail || replica.IsDoomed).ShouldBeTrue(response.StatusCode.ToString());
            await replicas.ReviveAsync();
        }
    }

    /// <summary>One step draws from a source of its own, so that what it finds does not change what comes after it.</summary>
    private async Task StepAsync(Random random)
    {
        if (mayCrash && random.Next(12) == 0)
        {
            _trace.Enqueue($"{replicas.Any(random).DieIn(random.Next(1, 20))} is about to die");
        }

        var waits = random.Next(10);
        if (_running.Count >= MostAtOnce || waits == 0)
        {
            await EverythingEndedAsync();
        }

        var isHeld = random.Next(6) == 0;
        var request = NewRequest(random, replicas.Any(random));
        var sent = await SendAsync(request, isHeld && request.Body.Length > 0, isAlone: waits >= 5);
        if (waits >= 5)
        {
            sent.Hold.TrySetResult();
            await sent.Running;
        }
        else if (waits >= 3 && _running.Count > 0)
        {
            _running[random.Next(_running.Count)].Hold.TrySetResult();
        }
    }

    private UploadRequest NewRequest(Random random, Replica replica)
    {
        var kind = random.Next(100);
        var isForeign = random.Next(7) == 0;
        var isBrokenOff = random.Next(6) == 0;
        var length = random.Next(4) switch { 0 => random.Next(3), 1 => _content.Length, _ => random.Next(_content.Length + 1) };
        var where = random.Next(100);
        var digest = DigestOf(random);
        var verb = kind switch
        {
            < 55 => UploadVerb.Patch,
            < 70 => UploadVerb.Put,
            < 85 => UploadVerb.Status,
            < 97 => UploadVerb.Pull,
            _ => UploadVerb.Cancel,
        };
        var takesBody = verb == UploadVerb.Patch || (verb == UploadVerb.Put && random.Next(3) == 0);
        var request = new UploadRequest
        {
            Number = ++_number,
            Verb = verb,
            Replica = replica.Name,
            Digest = verb is UploadVerb.Put or UploadVerb.Pull ? digest : null,
            MayFail = () => mayFail || replica.IsDoomed,
        };
        if (!takesBody)
        {
            return verb == UploadVerb.Put ? request.With(_known) : request;
        }

        if (where < 25 && _lastWithBody is { } last)
        {
            return request.With(last.Claim, last.IsRange, last.Body, isBrokenOff);
        }

        (long? claim, var isRange) = where switch
        {
            < 60 => (_known, false),
            < 70 => ((long?)null, false),
            < 88 => (_known, true),
            < 94 => (random.Next(_content.Length + 1), true),
            _ => (random.Next(_content.Length + 1), false),
        };
        var start = (int)Math.Min(claim ?? _known, _content.Length);
        var body = isForeign
            ? RandomBytes(random, length)
            : _content[start..Math.Min(start + length, _content.Length)];
        return request.With(claim, isRange && body.Length > 0, body, isBrokenOff);
    }

    /// <summary>Of what was sent so far, of all there is to send, or of something else.</summary>
    private Digest DigestOf(Random random)
    {
        var algorithm = random.Next(8) == 0 ? DigestAlgorithm.Sha512 : DigestAlgorithm.Sha256;
        var known = (int)Math.Min(_known, _content.Length);
        return Digest.Of(
            random.Next(10) switch
            {
                < 5 => _content.AsSpan(0, known),
                < 9 => _content,
                _ => RandomBytes(random, 10),
            },
            algorithm);
    }

    private static byte[] RandomBytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private async Task<(UploadRequest Request, Task Running, TaskCompletionSource Hold)> SendAsync(
        UploadRequest request, bool isHeld, bool isAlone)
    {
        _running.RemoveAll(other => other.Running.IsCompletedSuccessfully);
        var record = isAlone && _running.Count == 0 ? await storage.ReadAsync(_session) : null;
        if (record is { Session.Writer: not null } && !replicas.HaveLocks)
        {
            record = null; // whoever wrote has died, or was told that its store failed: nobody knows without a lock
        }

        _model.Send(request, record);
        Certain += request.Expected is null ? 0 : 1;
        _trace.Enqueue($"{request}{(isHeld ? ", held" : "")}");
        if (request.Body.Length > 0)
        {
            _lastWithBody = request;
        }

        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!isHeld)
        {
            hold.SetResult();
        }

        var sent = (request, RunAsync(request, replicas.Named(request.Replica), hold.Task), hold);
        _running.Add(sent);
        return sent;
    }

    private async Task RunAsync(UploadRequest request, Replica replica, Task hold)
    {
        var id = $"{seed}/{request.Number}/{Guid.NewGuid():n}";
        var answer = await AnswerAsync(request, replica, id, hold);
        await replica.Log.EndedAsync(id).WaitAsync(Until.Patience);
        _model.End(request);
        _trace.Enqueue($"    #{request.Number}: {(answer.Status == 0 ? "no answer" : $"{answer.Status} {answer.Offset} {answer.Code}")}");
        _model.Judge(request, answer);
        _known = answer.Offset ?? _known;
    }

    private async Task<UploadAnswer> AnswerAsync(UploadRequest request, Replica replica, string id, Task hold)
    {
        using var message = new HttpRequestMessage(Method(request.Verb), Address(request));
        message.Headers.Add(RequestLog.Header, id);
        if (request.Verb is UploadVerb.Patch or UploadVerb.Put)
        {
            message.Content = new HeldContent(request, replica.Log.BegunAsync(id), hold);
            if (request.IsRange)
            {
                message.Content.Headers.TryAddWithoutValidation(
                    "Content-Range", $"{request.Claim}-{request.Claim + request.Body.Length - 1}");
            }
        }

        try
        {
            using var response = await replica.Registry.Http.SendAsync(message);
            if (request.Verb == UploadVerb.Pull && response.StatusCode == HttpStatusCode.OK)
            {
                _model.ObserveContent(request.Digest!.Value, await response.Content.ReadAsByteArrayAsync());
            }

            return new UploadAnswer(
                (int)response.StatusCode,
                response.Header("Docker-Upload-UUID") is null ? null : RegistryClient.OffsetOf(response),
                (int)response.StatusCode >= 400 ? (await response.ErrorCodesAsync()).Single() : null);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return default;
        }
    }

    private string Address(UploadRequest request) => request.Verb switch
    {
        UploadVerb.Pull => $"/v2/{_repository}/blobs/{request.Digest}",
        UploadVerb.Put => RegistryClient.WithQuery(At(request), $"digest={request.Digest}"),
        _ => At(request),
    };

    private string At(UploadRequest request) =>
        request is { IsRange: false, Claim: { } claim } ? $"{_session}?offset={claim}" : _session;

    private static HttpMethod Method(UploadVerb verb) => verb switch
    {
        UploadVerb.Patch => HttpMethod.Patch,
        UploadVerb.Put => HttpMethod.Put,
        UploadVerb.Cancel => HttpMethod.Delete,
        _ => HttpMethod.Get,
    };

    private async Task EverythingEndedAsync()
    {
        _running.ForEach(sent => sent.Hold.TrySetResult());
        await Task.WhenAll(_running.Select(sent => sent.Running));
        _running.Clear();
        await replicas.AssertNoLockIsHeldAsync();
    }

    private async Task ObserveAsync()
    {
        var before = _model.Mark();
        _model.Observe(await storage.ReadAsync(_session), before);
    }

    /// <summary>Whatever has happened, a client that asks where the session stands can complete it.</summary>
    private async Task FinishAsync()
    {
        for (var attempt = 1; !_model.IsEnded; attempt++)
        {
            attempt.ShouldBeLessThan(100, "the session cannot be completed");
            await replicas.ReviveAsync();
            var record = await storage.ReadAsync(_session);
            if (record.Session?.Writer is { } writer && !replicas.HaveLocks)
            {
                // Its process is dead, and nobody can tell without a lock: repeating its request replaces it.
                var from = (int)Math.Min(writer.Start, _content.Length);
                await SendAndWaitAsync(UploadVerb.Patch, null, writer.Start, _content[from..]);
                continue;
            }

            await SendAndWaitAsync(UploadVerb.Status, null, null, []);
            await ObserveAsync();
            var digest = record.Session?.Digest ?? Digest.Of(record.StagedByAll ?? []);
            await SendAndWaitAsync(UploadVerb.Put, digest, record.Offset, []);
        }
    }

    private async Task SendAndWaitAsync(UploadVerb verb, Digest? digest, long? claim, byte[] body)
    {
        var replica = replicas.Any(_random);
        var request = new UploadRequest
        {
            Number = ++_number,
            Verb = verb,
            Replica = replica.Name,
            Digest = digest,
            MayFail = () => mayFail || replica.IsDoomed,
        }.With(claim, isRange: false, body);
        await (await SendAsync(request, isHeld: false, isAlone: true)).Running;
        await EverythingEndedAsync();
    }

    /// <summary>What was created can be read everywhere, and nothing else that was named but what may have been.</summary>
    private async Task AssertReadableAsync()
    {
        await replicas.ReviveAsync();
        foreach (var digest in _model.Named)
        {
            foreach (var replica in replicas.All.ToArray())
            {
                var content = await PullAsync(replica.Name, digest);
                (content is not null).ShouldBe(
                    _model.Created.Contains(digest) || (content is not null && _model.MayBeCreated(digest)));
                if (content is not null)
                {
                    _model.ObserveContent(digest, content);
                }
            }
        }
    }

    /// <summary>Null when the replica says that there is no such blob; asked again while it cannot say.</summary>
    private async Task<byte[]?> PullAsync(string name, Digest digest)
    {
        while (true)
        {
            await replicas.ReviveAsync();
            var replica = replicas.Named(name);
            try
            {
                using var pulled = await replica.Registry.Http.GetBlobAsync(_repository, digest);
                if (pulled.StatusCode is HttpStatusCode.OK or HttpStatusCode.NotFound)
                {
                    return pulled.StatusCode == HttpStatusCode.OK ? await pulled.Content.ReadAsByteArrayAsync() : null;
                }

                (mayFail || replica.IsDoomed).ShouldBeTrue(pulled.StatusCode.ToString());
            }
            catch (HttpRequestException) when (mayFail || replica.IsDoomed)
            {
                // Cut off in the middle.
            }
        }
    }

    /// <summary>A body of which a part is sent before the rest is held, and perhaps never comes.</summary>
    private sealed class HeldContent(UploadRequest request, Task begun, Task hold) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var half = request.Body.Length / 2;
            await stream.WriteAsync(request.Body.AsMemory(0, half));
            await stream.FlushAsync();
            await hold;
            if (request.IsBrokenOff)
            {
                await begun.WaitAsync(Until.Patience);
                throw new IOException("The client of this test breaks off.");
            }

            await stream.WriteAsync(request.Body.AsMemory(half));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = request.Body.Length;
            return request.Number % 2 == 0 || length == 0 || request.IsRange;
        }
    }
}
