using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;
using Microsoft.Extensions.Logging;

namespace OciRegistry.PullThrough;

/// <summary>Asks one upstream, and says what its answers mean. Whatever it does, the answer is a value.</summary>
internal sealed class UpstreamClient : IDisposable
{
    private static readonly TimeSpan DefaultRetryAfter = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ShortestRetryAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestRetryAfter = TimeSpan.FromHours(1);

    private readonly UpstreamOptions _options;
    private readonly TimeProvider _time;
    private readonly UpstreamExchange _exchange;
    private readonly UpstreamAuthentication _authentication;
    private readonly UpstreamBreaker _breaker;
    private readonly SemaphoreSlim _large = new(UpstreamBody.MostLarge);
    private readonly UpstreamAccounts _accounts;
    private readonly string _path;
    private readonly long[] _requests = new long[OutcomeNames.Count];
    private long _rateLimit = -1;
    private long _rateLimitRemaining = -1;

    /// <param name="options">Of the upstream.</param>
    /// <param name="time">For time-outs.</param>
    /// <param name="log">For changes of its state.</param>
    /// <param name="current">Its options as they are now, for the account; null for options that never change.</param>
    public UpstreamClient(UpstreamOptions options, TimeProvider time, ILogger log, Func<UpstreamOptions>? current = null)
    {
        (_options, _time) = (options, time);
        _exchange = new UpstreamExchange(options, time);
        _accounts = new UpstreamAccounts(options, current ?? (() => options), time);
        _authentication = new UpstreamAuthentication(options, _accounts, _exchange, _large, time, log);
        _breaker = new UpstreamBreaker(options.Prefix, time, log);
        _path = options.PathOfNames;
    }

    /// <summary>What the metrics call the outcomes of requests: those of <see cref="UpstreamOutcome"/> in their order, and a refused account.</summary>
    public static IReadOnlyList<string> OutcomeNames { get; } = ["found", "unknown", "denied", "limited", "failed", "refused"];

    public UpstreamHealth Health => _breaker.Health;

    /// <summary>Requests that were sent, by the index of their outcome in <see cref="OutcomeNames"/>.</summary>
    public long Requests(int outcome) => Interlocked.Read(ref _requests[outcome]);

    /// <summary>Reads the file with the account's secret once more; its path when it has changed. One caller at a time.</summary>
    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public string? RefreshAccount() => _accounts.Refresh();

    /// <summary>Whether it refuses this registry's account, as far as is known.</summary>
    public bool IsAccountRefused => _authentication.IsAccountRefused;

    /// <summary>Large bodies that are being read now.</summary>
    internal int LargeBodies => UpstreamBody.MostLarge - _large.CurrentCount;

    /// <summary>How many pulls it allows in its window; null when it has not told.</summary>
    public long? RateLimit => Interlocked.Read(ref _rateLimit) is >= 0 and var limit ? limit : null;

    /// <summary>How many of them are left; null when it has not told.</summary>
    public long? RateLimitRemaining => Interlocked.Read(ref _rateLimitRemaining) is >= 0 and var remaining ? remaining : null;

    /// <summary>
    /// Asks for something in a repository, which is named as the upstream does, without the path of its address; the resource is
    /// what stands behind the name, such as <c>manifests/latest</c> or <c>tags/list?n=10</c>. Headers are added anew to each
    /// request that it takes. The head has been read when this returns, and the body can be.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller has cancelled; for nothing else.</exception>
    public ValueTask<UpstreamAnswer> SendAsync(
        HttpMethod method,
        string repository,
        string resource,
        Action<HttpRequestMessage>? prepare,
        CancellationToken cancellationToken) =>
        _breaker.SendAsync(
            KindOf(method, resource), cancel => AskAsync(method, _path + repository, resource, prepare, cancel), cancellationToken);

    /// <summary>When something begins for which <see cref="ReadAsync"/> has the upstream's total time.</summary>
    public long Begin() => _time.GetTimestamp();

    /// <summary>
    /// Asks for something that is read into memory, as a whole, within what is left of the upstream's total time: each piece of it in
    /// time would not do, because an upstream can send it byte by byte.
    /// </summary>
    /// <param name="method">GET, or HEAD for the head alone.</param>
    /// <param name="repository">As for <see cref="SendAsync"/>.</param>
    /// <param name="resource">As for <see cref="SendAsync"/>.</param>
    /// <param name="prepare">As for <see cref="SendAsync"/>.</param>
    /// <param name="limit">Bytes that the body may have.</param>
    /// <param name="began">When it began, by <see cref="Begin"/>: pages of one list have the time together.</param>
    /// <param name="cancellationToken">Of the caller.</param>
    /// <returns>The answer, and its body; null when there is none, or one that is too large or breaks off.</returns>
    /// <exception cref="OperationCanceledException">The caller has cancelled; for nothing else.</exception>
    public async ValueTask<(UpstreamAnswer Answer, byte[]? Content)> ReadAsync(
        HttpMethod method,
        string repository,
        string resource,
        Action<HttpRequestMessage>? prepare,
        int limit,
        long began,
        CancellationToken cancellationToken)
    {
        var left = _options.TotalTimeout - _time.GetElapsedTime(began);
        if (left <= TimeSpan.Zero)
        {
            return (TooSlow(), null);
        }

        using var tooSlow = new CancellationTokenSource(left, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(tooSlow.Token, cancellationToken);
        UpstreamAnswer? answer = null;
        try
        {
            answer = await SendAsync(method, repository, resource, prepare, either.Token);
            return (answer, answer.Response is null ? null : await UpstreamBody.ReadBoundedAsync(answer.Response, limit, _large, either.Token));
        }
        catch (OperationCanceledException)
        {
            answer?.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            return (TooSlow(), null);
        }
    }

    public void Dispose() => _exchange.Dispose();

    private static UpstreamRequest KindOf(HttpMethod method, string resource) =>
        method == HttpMethod.Head ? UpstreamRequest.Head
        : resource.StartsWith("manifests/", StringComparison.Ordinal) ? UpstreamRequest.Manifest
        : resource.StartsWith("blobs/", StringComparison.Ordinal) ? UpstreamRequest.Blob
        : UpstreamRequest.List;

    private UpstreamAnswer TooSlow() => Down(
        $"The upstream '{_options.Prefix}' has not sent all of its answer within {_options.TotalTimeout.TotalSeconds} s.", isFailure: true);

    private async ValueTask<UpstreamAnswer> AskAsync(
        HttpMethod method, string repository, string resource, Action<HttpRequestMessage>? prepare, CancellationToken cancellationToken)
    {
        var answer = await AskWithAccountAsync(method, repository, resource, prepare, cancellationToken);
        if (answer.IsAccountRefused)
        {
            _authentication.Refused(answer.Problem);
        }

        Interlocked.Increment(ref _requests[answer.IsAccountRefused ? OutcomeNames.Count - 1 : (int)answer.Outcome]);
        return answer;
    }

    private async ValueTask<UpstreamAnswer> AskWithAccountAsync(
        HttpMethod method, string repository, string resource, Action<HttpRequestMessage>? prepare, CancellationToken cancellationToken)
    {
        try
        {
            var login = await _authentication.LoginAsync(null, cancellationToken);
            var answer = await AskAsync(login, method, repository, resource, prepare, cancellationToken);
            if (!answer.IsAccountRefused || !_accounts.IsRenewable)
            {
                return answer;
            }

            var renewed = await _authentication.LoginAsync(login.Account, cancellationToken);
            return renewed.Account == login.Account
                ? answer
                : await AskAsync(renewed, method, repository, resource, prepare, cancellationToken);
        }
        catch (UpstreamAccountException e)
        {
            return new UpstreamAnswer { Outcome = UpstreamOutcome.Down, Problem = e.Message, IsAccountRefused = true };
        }
    }

    private async ValueTask<UpstreamAnswer> AskAsync(
        UpstreamLogin login,
        HttpMethod method,
        string repository,
        string resource,
        Action<HttpRequestMessage>? prepare,
        CancellationToken cancellationToken)
    {
        var url = new Uri(_exchange.Origin, $"/v2/{repository}/{resource}");
        try
        {
            var sent = UpstreamAuthentication.Known(login, repository);
            var (response, isOwn) = await _exchange.SendAsync(method, url, sent, prepare, cancellationToken);

            // Only the upstream itself can ask for credentials, not what it has redirected to.
            if (response.StatusCode == HttpStatusCode.Unauthorized && isOwn)
            {
                using var unauthorized = response;
                if (await _authentication.AnswerAsync(unauthorized, login, repository, sent, cancellationToken) is not { } authorization)
                {
                    return Answer(unauthorized, _authentication.IsRefused(login, sent, unauthorized));
                }

                sent = authorization;
                (response, isOwn) = await _exchange.SendAsync(method, url, sent, prepare, cancellationToken);
            }

            if (isOwn)
            {
                NoteRateLimit(response.Headers);
            }

            return Answer(response, isOwn && _authentication.IsRefused(login, sent, response));
        }
        catch (UpstreamRefusedException e)
        {
            return Down(e.Message, isFailure: false);
        }
        catch (HttpRequestException e)
        {
            return e.InnerException is UpstreamRefusedException refused
                ? Down(refused.Message, isFailure: false)
                : Down($"The upstream '{_options.Prefix}' does not answer: {WhyNot(e)}.", isFailure: true);
        }
        catch (TimeoutException e)
        {
            return Down($"The upstream '{_options.Prefix}' does not answer: {e.Message}.", isFailure: true);
        }
        catch (UpstreamTokenException e)
        {
            return Answer(e.Status, e.RetryAfter, e.Message, e.IsAccountRefused);
        }
    }

    private UpstreamAnswer Answer(HttpResponseMessage response, bool isAccountRefused)
    {
        if (response.IsSuccessStatusCode || response.StatusCode == HttpStatusCode.NotModified)
        {
            if (response.Content.Headers.ContentEncoding.All(encoding => encoding.Equals("identity", StringComparison.OrdinalIgnoreCase)))
            {
                return new UpstreamAnswer { Outcome = UpstreamOutcome.Found, Response = response };
            }

            response.Dispose();
            return Down($"The upstream '{_options.Prefix}' compresses what it was asked for as it is.", isFailure: false);
        }

        using (response)
        {
            return Answer(
                response.StatusCode,
                response.Headers.RetryAfter,
                $"The upstream '{_options.Prefix}' answered {(int)response.StatusCode}.",
                isAccountRefused);
        }
    }

    private UpstreamAnswer Answer(HttpStatusCode status, RetryConditionHeaderValue? retryAfter, string problem, bool isAccountRefused)
    {
        var outcome = status switch
        {
            _ when isAccountRefused => UpstreamOutcome.Denied,
            HttpStatusCode.NotFound or HttpStatusCode.Gone => UpstreamOutcome.Unknown,
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => UpstreamOutcome.Denied,
            HttpStatusCode.TooManyRequests => UpstreamOutcome.Limited,
            _ => UpstreamOutcome.Down,
        };
        return new UpstreamAnswer
        {
            Outcome = outcome,
            Status = (int)status,
            Problem = problem,
            IsAccountRefused = isAccountRefused,
            RetryAfter = outcome == UpstreamOutcome.Limited ? Wait(retryAfter) ?? DefaultRetryAfter
                : status == HttpStatusCode.ServiceUnavailable ? Wait(retryAfter)
                : null,
            IsFailure = (int)status >= 500 && status != HttpStatusCode.NotImplemented,
        };
    }

    private static UpstreamAnswer Down(string problem, bool isFailure) =>
        new() { Outcome = UpstreamOutcome.Down, Problem = problem, IsFailure = isFailure };

    private TimeSpan? Wait(RetryConditionHeaderValue? retryAfter) =>
        (retryAfter?.Delta ?? (retryAfter?.Date - _time.GetUtcNow())) is not { } wait ? null
        : wait > LongestRetryAfter ? LongestRetryAfter
        : wait < ShortestRetryAfter ? ShortestRetryAfter
        : wait;

    // The messages of the library repeat what was received, which may be anything. Those of sockets and TLS do not.
    private static string WhyNot(HttpRequestException e) => e.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => "its name is not known",
        HttpRequestError.ConnectionError => $"no connection ({e.InnerException?.Message ?? "refused"})",
        HttpRequestError.SecureConnectionError when e.InnerException is AuthenticationException tls => $"no TLS ({tls.Message})",
        HttpRequestError.SecureConnectionError => "no TLS",
        HttpRequestError.ProxyTunnelError => "the proxy did not connect to it",
        HttpRequestError.ConfigurationLimitExceeded => "the head of its answer is too large",
        HttpRequestError.ResponseEnded => "it closed the connection",
        _ => "what it sends is no HTTP, or breaks off",
    };

    private void NoteRateLimit(HttpResponseHeaders headers)
    {
        // Docker Hub: "ratelimit-remaining: 76;w=21600"; GitHub and others: "x-ratelimit-remaining: 76".
        Note(ref _rateLimit, headers, "ratelimit-limit", "x-ratelimit-limit");
        Note(ref _rateLimitRemaining, headers, "ratelimit-remaining", "x-ratelimit-remaining");
    }

    private static void Note(ref long value, HttpResponseHeaders headers, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (headers.NonValidated.TryGetValues(name, out var values)
                && long.TryParse(values.ToString().Split(';')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                && number <= int.MaxValue)
            {
                Interlocked.Exchange(ref value, number);
                return;
            }
        }
    }
}
