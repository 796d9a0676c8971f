using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace OciRegistry.Tests.Support;

/// <summary>What a client and the registry speak with each other, on which no byte of content may depend.</summary>
public enum WireProtocol
{
    Http11,
    Http11OverTls,
    Http2OverTls,

    /// <summary>HTTP/2 without TLS, by prior knowledge.</summary>
    H2c,
}

internal static class WireProtocols
{
    public static bool IsTls(this WireProtocol protocol) =>
        protocol is WireProtocol.Http11OverTls or WireProtocol.Http2OverTls;

    public static bool IsHttp2(this WireProtocol protocol) => protocol is WireProtocol.Http2OverTls or WireProtocol.H2c;

    /// <summary>Has a host listen for the protocol, on a free loopback port.</summary>
    public static void Listen(this WireProtocol protocol, WebApplicationBuilder builder)
    {
        if (protocol.IsTls())
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
            builder.WebHost.UseUrls("https://127.0.0.1:0");
            builder.WebHost.ConfigureKestrel(kestrel =>
                kestrel.ConfigureHttpsDefaults(https => https.ServerCertificate = TestCertificate.Value));
        }
        else if (protocol == WireProtocol.H2c)
        {
            builder.Configuration["Kestrel:EndpointDefaults:Protocols"] = nameof(HttpProtocols.Http2);
        }
    }

    /// <summary>A client that speaks nothing else; in HTTP/2 over one connection.</summary>
    /// <param name="protocol">The protocol.</param>
    /// <param name="registry">Its address.</param>
    /// <param name="connect">Opens the connections; null for the default.</param>
    public static HttpClient Client(
        this WireProtocol protocol,
        Uri registry,
        Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? connect = null)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            EnableMultipleHttp2Connections = false,
            ConnectCallback = connect,
            SslOptions =
            {
                RemoteCertificateValidationCallback = (_, presented, _, _) => presented!.Equals(TestCertificate.Value),
            },
        };
        var version = protocol.IsHttp2() ? HttpVersion.Version20 : HttpVersion.Version11;
        var scheme = protocol.IsTls() ? Uri.UriSchemeHttps : Uri.UriSchemeHttp;
        return new HttpClient(new ExactVersion(version, handler))
        {
            BaseAddress = new Uri($"{scheme}://{registry.Authority}"),
            Timeout = TimeSpan.FromSeconds(60),
        };
    }

    // A request made by hand is HTTP/1.1 unless it says otherwise, whatever its client prefers.
    private sealed class ExactVersion(Version version, HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken)
        {
            (request.Version, request.VersionPolicy) = (version, HttpVersionPolicy.RequestVersionExact);
            var response = await base.SendAsync(request, cancellationToken);
            response.Version.ShouldBe(version);
            return response;
        }
    }
}
