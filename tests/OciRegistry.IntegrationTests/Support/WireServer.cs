using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>The built server as a process that listens for every protocol, each on a port of its own.</summary>
internal sealed class WireServer : IAsyncDisposable
{
    private readonly ServerProcess _server;
    private readonly TempFolder _folder;
    private readonly int[] _ports;

    private WireServer(ServerProcess server, TempFolder folder, int[] ports, string certificateFile)
    {
        (_server, _folder, _ports) = (server, folder, ports);
        CertificateFile = certificateFile;
    }

    /// <summary>The certificate that clients must trust, as PEM.</summary>
    public string CertificateFile { get; }

    /// <summary>Address and port for TLS, as clients write them before an image's name.</summary>
    public string TlsHost => Url(WireProtocol.Http2OverTls).Authority;

    /// <param name="storage">Where it stores, which goes with the process.</param>
    public static async Task<WireServer> StartAsync(ISharedStorage storage)
    {
        var folder = new TempFolder();
        var (certificate, key) = await TestCertificate.WriteAsync(folder.Path);
        int[] ports = [FreePort.Next(), FreePort.Next(), FreePort.Next()];
        var server = await ServerProcess.StartOverAsync(
            storage,
            ports,
            $"Kestrel:Endpoints:Plain:Url=http://127.0.0.1:{ports[0]}",
            $"Kestrel:Endpoints:Tls:Url=https://127.0.0.1:{ports[1]}",
            $"Kestrel:Endpoints:Tls:Certificate:Path={certificate}",
            $"Kestrel:Endpoints:Tls:Certificate:KeyPath={key}",
            $"Kestrel:Endpoints:H2c:Url=http://127.0.0.1:{ports[2]}",
            "Kestrel:Endpoints:H2c:Protocols=Http2");
        return new WireServer(server, folder, ports, certificate);
    }

    public Uri Url(WireProtocol protocol) => protocol switch
    {
        WireProtocol.Http11 => new Uri($"http://127.0.0.1:{_ports[0]}"),
        WireProtocol.H2c => new Uri($"http://127.0.0.1:{_ports[2]}"),
        _ => new Uri($"https://127.0.0.1:{_ports[1]}"),
    };

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _folder.DisposeAsync();
    }
}
