using System.Net;
using System.Net.Sockets;

namespace OciRegistry.PullThrough;

/// <summary>
/// The proxy of an upstream's requests: that of its settings, else that of the environment (<c>HTTPS_PROXY</c>, <c>HTTP_PROXY</c>,
/// <c>NO_PROXY</c>).
/// </summary>
/// <remarks>
/// A proxy resolves the name itself, so this cannot check the address that it connects to. It rejects what it can see: a private address
/// in the URL, and a name that has one here. Connections to the proxy itself may be private; requests for the proxy may not.
/// </remarks>
internal sealed class UpstreamProxy(UpstreamOptions options) : IWebProxy
{
    private readonly IWebProxy _proxy = options.Proxy is { } own ? Of(new Uri(own)) : HttpClient.DefaultProxy;

    public ICredentials? Credentials
    {
        get => _proxy.Credentials;
        set => throw new NotSupportedException("The proxy's credentials are those of its settings.");
    }

    // A registry on this machine is none that the environment's proxy could reach, nor one whose password it should see.
    public Uri? GetProxy(Uri destination) =>
        _proxy.IsBypassed(destination) || (options.Proxy is null && destination.IsLoopback) ? null : _proxy.GetProxy(destination);

    public bool IsBypassed(Uri host) => GetProxy(host) is null;

    /// <summary>Whether a connection to this address is one to a proxy.</summary>
    public bool Is(DnsEndPoint to) => Proxies().Any(proxy => proxy.Port == to.Port && IsHost(proxy, to.Host));

    /// <summary>Checks the address of a request before it is sent.</summary>
    /// <exception cref="UpstreamRefusedException">It is private, or that of the proxy.</exception>
    public async ValueTask CheckAsync(Uri url, CancellationToken cancellationToken)
    {
        var to = new DnsEndPoint(url.IdnHost, url.Port);
        if (UpstreamConnections.MayBePrivate(options, to))
        {
            return;
        }

        if (GetProxy(url) is null)
        {
            // Connected to without a proxy, and checked then, unless it was taken for the proxy.
            if (Is(to))
            {
                throw new UpstreamRefusedException($"'{to.Host}:{to.Port}' is the proxy, which is not an upstream.");
            }

            return;
        }

        IPAddress[] addresses;
        try
        {
            addresses = await Dns.GetHostAddressesAsync(to.Host, cancellationToken);
        }
        catch (SocketException)
        {
            return; // only the proxy resolves it
        }

        if (addresses.Any(PrivateAddresses.Contain))
        {
            throw UpstreamConnections.Private(options, to);
        }
    }

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
            if (GetProxy(new Uri(url)) is { } proxy)
            {
                yield return proxy;
            }
        }
    }

    private static bool IsHost(Uri proxy, string host) => proxy.IdnHost.Equals(host, StringComparison.OrdinalIgnoreCase);
}
