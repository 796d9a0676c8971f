using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace OciRegistry.PullThrough;

/// <summary>How this registry shows an upstream who it is: with a token of its token service, or with name and password.</summary>
internal sealed class UpstreamAuthentication(
    UpstreamOptions options, UpstreamExchange exchange, SemaphoreSlim large, TimeProvider time)
{
    private const int MaxAnswer = 64 * 1024;

    /// <summary>"If the lifetime is not specified, it defaults to 60 seconds" (distribution's token specification).</summary>
    private static readonly TimeSpan DefaultLifetime = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan MaxLifetime = TimeSpan.FromHours(1);

    private readonly UpstreamTokens _tokens = new(time);
    private volatile bool _isBasic;

    /// <summary>What is sent without being asked for it: null when the upstream is to say first what it wants.</summary>
    public AuthenticationHeaderValue? Known(string repository) =>
        options.Token is { } token ? new AuthenticationHeaderValue("Bearer", token)
        : _isBasic ? Basic()
        : _tokens.Find(ScopeOf(repository));

    /// <summary>What is sent after a 401, instead of what was rejected by it; null when there is nothing else to send.</summary>
    /// <exception cref="UpstreamRefusedException">The token service is one that may not be asked.</exception>
    /// <exception cref="UpstreamTokenException">It was asked, and has given none.</exception>
    /// <exception cref="HttpRequestException">It has not answered.</exception>
    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public async ValueTask<AuthenticationHeaderValue?> AnswerAsync(
        HttpResponseMessage unauthorized, string repository, AuthenticationHeaderValue? rejected, CancellationToken cancellationToken)
    {
        if (options.Token is not null)
        {
            return null;
        }

        var challenges = UpstreamChallenge.Of(unauthorized);
        if (Offered(challenges, "Bearer") is { } bearer && bearer["realm"] is { } realm)
        {
            var url = Trusted(realm);
            var scope = ScopeOf(repository);
            var token = await _tokens.GetAsync(scope, rejected, () => FetchAsync(url, bearer["service"], scope), cancellationToken);
            return token.Header;
        }

        if (Offered(challenges, "Basic") is null || options.Username is null || rejected?.Scheme == "Basic")
        {
            return null;
        }

        _isBasic = true;
        return Basic();
    }

    private static UpstreamChallenge? Offered(IReadOnlyList<UpstreamChallenge> challenges, string scheme) =>
        challenges.FirstOrDefault(challenge => challenge.Scheme.Equals(scheme, StringComparison.OrdinalIgnoreCase));

    // Never what the challenge names: it could be anything that the account may do.
    private static string ScopeOf(string repository) => $"repository:{repository}:pull";

    private static bool IsToken(string text) => text.Length > 0 && text.All(c => c is > ' ' and <= '~');

    private AuthenticationHeaderValue? Basic() => options.Username is null
        ? null
        : new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{options.Username}:{options.Password}")));

    /// <summary>Whoever controls the answer controls the realm, and could have the credentials sent, or anything be asked, anywhere.</summary>
    private Uri Trusted(string realm)
    {
        if (!Uri.TryCreate(realm, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
        {
            throw new UpstreamRefusedException($"The upstream '{options.Prefix}' names a token service that is no http address.");
        }

        if (!exchange.IsOwn(url) && !options.AllTrustedRealms().Any(host => IsHostOf(host, url)))
        {
            throw new UpstreamRefusedException(
                $"The upstream '{options.Prefix}' wants a token of '{url.Authority}', which is not asked for one. If it is meant, "
                + $"add it to PullThrough:Upstreams:<n>:TrustedRealms of '{options.Prefix}'.");
        }

        return url.Scheme == "https" || exchange.Origin.Scheme == "http"
            ? url
            : throw new UpstreamRefusedException(
                $"The upstream '{options.Prefix}' wants a token of '{url.Authority}' over http, which everybody can read. "
                + $"Its token service in PullThrough:Upstreams:<n>:TrustedRealms must have https.");
    }

    private static bool IsHostOf(string trusted, Uri url) =>
        Uri.TryCreate($"https://{trusted}", UriKind.Absolute, out var host) && host.IdnHost == url.IdnHost && host.Port == url.Port;

    private async Task<UpstreamTokens.Token> FetchAsync(Uri realm, string? service, string scope)
    {
        var asked = time.GetUtcNow();
        using var response = await exchange.AskTokenServiceAsync(
            () => options.RefreshToken is { } refresh ? Refresh(realm, service, scope, refresh) : Get(realm, service, scope),
            CancellationToken.None);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw new UpstreamTokenException(
                response.StatusCode, response.Headers.RetryAfter, $"The token service '{realm.Authority}' answered {(int)response.StatusCode}.");
        }

        return Read(await BodyAsync(response), asked)
            ?? throw new UpstreamTokenException(HttpStatusCode.BadGateway, null, $"The token service '{realm.Authority}' answered without a token.");
    }

    // All who need the token wait for it: it may not come byte by byte.
    private async Task<byte[]?> BodyAsync(HttpResponseMessage response)
    {
        using var tooSlow = new CancellationTokenSource(options.Timeout, time);
        try
        {
            return await UpstreamBody.ReadBoundedAsync(response, MaxAnswer, large, tooSlow.Token);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private HttpRequestMessage Get(Uri realm, string? service, string scope)
    {
        var query = Query(("service", service), ("scope", scope), ("account", options.Username));
        var url = new UriBuilder(realm) { Fragment = "", Query = realm.Query.Length > 1 ? $"{realm.Query}&{query}" : query };
        return new HttpRequestMessage(HttpMethod.Get, url.Uri) { Headers = { Authorization = Basic() } };
    }

    private static HttpRequestMessage Refresh(Uri realm, string? service, string scope, string refreshToken) =>
        new(HttpMethod.Post, realm)
        {
            Content = new StringContent(
                Query(
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("scope", scope),
                    ("client_id", "oci-registry"),
                    ("refresh_token", refreshToken)),
                new MediaTypeHeaderValue("application/x-www-form-urlencoded")),
        };

    private static string Query(params (string Name, string? Value)[] parameters) =>
        string.Join('&', parameters.Where(parameter => parameter.Value is not null)
            .Select(parameter => $"{parameter.Name}={Uri.EscapeDataString(parameter.Value!)}"));

    private static UpstreamTokens.Token? Read(byte[]? answer, DateTimeOffset asked)
    {
        try
        {
            using var json = JsonDocument.Parse(answer ?? []);
            return json.RootElement.ValueKind == JsonValueKind.Object
                && (Text(json.RootElement, "token") ?? Text(json.RootElement, "access_token")) is { } token && IsToken(token)
                ? new UpstreamTokens.Token(new AuthenticationHeaderValue("Bearer", token), asked + (Lifetime(json.RootElement) * 0.9))
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement answer, string name) =>
        answer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static TimeSpan Lifetime(JsonElement answer) =>
        !answer.TryGetProperty("expires_in", out var value) || value.ValueKind != JsonValueKind.Number ? DefaultLifetime
        : TimeSpan.FromSeconds(Math.Clamp(value.GetDouble(), 0, MaxLifetime.TotalSeconds));
}

/// <summary>A token service has answered, but with no token.</summary>
internal sealed class UpstreamTokenException(HttpStatusCode status, RetryConditionHeaderValue? retryAfter, string message)
    : Exception(message)
{
    public HttpStatusCode Status => status;

    public RetryConditionHeaderValue? RetryAfter => retryAfter;
}
