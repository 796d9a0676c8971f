using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Caching.Memory;

namespace OciRegistry.PullThrough;

/// <summary>
/// The proxy of an upstream's requests: that of its settings, else that of the environment (<c>HTTPS_PROXY</c>, <c>HTTP_PROXY</c>,
/// <c>NO_PROXY</c>).
/// </summary>
/// <remarks>
/// A proxy resolves the name itself, so this cannot check the address that it connects to. It rejects what it can see: a private address
/// in the URL, and a name that has one here. Connections to the proxy itself may be private; requests for the proxy may not.
/// <see cref="SocketsHttpHandler"/> would show a proxy with TLS the upstream's client certificate, and want the upstream's authority of it.
/// So it is told of a proxy without TLS, and what connects adds the TLS of the proxy.
/// </remarks>
internal sealed class UpstreamProxy(UpstreamOptions options) : IWebProxy, ICredentials, IDisposable
{
    /// <summary>A name that only the proxy can resolve is not known here, which a name server may need 10 s to say.</summary>
    private static readonly TimeSpan LongestLookup = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LookupLife = TimeSpan.FromMinutes(1);

    private readonly IWebProxy _proxy = options.Proxy is { } own ? Of(new Uri(own)) : HttpClient.DefaultProxy;
    private readonly MemoryCache _isPrivate = new(new MemoryCacheOptions { SizeLimit = 1_000 });

    public ICredentials? Credentials
    {
        get => this;
        set => throw new NotSupportedException("The proxy's credentials are those of its settings.");
    }

    public NetworkCredential? GetCredential(Uri uri, string authType) =>
        _proxy.Credentials?.GetCredential(Proxies().FirstOrDefault(proxy => IsAt(proxy, new DnsEndPoint(uri.IdnHost, uri.Port))) ?? uri, authType);

    public Uri? GetProxy(Uri destination) =>
        TrueProxy(destination) is { } proxy
            ? proxy.Scheme == Uri.UriSchemeHttps ? new UriBuilder(proxy) { Scheme = Uri.UriSchemeHttp, Port = proxy.Port }.Uri : proxy
            : null;

    public bool IsBypassed(Uri host) => TrueProxy(host) is null;

    /// <summary>Whether a connection to this address is one to a proxy.</summary>
    public bool Is(DnsEndPoint to) => Proxies().Any(proxy => IsAt(proxy, to));

    /// <summary>Whether it is one to a proxy that wants TLS.</summary>
    public bool IsSecure(DnsEndPoint to) => Proxies().Any(proxy => proxy.Scheme == Uri.UriSchemeHttps && IsAt(proxy, to));

    public void Dispose() => _isPrivate.Dispose();

    /// <summary>Checks the address of a request before it is sent.</summary>
    /// <exception cref="UpstreamRefusedException">It is private, or that of the proxy.</exception>
    public async ValueTask CheckAsync(Uri url, CancellationToken cancellationToken)
    {
        var to = new DnsEndPoint(url.IdnHost, url.Port);
        if (UpstreamConnections.MayBePrivate(options, to))
        {
            return;
        }

        if (IsBypassed(url))
        {
            // Connected to without a proxy, and checked then, unless it was taken for the proxy.
            if (Is(to))
            {
                throw new UpstreamRefusedException($"'{to.Host}:{to.Port}' is the proxy, which is not an upstream.");
            }

            return;
        }

        if (!_isPrivate.TryGetValue(to.Host, out bool isPrivate))
        {
            isPrivate = await IsPrivateAsync(to.Host, cancellationToken);
            _isPrivate.Set(to.Host, isPrivate, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = LookupLife });
        }

        if (isPrivate)
        {
            throw UpstreamConnections.Private(options, to);
        }
    }

    private static async Task<bool> IsPrivateAsync(string host, CancellationToken cancellationToken)
    {
        using var tooSlow = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        tooSlow.CancelAfter(LongestLookup);
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(host, tooSlow.Token);
            return addresses.Any(PrivateAddresses.Contain);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ArgumentException) // the last: too long a name
        {
            cancellationToken.ThrowIfCancellationRequested();
            return false; // only the proxy resolves it, if anybody does
        }
    }

    // A registry on this machine is none that the environment's proxy could reach, nor one whose password it should see.
    private Uri? TrueProxy(Uri destination) =>
        _proxy.IsBypassed(destination) || (options.Proxy is null && destination.IsLoopback) ? null : _proxy.GetProxy(destination);

    private static WebProxy Of(Uri url)
    {
        var proxy = new WebProxy(new UriBuilder(url) { UserName = "", Password = "" }.Uri);
        if (url.UserInfo.Split(':', 2) is [var name, var password])
        {
            proxy.Credentials = new NetworkCredential(Uri.UnescapeDataString(name), Uri.UnescapeDataString(password));
        }

        return proxy;
    }

    // The environment has one for each scheme.
    private IEnumerable<Uri> Proxies()
    {
        foreach (var url in new[] { "http://upstream.invalid", "https://upstream.invalid" })
        {
            if (TrueProxy(new Uri(url)) is { } proxy)
            {
                yield return proxy;
            }
        }
    }

    private static bool IsAt(Uri proxy, DnsEndPoint to) =>
        proxy.Port == to.Port && proxy.IdnHost.Equals(to.Host, StringComparison.OrdinalIgnoreCase);
}
