using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Requests to an upstream through a proxy, which resolves names itself.</summary>
[Collection(HostileUpstreamTests.ChangesTheSystemsProxy)]
public sealed class UpstreamProxyTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private Proxy _proxy = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.AddImage("a", "1");
        _proxy = new Proxy(_upstream.Url);
    }

    public async ValueTask DisposeAsync()
    {
        await _proxy.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData("http://192.0.2.1/", "GET http://192.0.2.1/v2/a/manifests/1 HTTP/1.1")] // a public address that nothing has
    [InlineData("https://192.0.2.1/", "CONNECT 192.0.2.1:443 HTTP/1.1")]
    public async Task Requests_go_through_the_proxy_of_the_settings(string url, string request)
    {
        using var client = UpstreamClients.Of(new Uri(url), options => options.Proxy = _proxy.Url.AbsoluteUri);

        using var answer = await client.GetAsync("a", "manifests/1");

        _proxy.Requests.ShouldContain(request);
        answer.Problem.ShouldBe(url.StartsWith("https", StringComparison.Ordinal)
            ? "The upstream 'hub' does not answer: the proxy did not connect to it."
            : null);
    }

    [Fact]
    public async Task A_proxy_with_TLS_is_shown_no_certificate_and_may_have_the_authority_of_the_upstream()
    {
        using var certificates = new UpstreamCertificates();
        await using var proxy = new Proxy(_upstream.Url, certificates.Server) { Credentials = "Basic " + Convert.ToBase64String("some:word"u8) };
        var url = $"https://some:word@{proxy.Url.Authority}";
        using var stranger = UpstreamClients.Of(new Uri("http://192.0.2.1/"), options => options.Proxy = url);
        using var client = UpstreamClients.Of(new Uri("http://192.0.2.1/"), options =>
        {
            options.Proxy = url;
            options.CertificateAuthority = certificates.Authority;
            (options.ClientCertificate, options.ClientKey) = (certificates.Client, certificates.ClientKey);
        });

        (await stranger.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        proxy.Requests.ShouldBe(["GET http://192.0.2.1/v2/a/manifests/1 HTTP/1.1"]);
        proxy.ClientCertificates.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_host_that_is_no_name_is_left_to_the_proxy()
    {
        _upstream.Faults = call => call.Path.EndsWith("/1", StringComparison.Ordinal)
            ? new UpstreamFault { RedirectsTo = $"http://{string.Concat(Enumerable.Repeat("abcdefghi.", 40))}example/v2/a/manifests/2" }
            : null;
        using var client = UpstreamClients.Of(new Uri("http://192.0.2.1/"), options => options.Proxy = _proxy.Url.AbsoluteUri);

        (await client.OutcomeAsync()).ShouldBeOneOf(UpstreamOutcome.Unknown, UpstreamOutcome.Down);
    }

    [Fact]
    public void Credentials_are_not_sent_through_a_proxy_in_plain_text()
    {
        var options = new UpstreamOptions
        {
            Prefix = "hub",
            Url = "http://localhost:5000",
            Proxy = "http://proxy.example.com",
            Username = "some",
            Password = "word",
        };

        options.Problems().ShouldHaveSingleItem().ShouldStartWith("Url is http");
        options.Proxy = null;
        options.Problems().ShouldBeEmpty();
    }

    [Fact]
    public async Task Name_and_password_of_the_proxy_go_to_it_and_to_nothing_else()
    {
        _proxy.Credentials = "Basic " + Convert.ToBase64String("some:secret word"u8);
        using var client = UpstreamClients.Of(
            new Uri("http://192.0.2.1/"), options => options.Proxy = $"http://some:secret%20word@{_proxy.Url.Authority}");

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
    }

    [Theory]
    [InlineData("http://10.1.2.3/v2/a/manifests/1")]
    [InlineData("http://169.254.169.254/latest")]
    [InlineData("http://[fd00::1]/v2/")]
    [InlineData("http://localhost:1/v2/")]
    public async Task A_redirect_to_a_private_address_is_not_asked_for_through_the_proxy(string target)
    {
        _upstream.Faults = _ => new UpstreamFault { RedirectsTo = target };
        using var client = UpstreamClients.Of(new Uri("http://192.0.2.1/"), options => options.Proxy = _proxy.Url.AbsoluteUri);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain("has a private address. Set AllowPrivateAddresses of the upstream 'hub'");
        _proxy.Requests.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task Private_addresses_are_asked_for_through_the_proxy_when_they_are_allowed()
    {
        using var client = UpstreamClients.Of(new Uri("http://10.1.2.3/"), options =>
        {
            options.Proxy = _proxy.Url.AbsoluteUri;
            options.AllowPrivateAddresses = true;
        });

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        _proxy.Requests.ShouldBe(["GET http://10.1.2.3/v2/a/manifests/1 HTTP/1.1"]);
    }

    [Fact]
    public async Task The_environments_proxy_is_used_except_for_hosts_without_one()
    {
        var before = HttpClient.DefaultProxy;
        HttpClient.DefaultProxy = new SystemProxy(_proxy.Url, before);
        try
        {
            using var client = UpstreamClients.Of(new Uri("http://192.0.2.7/"));
            using var direct = _upstream.Client();

            (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
            (await direct.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        }
        finally
        {
            HttpClient.DefaultProxy = before;
        }

        _proxy.Requests.ShouldBe(["GET http://192.0.2.7/v2/a/manifests/1 HTTP/1.1"]);
    }

    [Fact]
    public async Task A_request_for_the_proxy_itself_is_not_sent_to_it()
    {
        var before = HttpClient.DefaultProxy;
        HttpClient.DefaultProxy = new SystemProxy(_proxy.Url, before);
        _upstream.Faults = _ => new UpstreamFault { RedirectsTo = $"{_proxy.Url}secrets" };
        try
        {
            using var client = UpstreamClients.Of(new Uri("http://192.0.2.7/"));
            using var answer = await client.GetAsync("a", "manifests/1");

            answer.Problem!.ShouldContain("is the proxy, which is not an upstream");
        }
        finally
        {
            HttpClient.DefaultProxy = before;
        }

        _proxy.Requests.ShouldHaveSingleItem();
    }

    [Theory]
    [InlineData("proxy.example.com:3128")]
    [InlineData("ftp://proxy.example.com")]
    [InlineData("http://proxy.example.com/path")]
    [InlineData("http://some:secret@proxy.example.com/path")]
    public void An_address_that_is_not_a_proxys_is_an_error_without_its_password(string proxy)
    {
        var problem = new UpstreamOptions { Prefix = "hub", Url = "https://registry.example.com", Proxy = proxy }.Problems().ShouldHaveSingleItem();

        problem.ShouldStartWith("Proxy is '");
        problem.ShouldNotContain("secret");
    }

    /// <summary>The environment's proxy, for two hosts that no other test has.</summary>
    private sealed class SystemProxy(Uri proxy, IWebProxy others) : IWebProxy
    {
        public ICredentials? Credentials { get; set; }

        public Uri? GetProxy(Uri destination) => IsFor(destination) ? proxy : others.GetProxy(destination);

        public bool IsBypassed(Uri host) => !IsFor(host) && others.IsBypassed(host);

        private static bool IsFor(Uri url) => url.Host is "192.0.2.7" or "upstream.invalid";
    }

    /// <summary>A proxy that takes every host for one upstream, and remembers what it was asked.</summary>
    private sealed class Proxy : IAsyncDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly Uri _upstream;
        private readonly List<string> _requests = [];
        private readonly Task _serving;

        private readonly X509Certificate2? _certificate;
        private readonly List<string> _clients = [];

        public Proxy(Uri upstream, X509Certificate2? certificate = null)
        {
            (_upstream, _certificate) = (upstream, certificate);
            _listener.Start();
            _serving = ServeAsync();
        }

        public Uri Url => new($"http://{_listener.LocalEndpoint}");

        /// <summary>What it wants to see; null for nothing.</summary>
        public string? Credentials { get; set; }

        public string[] Requests
        {
            get
            {
                lock (_requests)
                {
                    return [.. _requests];
                }
            }
        }

        /// <summary>What clients have shown to a proxy with TLS.</summary>
        public string[] ClientCertificates
        {
            get
            {
                lock (_requests)
                {
                    return [.. _clients];
                }
            }
        }

        public async ValueTask DisposeAsync()
        {
            _listener.Stop();
            await _serving;
        }

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    _ = AnswerAsync(await _listener.AcceptTcpClientAsync());
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // stopped
            }
        }

        private async Task AnswerAsync(TcpClient client)
        {
            using var own = client;
            await using Stream stream = _certificate is null ? client.GetStream() : new SslStream(client.GetStream());
            try
            {
                if (stream is SslStream tls)
                {
                    await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
                    {
                        ServerCertificate = _certificate,
                        ClientCertificateRequired = true,
                        RemoteCertificateValidationCallback = (_, shown, _, _) => IsNone(shown),
                    });
                }

                while (await HeadAsync(stream) is { } head)
                {
                    await AnswerAsync(stream, head);
                }
            }
            catch (Exception e) when (e is IOException or System.Security.Authentication.AuthenticationException)
            {
                // The client has gone.
            }
        }

        private bool IsNone(X509Certificate? shown)
        {
            if (shown is not null)
            {
                lock (_requests)
                {
                    _clients.Add(shown.Subject);
                }
            }

            return shown is null;
        }

        private async Task AnswerAsync(Stream stream, string head)
        {
            var request = head.Split("\r\n")[0];
            var sent = head.Split("\r\n").FirstOrDefault(line => line.StartsWith("Proxy-Authorization: ", StringComparison.OrdinalIgnoreCase));
            if (Credentials is { } wanted && sent?.Split(": ", 2)[1] != wanted)
            {
                await WriteAsync(stream, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n");
                return;
            }

            lock (_requests)
            {
                _requests.Add(request);
            }

            if (request.StartsWith("CONNECT ", StringComparison.Ordinal))
            {
                await WriteAsync(stream, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
                return;
            }

            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false });
            using var answer = await http.GetAsync(new Uri(_upstream, new Uri(request.Split(' ')[1]).PathAndQuery));
            var body = await answer.Content.ReadAsByteArrayAsync();
            var headers = answer.Headers.Concat(answer.Content.Headers)
                .Where(header => header.Key is not ("Content-Length" or "Transfer-Encoding"))
                .Select(header => $"{header.Key}: {string.Join(", ", header.Value)}\r\n");
            await WriteAsync(
                stream, $"HTTP/1.1 {(int)answer.StatusCode} X\r\n{string.Concat(headers)}Content-Length: {body.Length}\r\n\r\n");
            await stream.WriteAsync(body);
        }

        private static async Task<string?> HeadAsync(Stream stream)
        {
            var head = new StringBuilder();
            var one = new byte[1];
            while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
            {
                if (await stream.ReadAsync(one) == 0)
                {
                    return null;
                }

                head.Append((char)one[0]);
            }

            return head.ToString();
        }

        private static async Task WriteAsync(Stream stream, string text) => await stream.WriteAsync(Encoding.ASCII.GetBytes(text));
    }
}
