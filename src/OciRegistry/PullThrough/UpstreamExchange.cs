using System.Net;
using System.Net.Http.Headers;

namespace OciRegistry.PullThrough;

/// <summary>One request to an upstream, and those that it is redirected to, up to the head of the answer.</summary>
/// <remarks>
///   (1) the credentials go with it as long as it has never left the upstream's own scheme, host and port
///   (2) each head has a time of its own; the body that is handed out has one for each read
///   (3) a redirect is followed to http and https only, never from https to http, and five times at most
/// </remarks>
internal sealed class UpstreamExchange : IDisposable
{
    private const int MaxRedirects = 5;
    private static readonly ProductInfoHeaderValue Agent = new("oci-registry", RegistryMetrics.Version);

    private readonly UpstreamOptions _options;
    private readonly TimeProvider _time;
    private readonly UpstreamProxy _proxy;
    private readonly HttpMessageInvoker _upstream;
    private readonly HttpMessageInvoker _others;

    public UpstreamExchange(UpstreamOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        _proxy = new UpstreamProxy(options);
        _upstream = UpstreamConnections.ToUpstream(options, _proxy);
        _others = UpstreamConnections.ToOthers(options, _proxy);
        Origin = new Uri(options.Url);
    }

    public Uri Origin { get; }

    public bool IsOwn(Uri url) => url.Scheme == Origin.Scheme && url.IdnHost == Origin.IdnHost && url.Port == Origin.Port;

    /// <returns>The head that is no redirect, and whether it is the upstream's own.</returns>
    /// <exception cref="UpstreamRefusedException">It leads to where we do not go.</exception>
    /// <exception cref="HttpRequestException">There is no answer, or none that can be read.</exception>
    /// <exception cref="TimeoutException">There is none in time.</exception>
    public async ValueTask<(HttpResponseMessage Response, bool IsOwn)> SendAsync(
        HttpMethod method,
        Uri url,
        AuthenticationHeaderValue? authorization,
        Action<HttpRequestMessage>? prepare,
        CancellationToken cancellationToken)
    {
        var isOwn = true;
        for (var redirects = 0; ; redirects++)
        {
            isOwn &= IsOwn(url); // (1)
            var response = await SendAsync(method, url, isOwn ? authorization : null, prepare, isOwn, cancellationToken);
            if (response.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect))
            {
                return (response, isOwn);
            }

            using (response)
            {
                url = redirects < MaxRedirects
                    ? Target(url, response)
                    : throw Refused($"redirects more than {MaxRedirects} times");
            }
        }
    }

    /// <summary>A request to its token service, which is not redirected.</summary>
    public async ValueTask<HttpResponseMessage> AskTokenServiceAsync(Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        using var asked = request();
        return await SendAsync(asked, IsOwn(asked.RequestUri!), cancellationToken);
    }

    public void Dispose()
    {
        _upstream.Dispose();
        _others.Dispose();
        _proxy.Dispose();
    }

    private async ValueTask<HttpResponseMessage> SendAsync(
        HttpMethod method,
        Uri url,
        AuthenticationHeaderValue? authorization,
        Action<HttpRequestMessage>? prepare,
        bool isOwn,
        CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, url);
        prepare?.Invoke(request);
        request.Headers.Authorization = authorization;
        return await SendAsync(request, isOwn, cancellationToken);
    }

    private async ValueTask<HttpResponseMessage> SendAsync(HttpRequestMessage request, bool isOwn, CancellationToken cancellationToken)
    {
        request.Headers.UserAgent.Add(Agent);
        request.Headers.AcceptEncoding.Clear();
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        using var tooSlow = new CancellationTokenSource(_options.Timeout, _time); // (2)
        using var either = CancellationTokenSource.CreateLinkedTokenSource(tooSlow.Token, cancellationToken);
        try
        {
            await _proxy.CheckAsync(request.RequestUri!, either.Token);
            var response = await (isOwn ? _upstream : _others).SendAsync(request, either.Token);
            UpstreamBody.Time(response, _options.Timeout, _time);
            return response;
        }
        catch (OperationCanceledException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new TimeoutException($"no answer within {_options.Timeout.TotalSeconds} s", e);
        }
    }

    // (3)
    private Uri Target(Uri from, HttpResponseMessage response)
    {
        var location = response.Headers.Location ?? throw Refused("redirects, and does not say where to");
        return !Uri.TryCreate(from, location, out var to) ? throw Refused("redirects to what is no address")
            : to.Scheme is not ("http" or "https") ? throw Refused("redirects to what is neither http nor https")
            : to.Scheme == "http" && from.Scheme == "https" ? throw Refused($"redirects from https to http, to '{to.Authority}'")
            : to;
    }

    private UpstreamRefusedException Refused(string what) => new($"The upstream '{_options.Prefix}' {what}, which is not followed.");
}
