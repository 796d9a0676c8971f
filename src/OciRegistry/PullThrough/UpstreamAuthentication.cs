using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace OciRegistry.PullThrough;

/// <summary>How this registry shows an upstream who it is: with a token of its token service, or with name and password.</summary>
internal sealed partial class UpstreamAuthentication(
    UpstreamOptions options, UpstreamAccounts accounts, UpstreamExchange exchange, SemaphoreSlim large, TimeProvider time, ILogger log)
{
    private const int MaxAnswer = 64 * 1024;

    /// <summary>"If the lifetime is not specified, it defaults to 60 seconds" (distribution's token specification).</summary>
    private static readonly TimeSpan DefaultLifetime = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan MaxLifetime = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private volatile UpstreamLogin? _login;
    private int _isRefused;

    /// <summary>The login with the account as it is now. With another account begins another login, without the tokens of the one before.</summary>
    /// <param name="refused">The account that was refused, if one was: a credential helper is run for another one.</param>
    /// <param name="cancellationToken">Of the caller.</param>
    /// <exception cref="UpstreamAccountException">The credential helper has failed.</exception>
    public async ValueTask<UpstreamLogin> LoginAsync(UpstreamAccount? refused, CancellationToken cancellationToken)
    {
        var account = await accounts.GetAsync(refused, cancellationToken);
        if (_login is { } current && current.Account == account)
        {
            return current;
        }

        lock (_lock)
        {
            if (_login is not { } login || login.Account != account)
            {
                _login = login = new UpstreamLogin(account, time);
            }

            return login;
        }
    }

    /// <summary>Whether the upstream has refused the account itself, and not only what was asked for.</summary>
    /// <remarks>
    /// A token of the token service says nothing of the account: a registry answers 401 as well where the token lacks a right. There the
    /// token service has refused the account, if anything has.
    /// </remarks>
    public bool IsRefused(UpstreamLogin login, AuthenticationHeaderValue? sent, HttpResponseMessage response)
    {
        var isToken = login.Account.Token is not null;
        if (sent is null || (sent.Scheme != "Basic" && !isToken))
        {
            return false;
        }

        if (response.StatusCode == HttpStatusCode.Unauthorized)
        {
            return !isToken || Offered(UpstreamChallenge.Of(response), "Bearer")?["error"] != "insufficient_scope";
        }

        if ((int)response.StatusCode < 500 && response.StatusCode != HttpStatusCode.TooManyRequests)
        {
            Accepted();
        }

        return false;
    }

    public bool IsAccountRefused => Volatile.Read(ref _isRefused) == 1;

    /// <summary>Logs once that the account is refused, until it is accepted again.</summary>
    public void Refused(string? problem)
    {
        if (Interlocked.Exchange(ref _isRefused, 1) == 0)
        {
            LogRefused(log, options.Prefix, problem);
        }
    }

    private void Accepted()
    {
        if (Volatile.Read(ref _isRefused) == 1 && Interlocked.Exchange(ref _isRefused, 0) == 1)
        {
            LogAccepted(log, options.Prefix);
        }
    }

    /// <summary>What is sent without being asked for it: null when the upstream is to say first what it wants.</summary>
    public static AuthenticationHeaderValue? Known(UpstreamLogin login, string repository) =>
        login.Account.Token is { } token ? new AuthenticationHeaderValue("Bearer", token)
        : login.IsBasic ? Basic(login.Account)
        : login.Tokens.Find(ScopeOf(repository));

    /// <summary>What is sent after a 401, instead of what was rejected by it; null when there is nothing else to send.</summary>
    /// <exception cref="UpstreamRefusedException">The token service is one that may not be asked.</exception>
    /// <exception cref="UpstreamTokenException">It was asked, and has given none.</exception>
    /// <exception cref="HttpRequestException">It has not answered.</exception>
    /// <exception cref="TimeoutException">It has not answered in time.</exception>
    public async ValueTask<AuthenticationHeaderValue?> AnswerAsync(
        HttpResponseMessage unauthorized,
        UpstreamLogin login,
        string repository,
        AuthenticationHeaderValue? rejected,
        CancellationToken cancellationToken)
    {
        var account = login.Account;
        if (account.Token is not null)
        {
            return null;
        }

        var challenges = UpstreamChallenge.Of(unauthorized);
        if (Offered(challenges, "Bearer") is { } bearer && bearer["realm"] is { } realm)
        {
            var url = Trusted(realm);
            var scope = ScopeOf(repository);
            var token = await login.Tokens.GetAsync(
                scope, rejected, () => FetchAsync(account, url, bearer["service"], scope), cancellationToken);
            return token.Header;
        }

        if (Offered(challenges, "Basic") is null || account.Username is null || rejected?.Scheme == "Basic")
        {
            return null;
        }

        login.IsBasic = true;
        return Basic(account);
    }

    private static UpstreamChallenge? Offered(IReadOnlyList<UpstreamChallenge> challenges, string scheme) =>
        challenges.FirstOrDefault(challenge => challenge.Scheme.Equals(scheme, StringComparison.OrdinalIgnoreCase));

    // Never what the challenge names: it could be anything that the account may do.
    private static string ScopeOf(string repository) => $"repository:{repository}:pull";

    private static AuthenticationHeaderValue? Basic(UpstreamAccount account) => account.Username is null
        ? null
        : new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{account.Username}:{account.Password}")));

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

    private async Task<UpstreamTokens.Token> FetchAsync(UpstreamAccount account, Uri realm, string? service, string scope)
    {
        var asked = time.GetUtcNow();
        using var response = await exchange.AskTokenServiceAsync(
            () => account.RefreshToken is { } refresh ? Refresh(realm, service, scope, refresh) : Get(account, realm, service, scope),
            CancellationToken.None);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw new UpstreamTokenException(
                response.StatusCode, response.Headers.RetryAfter, $"The token service '{realm.Authority}' answered {(int)response.StatusCode}.")
            {
                // 400 is invalid_grant (RFC 6749, 5.2). 403 is about the repository.
                IsAccountRefused = !account.IsAnonymous
                    && (response.StatusCode == HttpStatusCode.Unauthorized
                        || (account.RefreshToken is not null && response.StatusCode == HttpStatusCode.BadRequest)),
            };
        }

        var token = Read(await BodyAsync(response), asked)
            ?? throw new UpstreamTokenException(HttpStatusCode.BadGateway, null, $"The token service '{realm.Authority}' answered without a token.");
        if (!account.IsAnonymous)
        {
            Accepted();
        }

        return token;
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

    private static HttpRequestMessage Get(UpstreamAccount account, Uri realm, string? service, string scope)
    {
        var query = Query(("service", service), ("scope", scope), ("account", account.Username));
        var url = new UriBuilder(realm) { Fragment = "", Query = realm.Query.Length > 1 ? $"{realm.Query}&{query}" : query };
        return new HttpRequestMessage(HttpMethod.Get, url.Uri) { Headers = { Authorization = Basic(account) } };
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
                && (Text(json.RootElement, "token") ?? Text(json.RootElement, "access_token")) is { } token && SecretFile.IsToken(token)
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

    [LoggerMessage(
        LogLevel.Warning,
        "The upstream '{Upstream}' refuses this registry's account. Cached content is still served. Renew the credentials. {Problem}")]
    private static partial void LogRefused(ILogger logger, string upstream, string? problem);

    [LoggerMessage(LogLevel.Information, "The upstream '{Upstream}' accepts this registry's account again.")]
    private static partial void LogAccepted(ILogger logger, string upstream);
}

/// <summary>The use of one account: what the upstream wants to see, and the tokens that it was given.</summary>
internal sealed class UpstreamLogin(UpstreamAccount account, TimeProvider time)
{
    private volatile bool _isBasic;

    public UpstreamAccount Account => account;

    public UpstreamTokens Tokens { get; } = new(time);

    /// <summary>Whether name and password are sent with every request.</summary>
    public bool IsBasic
    {
        get => _isBasic;
        set => _isBasic = value;
    }
}

/// <summary>A token service has answered, but with no token.</summary>
internal sealed class UpstreamTokenException(HttpStatusCode status, RetryConditionHeaderValue? retryAfter, string message)
    : Exception(message)
{
    public HttpStatusCode Status => status;

    /// <summary>Whether it has refused the account, and not only the scope.</summary>
    public bool IsAccountRefused { get; init; }

    public RetryConditionHeaderValue? RetryAfter => retryAfter;
}
