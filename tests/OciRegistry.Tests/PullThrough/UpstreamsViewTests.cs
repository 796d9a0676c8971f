using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What an operator sees of the upstreams, and what nobody sees: their credentials.</summary>
public sealed class UpstreamsViewTests
{
    private const string Secret = "hunter2-secret";

    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task An_upstream_is_shown_with_what_it_has_sent_and_what_it_was_spared()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.RateLimitRemaining = 76;
        var content = RegistryClient.RandomBytes(1_000);
        var digest = registry.Upstream.AddBlob("a/b", content);
        var before = await ShownAsync(registry);
        before["hitRatio"].ShouldBeNull();
        before["rateLimit"].ShouldBeNull();
        before["rateLimitRemaining"].ShouldBeNull();
        before["bytesKept"].ShouldBeNull();
        for (var i = 0; i < 4; i++)
        {
            using var pulled = await registry.Http.GetBlobAsync("up/a/b", digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }

        var image = registry.Upstream.AddImage("a/b", "1");
        using var manifest = await registry.Http.GetManifestAsync("up/a/b", "1");
        await registry.SweepAsync();
        var shown = await ShownAsync(registry);
        ((string?)shown["prefix"], (string?)shown["url"]).ShouldBe(("up", registry.Upstream.Url.AbsoluteUri));
        shown["namespaces"]!.AsArray().Select(name => (string?)name).ShouldBe([registry.Upstream.Host]);
        shown["breaker"]!.ToJsonString().ShouldBe("""{"state":"Closed","until":null,"problem":null,"limited":[]}""");
        ((bool)shown["accountRefused"]!).ShouldBeFalse();
        ((long)shown["rateLimit"]!, (long)shown["rateLimitRemaining"]!).ShouldBe((100, 75));
        ((long)shown["hits"]!, (long)shown["misses"]!).ShouldBe((3, 2));
        ((double)shown["hitRatio"]!).ShouldBe(0.6);
        ((long)shown["staleServed"]!).ShouldBe(0);
        ((long)shown["bytesReceived"]!).ShouldBe(1_000 + image.Manifest.Length);
        ((long)shown["bytesSaved"]!).ShouldBe(3_000);
        ((long)shown["bytesKept"]!).ShouldBe(1_000 + image.Manifest.Length);
        shown["fetching"]!.AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task What_is_on_its_way_is_shown_with_how_far_it_has_come()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(200_000);
        var digest = registry.Upstream.AddBlob("a", content);
        var rest = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Paces = sent => sent == 0 ? Task.CompletedTask : rest.Task };
        var pulling = registry.Http.GetBlobAsync("up/a", digest);
        await Until.TrueAsync(() => registry.Traffic.Received > 0, "the first bytes have come");

        var fetching = (await ShownAsync(registry))["fetching"]!.AsArray().ShouldHaveSingleItem()!;
        rest.SetResult();

        ((string?)fetching["repository"], (string?)fetching["digest"]).ShouldBe(("up/a", digest.ToString()));
        ((long)fetching["arrived"]!).ShouldBeInRange(1, 100_000);
        ((long)fetching["length"]!).ShouldBe(200_000);
        using var pulled = await Until.DoneAsync(pulling);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Fact]
    public async Task An_upstream_that_is_left_alone_is_shown_with_the_reason_and_until_when()
    {
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        registry.Upstream.Faults = _ => new UpstreamFault { Status = 429, RetryAfter = "60" };
        using var limited = await registry.Http.GetManifestAsync("up/a", "1");

        var breaker = (await ShownAsync(registry))["breaker"]!;
        ((string?)breaker["state"]).ShouldBe("Limited");
        ((DateTimeOffset)breaker["until"]!).ShouldBe(_time.GetUtcNow().AddSeconds(60));
        ((string?)breaker["problem"]).ShouldBe("The upstream 'up' answered 429.");
        breaker["limited"]!.AsArray().Select(kind => (string?)kind).ShouldContain("Manifest");
    }

    [Fact]
    public async Task Each_upstream_has_what_is_its_own()
    {
        await using var other = await FakeUpstream.StartAsync();
        await using var registry = await PulledRegistry.StartAsync(options: options => options.PullThrough.Upstreams.Add(
            new UpstreamOptions { Prefix = "up/more", Url = other.Url.AbsoluteUri, Namespaces = ["more.example", "x.example:5000"] }));
        var content = RegistryClient.RandomBytes(100_000);
        var digest = other.AddBlob("a", content);
        var rest = new TaskCompletionSource();
        other.Faults = _ => new UpstreamFault { Paces = sent => sent == 0 ? Task.CompletedTask : rest.Task };
        var pulling = registry.Http.GetBlobAsync("up/more/a", digest);
        await Until.TrueAsync(() => registry.Blobs.Running.Any(fetch => fetch.Arrived > 0), "the first bytes have come");

        var shown = (await ViewAsync(registry.Http))["upstreams"]!.AsArray();
        rest.SetResult();

        shown.Select(one => (string?)one!["prefix"]).ShouldBe(["up", "up/more"]);
        shown[1]!["namespaces"]!.AsArray().Select(name => (string?)name).ShouldBe(["more.example", "x.example:5000"]);
        shown.Select(one => (long)one!["misses"]!).ShouldBe([0, 1]);
        shown.Select(one => one!["fetching"]!.AsArray().Count).ShouldBe([0, 1]); // the longer prefix counts
        using var pulled = await Until.DoneAsync(pulling);
    }

    [Fact]
    public async Task Without_upstreams_there_are_none()
    {
        await using var registry = await RegistryApp.StartAsync();
        (await ViewAsync(registry.Http)).ToJsonString().ShouldBe("""{"upstreams":[]}""");
    }

    [Theory]
    [InlineData("basic")]
    [InlineData("token service")]
    [InlineData("refresh token")]
    [InlineData("wrong password")]
    [InlineData("wrong refresh token")]
    [InlineData("wrong token")]
    public async Task No_credential_gets_into_the_log_the_view_or_an_answer(string how)
    {
        using var log = new LogCapture(LogLevel.Trace);
        await using var fake = await FakeUpstream.StartAsync();
        fake.AddImage("a", "1", RegistryClient.RandomBytes(100));
        if (how == "basic")
        {
            fake.RequireBasic("somebody", Secret);
        }
        else
        {
            fake.RequireBearer("somebody", how == "token service" ? Secret : "another");
            fake.Tokens.RefreshToken = how == "refresh token" ? Secret : "another";
        }

        await using var registry = await PulledRegistry.StartAsync(
            one =>
            {
                one.Username = how is "basic" or "token service" or "wrong password" ? "somebody" : null;
                one.Password = one.Username is null ? null : Secret;
                one.RefreshToken = how.EndsWith("refresh token", StringComparison.Ordinal) ? Secret : null;
                one.Token = how == "wrong token" ? Secret : null;
                one.TagTtl = TimeSpan.Zero; // so that it is asked each time
            },
            services: services => services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(log)),
            fake: fake);
        var answers = new List<string>();
        foreach (var fault in new[] { null, new UpstreamFault { RedirectsTo = "ftp://x" }, new UpstreamFault { Status = 500 }, new UpstreamFault { CutsAfter = -1 } })
        {
            fake.Faults = call => call.Path == "/token" ? null : fault;
            foreach (var reference in new[] { "1", "2" })
            {
                using var answer = await registry.Http.GetManifestAsync("up/a", reference);
                answers.Add(await answer.Content.ReadAsStringAsync());
            }
        }

        answers.Add((await ViewAsync(registry.Http)).ToJsonString());
        answers.Add(await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)));
        fake.Calls.ShouldContain(call => call.Authorization != null || call.Path == "/token"); // it was sent
        log.Lines.ShouldContain($"Information: Content is pulled through from up -> {fake.Host}. ");
        string[] secrets =
        [
            Secret,
            .. fake.Calls.Select(call => call.Authorization?.Split(' ')[^1]).OfType<string>().Distinct(), // those that were issued, too
        ];
        foreach (var text in log.Lines.Concat(answers))
        {
            secrets.ShouldAllBe(secret => !text.Contains(secret, StringComparison.Ordinal), text);
        }
    }

    [Fact]
    public async Task Credentials_in_an_address_are_shown_nowhere()
    {
        using var log = new LogCapture(LogLevel.Trace);
        await using var fake = await FakeUpstream.StartAsync();
        await using var registry = await PulledRegistry.StartAsync(
            one => one.Url = $"http://somebody:{Secret}@{fake.Host}/path",
            services: services =>
            {
                services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(log));
                services.RemoveAll<IValidateOptions<OciRegistryOptions>>(); // it would refuse to start
            },
            fake: fake);
        using var failed = await registry.Http.GetManifestAsync("up/a", "1");

        var shown = await ViewAsync(registry.Http);

        ((string?)shown["upstreams"]![0]!["url"]).ShouldBe($"http://{fake.Host}/path");
        log.Lines.Append(shown.ToJsonString()).Append(await failed.Content.ReadAsStringAsync()).ShouldAllBe(
            text => !text.Contains(Secret, StringComparison.Ordinal) && !text.Contains("somebody", StringComparison.Ordinal));
    }

    private static async Task<JsonNode> ShownAsync(PulledRegistry registry) =>
        (await ViewAsync(registry.Http))["upstreams"]!.AsArray().ShouldHaveSingleItem()!;

    private static async Task<JsonNode> ViewAsync(HttpClient http)
    {
        using var answer = await http.GetAsync(new Uri("/admin/upstreams", UriKind.Relative));
        return await answer.JsonAsync();
    }
}
