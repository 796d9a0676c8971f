using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>A client that sends each request to a random replica and records it in the history.</summary>
internal sealed class ChaosClient(string name, ChaosReplicas replicas, ChaosHistory history, int seed, bool overHttp2 = false)
{
    private const string NotConnected = "not connected";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ShortPatience = TimeSpan.FromMilliseconds(500);

    public Random Random { get; } = new(seed);

    /// <summary>Requests with a known result, and requests that were interrupted or answered 5xx.</summary>
    public (int Answered, int Lost) Count { get; private set; }

    /// <summary>Sends a request that changes the values of keys.</summary>
    /// <param name="method">GET, PUT and so on.</param>
    /// <param name="path">With the query.</param>
    /// <param name="success">The status that confirms the change.</param>
    /// <param name="body">The body with its media type; null for none.</param>
    /// <param name="writes">The keys with their new values; null deletes.</param>
    public async Task<ChaosAnswer> WriteAsync(
        HttpMethod method,
        string path,
        HttpStatusCode success,
        (byte[] Bytes, string Type)? body,
        params (ChaosKey Key, string? Value)[] writes)
    {
        var replica = Random.Next(replicas.Count);
        var digests = writes.Select(write => write.Value).Where(value => Digest.TryParse(value, out _));
        var call = new ChaosCall(name, replica, string.Join(' ', [$"{method} {path}", .. digests]));
        var start = Stopwatch.GetTimestamp();
        var begun = writes.Select(write => new ChaosWrite(write.Value, start, call)).ToArray();
        for (var i = 0; i < writes.Length; i++)
        {
            history[writes[i].Key].Add(begun[i]);
        }

        var answer = await SendAsync(replica, method, path, body, call, start, Random.Next(20) == 0 ? ShortPatience : Patience);
        var fate = answer.IsUnknown ? Fate.Unknown : answer.Status == success ? Fate.Succeeded : Fate.Rejected;
        foreach (var write in begun)
        {
            write.Process = answer.Process;
            write.End = answer.End;
            write.Fate = fate;
        }

        return answer;
    }

    /// <summary>Sends a request that changes nothing.</summary>
    public Task<ChaosAnswer> ReadAsync(string path, HttpMethod? method = null, int? replica = null)
    {
        var to = replica ?? Random.Next(replicas.Count);
        var call = new ChaosCall(name, to, $"{method ?? HttpMethod.Get} {path}");
        return SendAsync(to, method ?? HttpMethod.Get, path, null, call, Stopwatch.GetTimestamp(), Patience);
    }

    /// <summary>Records the value of a key that a response shows.</summary>
    public void Saw(ChaosKey key, string? value, ChaosAnswer answer) =>
        history[key].Add(new ChaosRead(value, answer.Start, answer.End, answer.Call));

    /// <summary>Records a response that is wrong whatever happened before.</summary>
    public void Violate(string what, ChaosAnswer answer) =>
        history.Violate($"{what}: {answer.Call}\n{(answer.Body.Length > 1_000 ? "" : answer.Text)}");

    private async Task<ChaosAnswer> SendAsync(
        int replica, HttpMethod method, string path, (byte[] Bytes, string Type)? body, ChaosCall call, long start, TimeSpan patience)
    {
        var process = replicas.Process(replica);
        using var limit = new CancellationTokenSource(patience);
        using var request = new HttpRequestMessage(method, path);
        if (body is { } content)
        {
            request.Content = new ByteArrayContent(content.Bytes);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", content.Type);
        }

        if (path.Contains("/manifests/", StringComparison.Ordinal))
        {
            request.Headers.Add("Accept", MediaTypes.ImageManifest);
        }

        ChaosAnswer answer;
        try
        {
            var http = replicas.Client(replica, overHttp2);
            (request.Version, request.VersionPolicy) = (http.DefaultRequestVersion, http.DefaultVersionPolicy);
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var end = Stopwatch.GetTimestamp();
            var bytes = await response.Content.ReadAsByteArrayAsync(limit.Token);
            call.Outcome = $"{(int)response.StatusCode} {response.Header("X-Request-Id")}";
            answer = new ChaosAnswer(call, start, end, response.StatusCode, bytes)
            {
                Location = response.Headers.Location?.ToString(),
                Digest = response.Header("Docker-Content-Digest"),
                Length = response.Content.Headers.ContentLength,
            };
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException or SocketException)
        {
            call.Outcome = e is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } ? NotConnected
                : e is OperationCanceledException ? "timed out"
                : "interrupted";
            answer = new ChaosAnswer(call, start, Stopwatch.GetTimestamp(), null, []);
        }

        // HttpClient repeats a request whose pooled connection was closed. If the process was killed meanwhile, what it did
        // before is unknown, whatever the next one answers, and although there is none to connect to.
        var last = replicas.Process(replica);
        answer.Process = call.Outcome == NotConnected && !last.IsDoomed ? process : last;
        answer.IsUnknown = answer.Status switch
        {
            null => call.Outcome != NotConnected || answer.Process.IsDoomed,
            >= HttpStatusCode.InternalServerError => true,
            >= HttpStatusCode.BadRequest => last != process,
            _ => false,
        };
        if (answer.Status is HttpStatusCode.InternalServerError
            or (>= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError and not HttpStatusCode.NotFound
                and not HttpStatusCode.Conflict and not HttpStatusCode.RequestedRangeNotSatisfiable))
        {
            Violate("unexpected status", answer);
        }

        Count = answer.IsUnknown ? (Count.Answered, Count.Lost + 1) : (Count.Answered + 1, Count.Lost);
        return answer;
    }
}

/// <param name="Call">The request.</param>
/// <param name="Start">Before it was sent.</param>
/// <param name="End">After the status had arrived, or when the client gave up.</param>
/// <param name="Status">Null without a complete response.</param>
/// <param name="Body">The whole body.</param>
internal sealed record ChaosAnswer(ChaosCall Call, long Start, long End, HttpStatusCode? Status, byte[] Body)
{
    public string? Location { get; init; }

    public string? Digest { get; init; }

    public long? Length { get; init; }

    /// <summary>Whether the request may have taken effect, or may yet.</summary>
    public bool IsUnknown { get; set; }

    public ChaosProcess? Process { get; set; }

    public string Text => Encoding.UTF8.GetString(Body);

    public JsonNode Json => JsonNode.Parse(Body)!;
}
