using System.Net;

namespace OciRegistry.Conformance.Http;

/// <summary>The registry under test: sends requests, and keeps what every answer has to obey.</summary>
internal sealed class Registry : IDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // Everything that would hide what the registry said is off: redirects, decompression, cookies, proxies.
    private readonly HttpClient _http = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        UseProxy = false,
        ConnectTimeout = TimeSpan.FromSeconds(5),
        Expect100ContinueTimeout = TimeSpan.FromSeconds(5),
    })
    {
        Timeout = Patience,
    };

    private readonly Credentials _credentials;

    public Registry(Options options)
    {
        Url = new Uri(options.Url.GetLeftPart(UriPartial.Authority));
        _credentials = new Credentials(_http, Url, options.Username, options.Password);
    }

    public Uri Url { get; }

    /// <summary>What was wrong with answers whatever the request was; the last area reports it.</summary>
    public AnswerRules Rules { get; } = new();

    public Request Request(string method, string path) => new(this, method, new Uri(Url, path));

    public Request Request(string method, Uri uri) => new(this, method, uri);

    /// <summary>A request whose target goes over the wire as it stands here, dots and slashes included.</summary>
    public Request RawRequest(string method, string target) => new(this, method, Url, target);

    public async Task<Answer> SendAsync(Request request)
    {
        var answer = await TransmitAsync(request);
        for (var i = 0; i < Credentials.MostChallenges && answer.Status == 401 && await _credentials.LearnAsync(answer); i++)
        {
            answer = await TransmitAsync(request);
        }

        Rules.Observe(answer);
        return answer;
    }

    public string? AuthorizationFor(Request request) => _credentials.For(request);

    public void Dispose() => _http.Dispose();

    private async Task<Answer> TransmitAsync(Request request)
    {
        try
        {
            return request.RawTarget is null ? await TransmitByClientAsync(request) : await TransmitRawAsync(request);
        }
        catch (OperationCanceledException cancelled)
        {
            throw new CheckFailedException($"an answer to {request} within {Patience.TotalSeconds} s", null, cancelled);
        }
        catch (Exception broken) when (broken is HttpRequestException or IOException)
        {
            var cause = broken.InnerException?.Message ?? broken.Message;
            throw new CheckFailedException($"a whole HTTP answer to {request} (got: {cause})", null, broken);
        }
    }

    private async Task<Answer> TransmitByClientAsync(Request request)
    {
        using var message = new HttpRequestMessage(new HttpMethod(request.Method), request.Uri);
        if (request.Content is { } bytes)
        {
            message.Content = new ByteArrayContent(bytes);
            message.Headers.TransferEncodingChunked = request.IsStreamed;
        }

        message.Headers.ExpectContinue = request.ExpectsContinue ? true : null;
        foreach (var (name, value) in request.Headers)
        {
            if (!message.Headers.TryAddWithoutValidation(name, value))
            {
                message.Content ??= new ByteArrayContent([]);
                message.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }

        if (request.Authorization is { } authorization)
        {
            message.Headers.TryAddWithoutValidation("Authorization", authorization);
        }

        using var response = await _http.SendAsync(message);
        var headers = response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated)
            .SelectMany(header => header.Value.Select(value => (header.Key, value)))
            .ToList();
        return new Answer(request, (int)response.StatusCode, headers, await response.Content.ReadAsByteArrayAsync());
    }

    private static async Task<Answer> TransmitRawAsync(Request request)
    {
        await using var connection = await RawConnection.OpenAsync(request.Uri);
        await connection.WriteHeadAsync(request);
        await connection.WriteBodyAsync(request);
        return await connection.ReadAnswerAsync(request);
    }
}
