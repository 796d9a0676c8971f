using System.Net;
using System.Net.Http.Headers;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What an upstream is asked, and what its answers mean (R2.4: a 404 is not a 429, a 500 or a time-out).</summary>
public sealed class UpstreamClientTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;

    public async ValueTask InitializeAsync() => _upstream = await FakeUpstream.StartAsync();

    public ValueTask DisposeAsync() => _upstream.DisposeAsync();

    [Theory]
    [InlineData(404, nameof(UpstreamOutcome.Unknown))]
    [InlineData(410, nameof(UpstreamOutcome.Unknown))]
    [InlineData(401, nameof(UpstreamOutcome.Denied))]
    [InlineData(403, nameof(UpstreamOutcome.Denied))]
    [InlineData(429, nameof(UpstreamOutcome.Limited))]
    [InlineData(400, nameof(UpstreamOutcome.Down))]
    [InlineData(300, nameof(UpstreamOutcome.Down))]
    [InlineData(500, nameof(UpstreamOutcome.Down))]
    [InlineData(503, nameof(UpstreamOutcome.Down))]
    public async Task Each_status_means_one_thing_and_the_problem_names_it(int status, string outcome)
    {
        _upstream.Faults = _ => new UpstreamFault { Status = status };
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ToString().ShouldBe(outcome);
        answer.Response.ShouldBeNull();
        answer.Problem.ShouldBe($"The upstream 'hub' answered {status}.");
    }

    [Fact]
    public async Task What_is_found_is_handed_out_with_its_head_and_body()
    {
        var image = _upstream.AddImage("a/b", "1", new byte[100_000]);
        using var client = _upstream.Client();

        using var answer = await client.GetAsync("a/b", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Found);
        await answer.Response!.ShouldBeContentAsync(image.Digest, image.Manifest);
        (await client.BytesAsync("a/b", $"blobs/{image.Layers[0].Digest}"))!.ShouldBeBytes(image.Layers[0].Content);
        var call = _upstream.Calls[0];
        call.Headers["User-Agent"].ShouldStartWith("oci-registry/");
        call.Headers["Accept-Encoding"].ShouldBe("identity");
    }

    [Fact]
    public async Task Headers_of_the_caller_go_with_the_request_and_a_304_is_an_answer()
    {
        var image = _upstream.AddImage("a", "1");
        using var client = _upstream.Client();

        using var answer = await client.SendAsync(
            HttpMethod.Head, "a", "manifests/1", request => request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue($"\"{image.Digest}\"")), default);

        (answer.Outcome, answer.Response!.StatusCode).ShouldBe((UpstreamOutcome.Found, HttpStatusCode.NotModified));
    }

    [Fact]
    public async Task A_path_in_the_address_is_what_the_names_of_repositories_begin_with()
    {
        _upstream.AddImage("team/mirror/a", "1");
        using var client = UpstreamClients.Of(new Uri(_upstream.Url, "/team/mirror/"));

        (await client.OutcomeAsync("a", "tags/list?n=5&last=0")).ShouldBe(UpstreamOutcome.Found);

        _upstream.Calls.ShouldHaveSingleItem().ShouldSatisfyAllConditions(
            call => call.Path.ShouldBe("/v2/team/mirror/a/tags/list"),
            call => call.Query.ShouldBe("?n=5&last=0"));
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(303)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task A_redirect_is_followed_with_the_headers_of_the_caller(int status)
    {
        var blob = _upstream.AddBlob("store", [1, 2, 3, 4]);
        _upstream.Faults = call => call.Path.Contains("/a/", StringComparison.Ordinal)
            ? new UpstreamFault { Status = status, RedirectsTo = $"/v2/store/blobs/{blob}" }
            : null;
        using var client = _upstream.Client();

        using var answer = await client.SendAsync(
            HttpMethod.Get, "a", $"blobs/{blob}", request => request.Headers.Range = new RangeHeaderValue(2, null), default);

        answer.Response!.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        (await answer.Response.Content.ReadAsByteArrayAsync()).ShouldBe([3, 4]);
    }

    [Fact]
    public async Task An_answer_that_does_not_come_in_time_is_none()
    {
        var time = new ManualTimeProvider();
        _upstream.Faults = _ => new UpstreamFault { Before = () => Task.Delay(Timeout.Infinite) };
        using var client = _upstream.Client(time: time);
        var asked = client.GetAsync("a", "manifests/1");
        await Until.TrueAsync(() => _upstream.Calls.Count == 1, "it is asked");
        time.Advance(TimeSpan.FromSeconds(30));

        using var answer = await asked;

        (answer.Outcome, answer.Problem).ShouldBe(
            (UpstreamOutcome.Down, "The upstream 'hub' does not answer: no answer within 30 s."));
    }

    [Fact]
    public async Task Whoever_cancels_gets_a_cancellation()
    {
        _upstream.Faults = _ => new UpstreamFault { Before = () => Task.Delay(Timeout.Infinite) };
        using var client = _upstream.Client();
        using var cancel = new CancellationTokenSource();
        var asked = client.GetAsync("a", "manifests/1", cancel.Token);
        await Until.TrueAsync(() => _upstream.Calls.Count == 1, "it is asked");

        await cancel.CancelAsync();

        await Should.ThrowAsync<OperationCanceledException>(() => asked);
    }

    [Fact]
    public async Task An_upstream_that_is_not_there_is_down()
    {
        var url = _upstream.Url;
        await _upstream.DisposeAsync();
        using var client = UpstreamClients.Of(url);

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldStartWith("The upstream 'hub' does not answer: no connection (");
    }

    [Fact]
    public async Task An_upstream_that_breaks_off_before_the_head_is_down()
    {
        _upstream.Faults = _ => new UpstreamFault { CutsAfter = -1 };
        using var client = _upstream.Client();

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Down);
    }

    [Fact]
    public async Task A_small_body_is_read_whole_or_not_at_all()
    {
        var blob = $"blobs/{_upstream.AddBlob("a", new byte[50_000])}";
        using var client = _upstream.Client();
        async Task<byte[]?> ReadAsync(int limit, UpstreamFault? fault = null)
        {
            _upstream.Faults = _ => fault;
            using var answer = await client.GetAsync("a", blob);
            using var large = new SemaphoreSlim(1);
            return await UpstreamBody.ReadBoundedAsync(answer.Response!, limit, large, default);
        }

        (await ReadAsync(50_000))!.Length.ShouldBe(50_000);
        (await ReadAsync(50_000, new UpstreamFault { IsChunked = true }))!.Length.ShouldBe(50_000);
        (await ReadAsync(49_999)).ShouldBeNull();
        (await ReadAsync(49_999, new UpstreamFault { IsChunked = true })).ShouldBeNull();
        (await ReadAsync(int.MaxValue, new UpstreamFault { CutsAfter = 20_000 })).ShouldBeNull();
        (await ReadAsync(int.MaxValue, new UpstreamFault { CutsAfter = 20_000, IsChunked = true })).ShouldBeNull();
        (await ReadAsync(1_000_000, new UpstreamFault { ClaimsLength = 1L << 40, IsChunked = true })).ShouldBeNull();
    }

    [Fact]
    public async Task What_is_left_of_the_rate_limit_is_remembered()
    {
        _upstream.AddImage("a", "1");
        using var client = _upstream.Client();
        await client.OutcomeAsync();
        (client.RateLimit, client.RateLimitRemaining).ShouldBe((null, null));

        _upstream.RateLimitRemaining = 7;
        await client.OutcomeAsync();
        (client.RateLimit, client.RateLimitRemaining).ShouldBe((100, 6));

        _upstream.RateLimitRemaining = null;
        _upstream.Faults = _ => new UpstreamFault { Headers = { ["x-ratelimit-remaining"] = "3" } };
        await client.OutcomeAsync();
        _upstream.Faults = _ => new UpstreamFault { Headers = { ["x-ratelimit-remaining"] = "-99999999999999999999" } };
        await client.OutcomeAsync();
        client.RateLimitRemaining.ShouldBe(3);
    }

    [Fact]
    public async Task Its_certificate_must_lead_to_its_authority_and_ours_is_shown()
    {
        using var certificates = new UpstreamCertificates();
        await using var upstream = await FakeUpstream.StartAsync(certificates.Server);
        upstream.AddImage("a", "1");
        using var stranger = upstream.Client();
        using var client = upstream.Client(options =>
        {
            options.CertificateAuthority = certificates.Authority;
            (options.ClientCertificate, options.ClientKey) = (certificates.Client, certificates.ClientKey);
        });

        using var answer = await stranger.GetAsync("a", "manifests/1");
        answer.Outcome.ShouldBe(UpstreamOutcome.Down);
        answer.Problem!.ShouldStartWith("The upstream 'hub' does not answer: no TLS (");
        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        upstream.Calls.ShouldHaveSingleItem().ClientCertificate.ShouldBe("CN=client");
    }

    [Fact]
    public async Task Another_host_is_shown_no_certificate_and_may_have_the_same_authority()
    {
        using var certificates = new UpstreamCertificates();
        await using var store = await FakeUpstream.StartAsync(certificates.Server);
        await using var upstream = await FakeUpstream.StartAsync(certificates.Server);
        var blob = store.AddBlob("a", [1, 2, 3]);
        upstream.Faults = call => new UpstreamFault { RedirectsTo = new Uri(store.Url, call.Path).AbsoluteUri };
        using var client = upstream.Client(options =>
        {
            options.CertificateAuthority = certificates.Authority;
            options.AllowPrivateAddresses = true;
            (options.ClientCertificate, options.ClientKey) = (certificates.Client, certificates.ClientKey);
        });

        (await client.BytesAsync("a", $"blobs/{blob}")).ShouldBe([1, 2, 3]);

        store.Calls.ShouldHaveSingleItem().ClientCertificate.ShouldBeNull();
    }
}
