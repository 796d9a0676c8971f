using System.Net;
using System.Net.Sockets;
using System.Text;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>An upstream that was taken over reaches nothing through this registry but itself (bad-inputs.md, 21).</summary>
[Collection(ChangesTheSystemsProxy)]
public sealed class HostileUpstreamTests : IAsyncLifetime
{
    /// <summary>Tests that replace the proxy of the whole process, and so run one after the other.</summary>
    public const string ChangesTheSystemsProxy = nameof(ChangesTheSystemsProxy);

    private FakeUpstream _upstream = null!;
    private FakeUpstream _other = null!;

    public async ValueTask InitializeAsync() =>
        (_upstream, _other) = (await FakeUpstream.StartAsync(), await FakeUpstream.StartAsync());

    public async ValueTask DisposeAsync()
    {
        await _upstream.DisposeAsync();
        await _other.DisposeAsync();
    }

    [Fact]
    public async Task A_token_service_on_another_host_is_asked_when_the_settings_name_it_and_else_not()
    {
        _other.Tokens = _upstream.Tokens;
        _upstream.AddImage("a", "1");
        _upstream.RequireBearer("somebody", "secret", realm: $"{_other.Url}token");
        using var client = _upstream.Client(SetPassword);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain($"'{_other.Host}'");
        answer.Problem!.ShouldContain("PullThrough:Upstreams:<n>:TrustedRealms of 'hub'");
        answer.Problem!.ShouldNotContain("secret");
        _other.Calls.ShouldBeEmpty();

        using var trusting = _upstream.Client(options =>
        {
            SetPassword(options);
            options.TrustedRealms.Add(_other.Host);
        });
        (await trusting.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        _other.Calls.ShouldHaveSingleItem().Authorization.ShouldBe(FakeTokens.BasicOf("somebody", "secret"));
    }

    [Fact]
    public async Task Without_credentials_another_token_service_is_not_asked_either()
    {
        _upstream.RequireBearer(realm: $"{_other.Url}token");
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);

        _other.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_token_service_over_http_is_not_asked_by_an_upstream_with_https()
    {
        using var certificates = new UpstreamCertificates();
        await using var upstream = await FakeUpstream.StartAsync(certificates.Server);
        upstream.RequireBearer(realm: $"{_other.Url}token");
        using var client = upstream.Client(options =>
        {
            options.CertificateAuthority = certificates.Authority;
            options.TrustedRealms.Add(_other.Host);
        });

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain("over http");
        _other.Calls.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("http://169.254.169.254/latest/token", "169.254.169.254:80", "AllowPrivateAddresses")]
    [InlineData("http://[::ffff:169.254.169.254]/token", "[::ffff:169.254.169.254]:80", "AllowPrivateAddresses")]
    [InlineData("file:///etc/passwd", "example.com", "no http address")]
    [InlineData("token", "example.com", "no http address")]
    public async Task A_token_service_is_nothing_but_a_public_http_address(string realm, string trusted, string problem)
    {
        _upstream.RequireBearer(realm: realm);
        using var client = _upstream.Client(options => options.TrustedRealms.Add(trusted));

        using var answer = await client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.IsFailure).ShouldBe((UpstreamOutcome.Down, false));
        answer.Problem!.ShouldContain(problem);
    }

    [Theory]
    [InlineData("http://169.254.169.254/latest/meta-data", "AllowPrivateAddresses")]
    [InlineData("//169.254.169.254/latest/meta-data", "AllowPrivateAddresses")]
    [InlineData("http://[fd00:ec2::254]/latest/meta-data", "AllowPrivateAddresses")]
    [InlineData("http://0x7f.2/", "AllowPrivateAddresses")]
    [InlineData("file:///etc/passwd", "neither http nor https")]
    [InlineData("gopher://127.0.0.1:6379/_FLUSHALL", "neither http nor https")]
    public async Task A_redirect_is_followed_to_public_http_addresses_only(string to, string problem)
    {
        _upstream.Faults = _ => new UpstreamFault { RedirectsTo = to };
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain(problem);
    }

    [Fact]
    public async Task Credentials_stay_with_the_upstream_when_it_redirects_to_another_port()
    {
        var blob = _other.AddBlob("a", [1, 2, 3]);
        _upstream.RequireBasic("somebody", "secret");
        _upstream.Faults = call => call.Authorization is null ? null
            : new UpstreamFault { RedirectsTo = new Uri(_other.Url, call.Path).AbsoluteUri };
        using var client = _upstream.Client(options =>
        {
            SetPassword(options);
            options.AllowPrivateAddresses = true;
        });

        (await client.BytesAsync("a", $"blobs/{blob}")).ShouldBe([1, 2, 3]);

        _other.Calls.ShouldHaveSingleItem().Headers.Keys.ShouldNotContain("Authorization");
    }

    [Fact]
    public async Task Credentials_do_not_come_back_after_a_redirect_elsewhere()
    {
        _upstream.AddImage("a", "1");
        _other.Faults = _ => new UpstreamFault { RedirectsTo = new Uri(_upstream.Url, "/v2/a/manifests/1").AbsoluteUri };
        _upstream.Faults = call => call.Path == "/v2/a/manifests/away" ? new UpstreamFault { RedirectsTo = _other.Url.AbsoluteUri } : null;
        using var client = _upstream.Client(options => (options.Token, options.AllowPrivateAddresses) = ("abc", true));

        (await client.OutcomeAsync("a", "manifests/away")).ShouldBe(UpstreamOutcome.Found);

        _upstream.Calls.Select(call => call.Authorization).ShouldBe(["Bearer abc", null]);
    }

    [Fact]
    public async Task What_it_redirects_to_cannot_ask_for_credentials()
    {
        _other.RequireBasic("somebody", "secret");
        _upstream.Faults = call => new UpstreamFault { RedirectsTo = new Uri(_other.Url, call.Path).AbsoluteUri };
        using var client = _upstream.Client(options =>
        {
            SetPassword(options);
            options.AllowPrivateAddresses = true;
        });

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Denied);

        (_upstream.Calls.Count, _other.Calls.Count).ShouldBe((1, 1));
    }

    [Fact]
    public async Task Redirects_end_after_five()
    {
        _upstream.Faults = call => new UpstreamFault { RedirectsTo = call.Path + "x" };
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem.ShouldBe("The upstream 'hub' redirects more than 5 times, which is not followed.");
        _upstream.Calls.Count.ShouldBe(6);
    }

    [Fact]
    public async Task A_redirect_from_https_to_http_is_not_followed()
    {
        using var certificates = new UpstreamCertificates();
        await using var upstream = await FakeUpstream.StartAsync(certificates.Server);
        upstream.Faults = call => new UpstreamFault { RedirectsTo = new Uri(_other.Url, call.Path).AbsoluteUri };
        using var client = upstream.Client(options => options.CertificateAuthority = certificates.Authority);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain("from https to http");
        _other.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_name_that_leads_to_a_private_address_is_connected_to_when_that_is_allowed_and_else_not()
    {
        _upstream.AddImage("a", "1");
        var url = new UriBuilder(_upstream.Url) { Host = "localhost" }.Uri;
        using var client = UpstreamClients.Of(url);
        using var allowing = UpstreamClients.Of(url, options => options.AllowPrivateAddresses = true);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem.ShouldBe($"'localhost:{url.Port}' has a private address. Set AllowPrivateAddresses of the upstream 'hub' if it is meant.");
        _upstream.Calls.ShouldBeEmpty();
        (await allowing.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
    }

    [Fact]
    public async Task A_proxy_of_the_system_is_no_way_past_the_check_of_addresses()
    {
        // The proxy's own address is allowed, as the upstream's; the name that it would resolve is not.
        var to = new UriBuilder(_other.Url) { Host = "localhost", Path = "/v2/a/manifests/1" }.Uri;
        _other.AddImage("a", "1");
        _upstream.AddImage("a", "1");
        _upstream.Faults = call => call.Path.EndsWith("/away", StringComparison.Ordinal)
            ? new UpstreamFault { RedirectsTo = to.AbsoluteUri }
            : null;
        var before = HttpClient.DefaultProxy;
        HttpClient.DefaultProxy = new ProxyFor(to, _upstream.Url, before);
        try
        {
            using var client = _upstream.Client();
            using var answer = await client.GetAsync("a", "manifests/away");

            answer.Outcome.ShouldBe(UpstreamOutcome.Down);
            answer.Problem!.ShouldContain($"'localhost:{to.Port}' has a private address");
            _upstream.Calls.ShouldHaveSingleItem();
        }
        finally
        {
            HttpClient.DefaultProxy = before;
        }

        _other.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_redirect_to_another_port_of_its_own_private_address_is_not_followed()
    {
        _upstream.Faults = call => new UpstreamFault { RedirectsTo = new Uri(_other.Url, call.Path).AbsoluteUri };
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.IsFailure).ShouldBe((UpstreamOutcome.Down, false));
        answer.Problem!.ShouldContain($"'{_other.Host}' has a private address");
        _other.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_redirect_to_a_name_that_leads_to_a_private_address_is_not_followed()
    {
        _upstream.Faults = call => new UpstreamFault { RedirectsTo = $"http://localhost:{_other.Url.Port}{call.Path}" };
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldContain("AllowPrivateAddresses");
        _other.Calls.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("10.1.2.3", true)]
    [InlineData("172.16.0.1", true)]
    [InlineData("172.32.0.1", false)]
    [InlineData("192.168.1.1", true)]
    [InlineData("100.64.0.1", true)]
    [InlineData("127.1.2.3", true)]
    [InlineData("169.254.169.254", true)]
    [InlineData("168.63.129.16", true)]
    [InlineData("0.0.0.0", true)]
    [InlineData("224.0.0.1", true)]
    [InlineData("255.255.255.255", true)]
    [InlineData("8.8.8.8", false)]
    [InlineData("::", true)]
    [InlineData("::1", true)]
    [InlineData("::ffff:10.1.2.3", true)]
    [InlineData("::ffff:8.8.8.8", false)]
    [InlineData("64:ff9b::a9fe:a9fe", true)]
    [InlineData("2002:7f00:1::", true)]
    [InlineData("fd00:ec2::254", true)]
    [InlineData("fe80::1", true)]
    [InlineData("fe80::1%2", true)]
    [InlineData("ff02::1", true)]
    [InlineData("2606:4700::1111", false)]
    public void Private_addresses_are_known_in_all_their_forms(string address, bool isPrivate) =>
        PrivateAddresses.Contain(IPAddress.Parse(address)).ShouldBe(isPrivate);

    [Fact]
    public async Task A_head_without_an_end_is_not_read()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var sending = SendWithoutEndAsync(listener);
        using var client = UpstreamClients.Of(new Uri($"http://{listener.LocalEndpoint}"));

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem.ShouldBe("The upstream 'hub' does not answer: the head of its answer is too large.");
        (await Until.DoneAsync(sending)).ShouldBeLessThan(64L << 20);
    }

    [Fact]
    public async Task A_challenge_that_is_longer_than_anybody_needs_is_none()
    {
        _upstream.Faults = call => call.Path == "/token" ? null : new UpstreamFault
        {
            Status = 401,
            Headers = { ["WWW-Authenticate"] = $"Bearer realm=\"{_upstream.Url}token\",service=\"{new string('s', 9_000)}\"" },
        };
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Denied);

        _upstream.Calls.ShouldHaveSingleItem();
    }

    [Theory]
    [InlineData("gzip", nameof(UpstreamOutcome.Down))]
    [InlineData("br, identity", nameof(UpstreamOutcome.Down))]
    [InlineData("identity", nameof(UpstreamOutcome.Found))]
    public async Task What_comes_compressed_is_not_taken(string encoding, string outcome)
    {
        _upstream.AddImage("a", "1");
        _upstream.Faults = _ => new UpstreamFault { Headers = { ["Content-Encoding"] = encoding } };
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ToString().ShouldBe(outcome);
    }

    [Fact]
    public async Task A_body_that_stalls_fails_and_one_that_is_slow_does_not()
    {
        var time = new ManualTimeProvider();
        var blob = _upstream.AddBlob("a", new byte[64 * 1024]);
        using var pieces = new SemaphoreSlim(0);
        _upstream.Faults = _ => new UpstreamFault { Paces = _ => pieces.WaitAsync() };
        using var client = _upstream.Client(time: time);
        using var answer = await client.GetAsync("a", $"blobs/{blob}");
        await using var body = await answer.Response!.Content.ReadAsStreamAsync();
        var piece = new byte[16 * 1024];

        for (var i = 0; i < 3; i++)
        {
            var read = body.ReadAtLeastAsync(piece, piece.Length).AsTask();
            time.Advance(TimeSpan.FromSeconds(29));
            pieces.Release();
            (await Until.DoneAsync(read)).ShouldBe(piece.Length);
        }

        var stalled = body.ReadAsync(piece).AsTask();
        time.Advance(TimeSpan.FromSeconds(30));
        await Should.ThrowAsync<IOException>(() => Until.DoneAsync(stalled));
    }

    [Fact]
    public async Task An_answer_of_a_token_service_that_is_larger_than_any_token_is_none()
    {
        _upstream.RequireBearer();
        _upstream.Faults = call => call.Path == "/token"
            ? new UpstreamFault { Body = Encoding.ASCII.GetBytes("{\"token\":\"a\"}".PadRight(100_000)), IsChunked = true }
            : null;
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
    }

    [Fact]
    public async Task A_token_service_that_sends_byte_by_byte_is_waited_for_no_longer_than_for_an_answer()
    {
        var time = new ManualTimeProvider();
        _upstream.RequireBearer();
        _upstream.Faults = call => call.Path == "/token"
            ? new UpstreamFault { Body = [(byte)' '], ClaimsLength = 60_000, Paces = sent => sent < 10 ? Task.CompletedTask : Task.Delay(20) }
            : null;
        using var client = _upstream.Client(time: time);
        var asked = client.OutcomeAsync();

        await Until.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(1));
                return asked.IsCompleted;
            },
            "the token is given up");

        (await asked).ShouldBe(UpstreamOutcome.Down);
    }

    private static void SetPassword(UpstreamOptions options) => (options.Username, options.Password) = ("somebody", "secret");

    /// <summary>A challenge of up to 1 GiB; how much of it was taken.</summary>
    private static async Task<long> SendWithoutEndAsync(TcpListener listener)
    {
        using var client = await listener.AcceptTcpClientAsync();
        await using var stream = client.GetStream();
        await stream.ReadExactlyAsync(new byte[10]);
        await stream.WriteAsync("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\""u8.ToArray());
        var piece = new byte[64 * 1024];
        piece.AsSpan().Fill((byte)'a');
        long sent = 0;
        try
        {
            for (; sent < 1L << 30; sent += piece.Length)
            {
                await stream.WriteAsync(piece);
            }
        }
        catch (IOException)
        {
        }

        return sent;
    }

    /// <summary>The system's proxy, for one host: what other tests ask for goes where it went.</summary>
    private sealed class ProxyFor(Uri host, Uri proxy, IWebProxy others) : IWebProxy
    {
        public ICredentials? Credentials { get; set; }

        public Uri? GetProxy(Uri destination) => destination.Authority == host.Authority ? proxy : others.GetProxy(destination);

        public bool IsBypassed(Uri destination) => destination.Authority != host.Authority && others.IsBypassed(destination);
    }
}
