using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

/// <summary>TLS by Kestrel's settings: certificates that are replaced, and those of clients.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("oci-registry-tls-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task A_certificate_that_is_replaced_is_served_to_new_connections_and_ends_no_upload()
    {
        WriteServerCertificate("first");
        await using var server = ServerProcess.Start(
            $"{Https()} --Logging:LogLevel:Microsoft.AspNetCore.Server.Kestrel=Debug");
        var url = await server.UntilListeningAsync();
        using var pushing = new HttpClient(Handler(), disposeHandler: true) { BaseAddress = url };
        var location = await pushing.NewUploadAsync("tls/app");
        var body = new SteppedContent();
        var patch = pushing.PatchAsync(new Uri(location, UriKind.Relative), body);
        await body.StepAsync(new byte[100]);
        (await ServedAsync(url)).ShouldBe("CN=first");

        WriteServerCertificate("second");
        await Until.TrueAsync(async () => await ServedAsync(url) == "CN=second", "the new certificate is served");
        await File.WriteAllTextAsync(PathOf("server.pem"), "broken");
        await server.UntilLineThatHasAsync("so the one before is still served");
        (await ServedAsync(url)).ShouldBe("CN=second");

        await body.StepAsync(new byte[100]);
        body.Finish();
        using var patched = await patch;
        await patched.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-199");

        // Kestrel's own watcher would have closed the endpoint, and the upload with it, some seconds later.
        server.Output.ShouldContain("Kestrel");
        server.Output.ShouldNotContain("file watcher");
    }

    [Fact]
    public async Task When_the_certificate_expires_and_that_a_new_one_is_rejected_are_metrics()
    {
        const string rejected = "oci_registry_settings_rejected{file=\"certificates\"}";
        WriteServerCertificate("first");
        await using var server = ServerProcess.Start(Https());
        using var client = new HttpClient(Handler(), disposeHandler: true) { BaseAddress = await server.UntilListeningAsync() };
        using var served = X509Certificate2.CreateFromPem(await File.ReadAllTextAsync(PathOf("server.pem")));
        var expiry = new DateTimeOffset(served.NotAfter).ToUnixTimeSeconds();
        await HasAsync($"oci_registry_certificate_expiry_timestamp_seconds {expiry}");
        await HasAsync($"{rejected} 0");

        var (certificate, key) = (await File.ReadAllTextAsync(PathOf("server.pem")), await File.ReadAllTextAsync(PathOf("server.key")));
        await File.WriteAllTextAsync(PathOf("server.key"), "broken");
        await HasAsync($"{rejected} 1");
        await HasAsync($"oci_registry_certificate_expiry_timestamp_seconds {expiry}");

        // As it was: nothing is to be loaded.
        await File.WriteAllTextAsync(PathOf("server.key"), key);
        await HasAsync($"{rejected} 0");
        File.Delete(PathOf("server.pem"));
        await HasAsync($"{rejected} 1");
        await File.WriteAllTextAsync(PathOf("server.pem"), certificate);
        await HasAsync($"{rejected} 0");

        Task HasAsync(string line) => Until.TrueAsync(
            async () => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Contains($"{line}\n", StringComparison.Ordinal), line);
    }

    [Fact]
    public async Task Intermediate_certificates_are_sent_along()
    {
        using var root = Authority("root");
        using var between = Authority("between", root);
        using var leaf = Issue("leaf", between, serverAuthentication: true, dns: "leaf");
        await File.WriteAllTextAsync(PathOf("server.pem"), leaf.ExportCertificatePem() + "\n" + between.ExportCertificatePem());
        await File.WriteAllTextAsync(PathOf("server.key"), leaf.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        await using var server = ServerProcess.Start($"{Https()} --OciRegistry:Hosts=leaf");
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(root);
        using var client = new HttpClient(handler) { BaseAddress = await server.UntilListeningAsync() };
        client.DefaultRequestHeaders.Host = "leaf"; // whose certificate it expects

        using var answer = await client.GetAsync(new Uri("/v2/", UriKind.Relative));

        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_client_certificate_is_an_identity_when_it_leads_to_the_authority()
    {
        WriteServerCertificate("server");
        using var authority = Authority("clients");
        using var stranger = Authority("clients"); // of the same name
        await File.WriteAllTextAsync(PathOf("clients.pem"), authority.ExportCertificatePem());
        await using var server = ServerProcess.Start(
            $"{Https()} --OciRegistry:Auth:ClientCertificates:Authority={PathOf("clients.pem")}"
            + " --OciRegistry:Auth:Policies:0:Subjects=cert:cn:node-1 --OciRegistry:Auth:Policies:0:Repositories=tls/**"
            + " --OciRegistry:Auth:Policies:0:Actions=pull"
            + " --OciRegistry:Auth:Policies:1:Subjects=cert:spiffe://example.org/** --OciRegistry:Auth:Policies:1:Repositories=tls/**"
            + " --OciRegistry:Auth:Policies:1:Actions:0=pull --OciRegistry:Auth:Policies:1:Actions:1=push");
        var url = await server.UntilListeningAsync();
        using var node = Issue("node-1", authority);
        using var workload = Issue("node-1", authority, ["spiffe://example.org/ns/a/sa/b"]);
        using var unnamed = Issue("node-2", authority);
        using var forged = Issue("node-1", stranger);
        using var self = Authority("node-1");
        using var late = Issue("node-1", authority, from: DateTimeOffset.UtcNow.AddDays(-1), to: DateTimeOffset.UtcNow.AddHours(-1));
        using var forServers = Issue("node-1", authority, serverAuthentication: true);

        (await AskAsync(node, HttpMethod.Get)).ShouldBe(HttpStatusCode.NotFound);
        (await AskAsync(node, HttpMethod.Post)).ShouldBe(HttpStatusCode.Forbidden);
        (await AskAsync(workload, HttpMethod.Post)).ShouldBe(HttpStatusCode.Accepted);
        (await AskAsync(unnamed, HttpMethod.Get)).ShouldBe(HttpStatusCode.Forbidden);
        foreach (var none in (X509Certificate2?[])[forged, self, late, forServers, null])
        {
            (await AskAsync(none, HttpMethod.Get)).ShouldBe(HttpStatusCode.Unauthorized, none?.Subject);
        }

        async Task<HttpStatusCode> AskAsync(X509Certificate2? certificate, HttpMethod method)
        {
            var handler = Handler();
            handler.SslOptions.ClientCertificates = certificate is null ? null : [certificate];
            using var client = new HttpClient(handler) { BaseAddress = url };
            var path = method == HttpMethod.Get ? "/v2/tls/app/manifests/v1" : "/v2/tls/app/blobs/uploads/";
            using var answer = await client.SendAsync(new HttpRequestMessage(method, path));
            return answer.StatusCode;
        }
    }

    /// <summary>An authority may check the one name of its clients and not the other.</summary>
    [Fact]
    public async Task A_common_name_is_no_URI_and_several_URIs_are_no_name()
    {
        WriteServerCertificate("server");
        using var authority = Authority("clients");
        await File.WriteAllTextAsync(PathOf("clients.pem"), authority.ExportCertificatePem());
        await using var server = ServerProcess.Start(
            $"{Https()} --OciRegistry:Auth:ClientCertificates:Authority={PathOf("clients.pem")}"
            + " --OciRegistry:Auth:Policies:0:Subjects:0=cert:spiffe://a/b --OciRegistry:Auth:Policies:0:Subjects:1=cert:cn:admin"
            + " --OciRegistry:Auth:Policies:0:Repositories=tls/** --OciRegistry:Auth:Policies:0:Actions=pull");
        var url = await server.UntilListeningAsync();
        (string Name, string[] Uris, HttpStatusCode Status)[] certificates =
        [
            ("x", ["spiffe://a/b"], HttpStatusCode.NotFound),
            ("admin", [], HttpStatusCode.NotFound),
            ("spiffe://a/b", [], HttpStatusCode.Forbidden), // cert:cn:spiffe://a/b
            ("admin", ["spiffe://c/d"], HttpStatusCode.Forbidden), // the URI is its name
            ("x", ["cn:admin"], HttpStatusCode.Unauthorized),
            ("x", ["CN:admin"], HttpStatusCode.Unauthorized),
            ("x", ["spiffe://a/b", "spiffe://c/d"], HttpStatusCode.Unauthorized),
            ("admin", ["https://a/b", "spiffe://a/b"], HttpStatusCode.Unauthorized),
            ("admin,CN=other", [], HttpStatusCode.Unauthorized),
        ];
        foreach (var (name, uris, status) in certificates)
        {
            using var certificate = Issue(name, authority, uris);
            (await AskAsync(url, certificate, "/v2/tls/app/manifests/v1")).ShouldBe(status, $"{name} {string.Join(' ', uris)}");
        }
    }

    /// <summary>The handshake comes before any login: whoever connects could have the server ask any address.</summary>
    [Theory]
    [InlineData("--Kestrel:Endpoints:Main:Certificate:Path={0} --Kestrel:Endpoints:Main:Certificate:KeyPath={1} --OciRegistry:Auth:ClientCertificates:Authority={2}")]
    [InlineData("--Kestrel:Certificates:Default:Path={0} --Kestrel:Certificates:Default:KeyPath={1} --OciRegistry:Auth:ClientCertificates:Authority={2}")]
    [InlineData("--Kestrel:Certificates:Default:Path={0} --Kestrel:Certificates:Default:KeyPath={1} --Kestrel:Endpoints:Main:ClientCertificateMode=AllowCertificate")]
    public async Task The_address_in_a_clients_certificate_is_not_asked(string settings)
    {
        WriteServerCertificate("server");
        using var authority = Authority("clients");
        using var stranger = Authority("strangers");
        await File.WriteAllTextAsync(PathOf("clients.pem"), authority.ExportCertificatePem());
        using var asked = new TcpListener(IPAddress.Loopback, 0);
        asked.Start();
        using var certificate = Issue("x", stranger, issuerAt: $"http://{asked.LocalEndpoint}/issuer.cer");
        await using var server = ServerProcess.Start(
            "--Kestrel:Endpoints:Main:Url=https://127.0.0.1:0 "
            + string.Format(null, settings, PathOf("server.pem"), PathOf("server.key"), PathOf("clients.pem")));
        var url = await server.UntilListeningAsync();

        try
        {
            await AskAsync(url, certificate, "/livez").WaitAsync(TimeSpan.FromSeconds(60));
        }
        catch (HttpRequestException)
        {
            // where Kestrel itself refuses who is not trusted
        }

        asked.Pending().ShouldBeFalse();
    }

    private static async Task<HttpStatusCode> AskAsync(Uri url, X509Certificate2 certificate, string path)
    {
        var handler = Handler();
        handler.SslOptions.ClientCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true);
        using var client = new HttpClient(handler) { BaseAddress = url };
        using var answer = await client.GetAsync(new Uri(path, UriKind.Relative));
        return answer.StatusCode;
    }

    private string Https() => "--Kestrel:Endpoints:Main:Url=https://127.0.0.1:0"
        + $" --Kestrel:Endpoints:Main:Certificate:Path={PathOf("server.pem")}"
        + $" --Kestrel:Endpoints:Main:Certificate:KeyPath={PathOf("server.key")}";

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);

    private void WriteServerCertificate(string name)
    {
        using var certificate = Authority(name);
        File.WriteAllText(PathOf("server.key"), certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(PathOf("server.pem"), certificate.ExportCertificatePem());
    }

    private static SocketsHttpHandler Handler(Action<X509Certificate?>? sees = null) => new()
    {
        SslOptions = new SslClientAuthenticationOptions
        {
            RemoteCertificateValidationCallback = (_, certificate, _, _) =>
            {
                sees?.Invoke(certificate);
                return certificate is not null; // whichever: the tests look themselves
            },
        },
    };

    private static async Task<string?> ServedAsync(Uri url)
    {
        string? subject = null;
        using var client = new HttpClient(Handler(certificate => subject = certificate!.Subject)) { BaseAddress = url };
        using var answer = await client.GetAsync(new Uri("/livez", UriKind.Relative));
        return subject;
    }

    private static X509Certificate2 Authority(string name, X509Certificate2? issuer = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var (from, to) = (DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(1));
        using var certificate = issuer is null ? null : request.Create(issuer, from.AddMinutes(1), to.AddMinutes(-1), Serial());
        return certificate is null ? request.CreateSelfSigned(from, to) : certificate.CopyWithPrivateKey(key);
    }

    private static X509Certificate2 Issue(
        string name,
        X509Certificate2 authority,
        string[]? uris = null,
        bool serverAuthentication = false,
        DateTimeOffset? from = null,
        DateTimeOffset? to = null,
        string? issuerAt = null,
        string dns = "any")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(serverAuthentication ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2")], critical: false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(dns);
        foreach (var uri in uris ?? [])
        {
            names.AddUri(new Uri(uri));
        }

        request.CertificateExtensions.Add(names.Build());
        if (issuerAt is not null)
        {
            request.CertificateExtensions.Add(new X509AuthorityInformationAccessExtension(null, [issuerAt]));
        }

        using var issued = request.Create(
            authority, from ?? DateTimeOffset.UtcNow.AddHours(-1), to ?? DateTimeOffset.UtcNow.AddHours(1), Serial());
        using var certificate = issued.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }

    private static byte[] Serial() => RandomNumberGenerator.GetBytes(8);

    /// <summary>A body that is sent when the test says so.</summary>
    private sealed class SteppedContent : HttpContent
    {
        private readonly System.Threading.Channels.Channel<byte[]> _steps = System.Threading.Channels.Channel.CreateBounded<byte[]>(1);

        public async Task StepAsync(byte[] bytes) => await _steps.Writer.WriteAsync(bytes);

        public void Finish() => _steps.Writer.Complete();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await foreach (var step in _steps.Reader.ReadAllAsync())
            {
                await stream.WriteAsync(step);
                await stream.FlushAsync();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
