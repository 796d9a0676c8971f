using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace OciRegistry.PullThrough;

/// <summary>How an upstream, its token service and what it redirects to are connected to.</summary>
internal static class UpstreamConnections
{
    /// <summary>To the upstream itself: with its own authority, and the certificate that it wants to see.</summary>
    public static HttpMessageInvoker ToUpstream(UpstreamOptions options, UpstreamProxy proxy)
    {
        var handler = New(options, proxy, TrustOfOthers(options));
        if (options.CertificateAuthority is { } authority)
        {
            handler.SslOptions.CertificateChainPolicy = CertificateAuthority.TrustIn(authority);
        }

        if (options.ClientCertificate is { } path)
        {
            // What else is in the file are the certificates between it and its authority.
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(path);
            handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(
                X509Certificate2.CreateFromPemFile(path, options.ClientKey ?? path), chain, offline: true);
        }

        return new HttpMessageInvoker(handler);
    }

    /// <summary>
    /// To any other host that it names: they may be of the same private network, or of a public store, and are shown no
    /// certificate.
    /// </summary>
    public static HttpMessageInvoker ToOthers(UpstreamOptions options, UpstreamProxy proxy)
    {
        var trust = TrustOfOthers(options);
        var handler = New(options, proxy, trust);
        handler.SslOptions.RemoteCertificateValidationCallback = trust;
        return new HttpMessageInvoker(handler);
    }

    private static SocketsHttpHandler New(UpstreamOptions options, UpstreamProxy proxy, RemoteCertificateValidationCallback? trustOfProxy) => new()
    {
        AllowAutoRedirect = false, // UpstreamExchange follows, and looks where to
        AutomaticDecompression = DecompressionMethods.None, // digests are those of the bytes on the wire
        UseCookies = false,
        Proxy = proxy, // it resolves names itself: UpstreamExchange checks the address of each request before
        MaxResponseHeadersLength = 64, // KiB
        ConnectTimeout = options.Timeout,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5), // names move
        ConnectCallback = (context, cancel) => ConnectAsync(options, proxy, trustOfProxy, context.DnsEndPoint, cancel),
    };

    private static async ValueTask<Stream> ConnectAsync(
        UpstreamOptions options,
        UpstreamProxy proxy,
        RemoteCertificateValidationCallback? trustOfProxy,
        DnsEndPoint to,
        CancellationToken cancel)
    {
        // The name is resolved once, and what was checked is what is connected to: the next answer for it may be another one.
        var addresses = await Dns.GetHostAddressesAsync(to.Host, cancel);
        var allowed = MayBePrivate(options, to) || proxy.Is(to)
            ? addresses
            : [.. addresses.Where(address => !PrivateAddresses.Contain(address))];
        if (allowed.Length == 0)
        {
            throw Private(options, to);
        }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, to.Port, cancel);
            var connection = new NetworkStream(socket, ownsSocket: true);
            return proxy.IsSecure(to) ? await SecureAsync(connection, to.Host, trustOfProxy, cancel) : connection;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static async ValueTask<Stream> SecureAsync(
        NetworkStream connection, string host, RemoteCertificateValidationCallback? trust, CancellationToken cancel)
    {
        var tls = new SslStream(connection);
        try
        {
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions { TargetHost = host, RemoteCertificateValidationCallback = trust }, cancel);
            return tls;
        }
        catch
        {
            await tls.DisposeAsync();
            throw;
        }
    }

    public static bool MayBePrivate(UpstreamOptions options, DnsEndPoint to) => options.AllowPrivateAddresses || IsAddressOfUrl(options, to);

    public static UpstreamRefusedException Private(UpstreamOptions options, DnsEndPoint to) => new(
        $"'{to.Host}:{to.Port}' has a private address. Set AllowPrivateAddresses of the upstream '{options.Prefix}' if it is meant.");

    /// <summary>
    /// Whether it is the address in the upstream's Url, with a port that the settings name: the one there, or that of a trusted token
    /// service. Any other port is another program: an upstream must not choose what this registry asks on a machine of its own network.
    /// </summary>
    private static bool IsAddressOfUrl(UpstreamOptions options, DnsEndPoint to) =>
        new Uri(options.Url) is var url
        && IPAddress.TryParse(url.IdnHost, out var own)
        && IPAddress.TryParse(to.Host, out var address)
        && own.Equals(address)
        && (url.Port == to.Port || options.AllTrustedRealms().Any(realm =>
            Uri.TryCreate($"https://{realm}", UriKind.Absolute, out var trusted) && trusted.IdnHost == url.IdnHost && trusted.Port == to.Port));

    private static RemoteCertificateValidationCallback? TrustOfOthers(UpstreamOptions options) =>
        options.CertificateAuthority is { } authority ? CertificateAuthority.TrustBesideSystem(authority) : null;
}
