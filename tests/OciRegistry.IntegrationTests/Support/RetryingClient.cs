using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// Pushes as Jib does (one chunked PATCH without a range, an empty PUT, each request on a connection of its own and to any
/// replica): a request whose connection fails or that is not answered in time is sent again, the same bytes to the same
/// URL; an error status is never retried, but for a 401 to a token, after which the same request goes with a new one.
/// </summary>
internal sealed class RetryingClient(Func<Uri> registry, string repository, TimeSpan? patience = null)
{
    private const int Attempts = 11;
    private const int MostTokens = 5;

    private Uri? _tokens;
    private AuthenticationHeaderValue? _authorization;
    private bool _mounts;

    public RetryingClient(ReplicaSet replicas, string repository, TimeSpan? patience = null)
        : this(() => replicas.Any.Http.BaseAddress!, repository, patience)
    {
    }

    /// <summary>Who it logs in as, when it is asked to.</summary>
    public Account? User { get; init; }

    /// <summary>Where the base image is, in the same registry: what is pushed is mounted from there, if the token says so.</summary>
    public string? BaseRepository { get; init; }

    /// <summary>How long it rests between the parts of a body: a slow link.</summary>
    public TimeSpan Pause { get; init; }

    /// <summary>What happens between the start of an upload and the sending of its body: others come first.</summary>
    public Func<Task> BeforeBody { get; init; } = () => Task.CompletedTask;

    /// <summary>How many requests were sent again.</summary>
    public int Repeated { get; private set; }

    /// <summary>What was answered 401 and sent again with a new token.</summary>
    public List<HttpMethod> Refreshed { get; } = [];

    /// <summary>Asks once, as nobody, what the registry wants to know; its first challenge decides.</summary>
    public async Task LogInAsync()
    {
        using var version = await SendAsync(HttpMethod.Get, "/v2/", null);
        if (version.StatusCode == HttpStatusCode.OK)
        {
            _authorization = User?.Basic;
            return;
        }

        version.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        var challenge = version.Headers.WwwAuthenticate.First();
        if (challenge.Scheme == "Basic")
        {
            _authorization = User!.Basic;
            return;
        }

        challenge.Scheme.ShouldBe("Bearer");
        var (realm, service) = (Parameter("realm"), Parameter("service"));
        var more = BaseRepository is null ? "" : $"&scope=repository:{BaseRepository}:pull";
        _tokens = new Uri($"{realm}?service={service}&scope=repository:{repository}:pull,push{more}");
        await FetchTokenAsync();

        string Parameter(string name) =>
            challenge.Parameter!.Split($"{name}=\"") is [_, var rest] ? rest.Split('"')[0] : throw new FormatException($"{challenge}");
    }

    /// <summary>Whether the token that it has is refused where no upload is going on.</summary>
    public async Task<bool> HasTokenEndedAsync()
    {
        using var http = Connect();
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/{repository}/tags/list");
        request.Headers.Authorization = _authorization;
        using var answer = await http.SendAsync(request);
        return answer.StatusCode == HttpStatusCode.Unauthorized;
    }

    /// <summary>Pushes a blob, or mounts it.</summary>
    /// <param name="parts">The content: what many pushes have in common need not be held more than once.</param>
    public async Task PushAsync(params byte[][] parts)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Array.ForEach(parts, sha256.AppendData);
        var digest = $"sha256:{Convert.ToHexStringLower(sha256.GetHashAndReset())}";
        string location;
        using (var head = await SendAsync(HttpMethod.Head, $"/v2/{repository}/blobs/{digest}", null))
        {
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        var mount = _mounts ? $"?mount={digest}&from={BaseRepository}" : "";
        using (var started = await SendAsync(HttpMethod.Post, $"/v2/{repository}/blobs/uploads/{mount}", []))
        {
            if (_mounts && started.StatusCode == HttpStatusCode.Created)
            {
                return;
            }

            await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = started.Headers.Location!.ToString();
        }

        await BeforeBody();
        using (var patched = await SendAsync(HttpMethod.Patch, location, parts, chunked: true))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        using var closed = await SendAsync(HttpMethod.Put, RegistryClient.WithQuery(location, $"digest={digest}"), []);
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    /// <summary>Whether the manifest is there already: then, with <c>jib.skipExistingImages</c>, it pushes nothing.</summary>
    public async Task<bool> HasManifestAsync(byte[] manifest)
    {
        using var found = await SendAsync(HttpMethod.Get, $"/v2/{repository}/manifests/{Digest.Of(manifest)}", null);
        if (found.StatusCode == HttpStatusCode.OK)
        {
            return true;
        }

        // It goes on for these codes only, and its parser knows no other member beside the errors.
        found.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        var body = JsonNode.Parse(await found.Content.ReadAsStringAsync())!.AsObject();
        body.Select(member => member.Key).ShouldBe(["errors"]);
        ((string)body["errors"]!.AsArray().ShouldHaveSingleItem()!["code"]!).ShouldBeOneOf("MANIFEST_UNKNOWN", "NAME_UNKNOWN");
        return false;
    }

    public async Task PutManifestAsync(string tag, byte[] manifest)
    {
        using var put = await SendAsync(
            HttpMethod.Put, $"/v2/{repository}/manifests/{tag}", [manifest], chunked: true, MediaTypes.ImageManifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, byte[][]? body, bool chunked = false, string? mediaType = null)
    {
        for (var (attempt, tokens) = (1, 1); ;)
        {
            using var http = Connect();
            using var request = new HttpRequestMessage(method, path);
            request.Content = body is null ? null : new Parts(body, Pause, mediaType);
            request.Headers.TransferEncodingChunked = chunked ? true : null;
            request.Headers.Authorization = _authorization;
            try
            {
                var answer = await http.SendAsync(request);
                if (answer.StatusCode != HttpStatusCode.Unauthorized || _tokens is null || tokens++ == MostTokens)
                {
                    return answer;
                }

                answer.Dispose();
                Refreshed.Add(method);
                await FetchTokenAsync();
            }
            catch (Exception e) when (attempt < Attempts && e is HttpRequestException or TaskCanceledException)
            {
                Repeated++;
                await Task.Delay(50 * attempt++);
            }
        }
    }

    private HttpClient Connect()
    {
        var http = registry() is { Scheme: "https" } tls
            ? WireProtocol.Http11OverTls.Client(tls)
            : new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = registry() };
        http.Timeout = patience ?? TimeSpan.FromSeconds(60);
        return http;
    }

    private async Task FetchTokenAsync()
    {
        using var http = Connect();
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(registry(), _tokens!.PathAndQuery));
        request.Headers.Authorization = User?.Basic;
        using var answer = await http.SendAsync(request);
        var token = (string)(await answer.JsonAsync())["token"]!;
        _authorization = new("Bearer", token);
        _mounts = BaseRepository is not null && MayPull(token, BaseRepository);
    }

    // To see whether it may mount, Jib reads the token, and takes base64 for what is base64url: '-' and '_' end the push.
    private static bool MayPull(string token, string repository)
    {
        var payload = token.Split('.')[1];
        var claims = JsonNode.Parse(Convert.FromBase64String(payload.PadRight((payload.Length + 3) / 4 * 4, '=')))!;
        return claims["access"]!.AsArray().Any(
            access => (string)access!["name"]! == repository && access.Texts("actions").Contains("pull"));
    }

    private sealed class Parts : HttpContent
    {
        private readonly byte[][] _parts;
        private readonly TimeSpan _pause;

        public Parts(byte[][] parts, TimeSpan pause, string? mediaType)
        {
            (_parts, _pause) = (parts, pause);
            Headers.ContentType = mediaType is null ? null : new MediaTypeHeaderValue(mediaType);
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            foreach (var part in _parts)
            {
                await stream.WriteAsync(part);
                if (_pause > TimeSpan.Zero)
                {
                    await stream.FlushAsync();
                    await Task.Delay(_pause);
                }
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _parts.Sum(part => (long)part.Length);
            return true;
        }
    }
}
