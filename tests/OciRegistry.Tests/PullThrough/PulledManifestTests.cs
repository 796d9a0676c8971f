using System.Net;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Manifests and tags of an upstream: fetched once, asked for again when they are old, gone when they are gone there.</summary>
public sealed class PulledManifestTests
{
    private static readonly TimeSpan TagTtl = TimeSpan.FromMinutes(5);
    private readonly ManualTimeProvider _time = new();

    private static string Image(string layers) =>
        $"{{\"schemaVersion\":2,\"mediaType\":\"{MediaTypes.ImageManifest}\",\"config\":{{\"mediaType\":\"a/b\","
        + $"\"digest\":\"{Digest.Of("{}"u8)}\",\"size\":2}},\"layers\":{layers}}}";

    [Fact]
    public async Task A_manifest_comes_through_byte_for_byte_and_is_fetched_once()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a/b", "v1", RegistryClient.RandomBytes(100));
        for (var i = 0; i < 3; i++)
        {
            using var byTag = await registry.Http.GetManifestAsync("up/a/b", "v1");
            await byTag.ShouldBeContentAsync(image.Digest, image.Manifest);
            byTag.Content.Headers.ContentType!.ToString().ShouldBe(MediaTypes.ImageManifest);
            using var byDigest = await registry.Http.GetManifestAsync("up/a/b", image.Digest.ToString());
            await byDigest.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        registry.Upstream.Calls.Count.ShouldBe(1);
    }

    public static TheoryData<string, string, string> Odd() => new()
    {
        { "layers that are null", Image("null"), MediaTypes.ImageManifest },
        { "no layers", Image("null").Replace(",\"layers\":null", "", StringComparison.Ordinal), MediaTypes.ImageManifest },
        { "a layer without a size", Image("[{\"mediaType\":\"a/b\",\"digest\":\"sha256:x\"}]"), MediaTypes.ImageManifest },
        { "a member twice", Image("[],\"layers\":[]"), MediaTypes.ImageManifest },
        { "another type than it says", Image("[]"), MediaTypes.DockerManifest },
        { "both an index and an image", Image("[],\"manifests\":[]"), MediaTypes.ImageIndex },
        { "a type that nobody knows", "{\"schemaVersion\":7}", "application/vnd.example.thing+json" },
        { "no JSON", "\u0000", "application/vnd.example.thing" },
    };

    [Theory]
    [MemberData(nameof(Odd))]
    public async Task What_is_not_understood_is_passed_on_and_kept_as_it_is(string what, string content, string mediaType)
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var bytes = Encoding.UTF8.GetBytes(content);
        var digest = upstream.AddManifest("a", bytes, mediaType, "v1");
        upstream.AddBlob("a", "{}"u8.ToArray());
        foreach (var reference in new[] { digest.ToString(), "v1", "v1" })
        {
            using var pulled = await http.GetManifestAsync("up/a", reference);
            await pulled.ShouldBeContentAsync(digest, bytes);
            pulled.Content.Headers.ContentType!.ToString().ShouldBe(mediaType, what);
        }

        upstream.Count("GET", $"/manifests/{digest}").ShouldBe(1);
        using (var deleted = await http.DeleteAsync($"/v2/up/a/manifests/{digest}"))
        {
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using var again = await http.GetManifestAsync("up/a", "v1");
        await again.ShouldBeContentAsync(digest, bytes);
    }

    [Theory]
    [InlineData("<html>Log in</html>", "text/html")]
    [InlineData("{\"error\":\"log in\"}", "application/json")]
    public async Task What_no_digest_vouches_for_must_be_a_manifest(string content, string mediaType)
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "v1", [1]);
        registry.Upstream.Faults = _ => new UpstreamFault
        {
            Body = Encoding.UTF8.GetBytes(content),
            Headers = new() { ["Content-Type"] = mediaType, ["Docker-Content-Digest"] = "" },
        };

        using var pulled = await registry.Http.GetManifestAsync("up/a", "v1");

        await pulled.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
    }

    [Fact]
    public async Task Many_at_once_ask_the_upstream_once()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        var asked = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Before = () => asked.Task };
        var pulls = Enumerable.Range(0, 50).Select(_ => registry.Http.GetManifestAsync("up/a", "v1")).ToArray();
        await Until.TrueAsync(() => registry.Upstream.Calls.Count == 1, "the upstream was asked");
        asked.SetResult();
        foreach (var pull in pulls)
        {
            using var pulled = await pull;
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        registry.Upstream.Count("GET", "/manifests/v1").ShouldBe(1);
    }

    [Fact]
    public async Task HEAD_costs_the_upstream_no_GET()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        foreach (var reference in new[] { "v1", image.Digest.ToString(), "v1" })
        {
            using var head = await registry.Http.RequestAsync("HEAD", $"/v2/up/a/manifests/{reference}");
            await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
            head.Content.Headers.ContentLength.ShouldBe(image.Manifest.Length);
            head.Content.Headers.ContentType!.ToString().ShouldBe(MediaTypes.ImageManifest);
            head.Header("Docker-Content-Digest").ShouldBe(image.Digest.ToString());
        }

        registry.Upstream.Count(call => call.Method == "GET").ShouldBe(0);
    }

    [Fact]
    public async Task A_tag_is_asked_for_again_by_HEAD_once_it_is_old_and_fetched_only_when_it_has_moved()
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var first = upstream.AddImage("a", "v1", [1]);
        await PullAsync(http, first);
        upstream.ForgetCalls();

        _time.Advance(TagTtl);
        await PullAsync(http, first);
        var asked = upstream.Calls.ShouldHaveSingleItem();
        asked.Method.ShouldBe("HEAD");
        asked.Headers["If-None-Match"].ShouldBe($"\"{first.Digest}\"");
        await PullAsync(http, first);
        upstream.Calls.Count.ShouldBe(1);

        var second = upstream.AddImage("a", "v1", [2]);
        await PullAsync(http, first); // fresh for another while
        _time.Advance(TagTtl);
        upstream.ForgetCalls();
        await PullAsync(http, second);
        upstream.Calls.Select(call => call.Method).ShouldBe(["HEAD", "GET"]);
    }

    [Fact]
    public async Task A_tag_and_referrers_are_asked_for_again_when_the_clock_was_set_back()
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var upstream = registry.Upstream;
        var first = upstream.AddImage("a", "v1", [1]);
        upstream.AddReferrer("a", first.Digest, "application/signature");
        await PullAsync(registry.Http, first);
        await ListReferrersAsync();
        var second = upstream.AddImage("a", "v1", [2]);
        upstream.ForgetCalls();

        _time.TurnBack(TagTtl + TimeSpan.FromDays(3));
        await registry.App.Services.GetRequiredService<StoreClock>().MeasureAsync(CancellationToken.None);

        await PullAsync(registry.Http, second);
        await ListReferrersAsync();
        upstream.Count(call => call.Path.Contains("/referrers/", StringComparison.Ordinal)).ShouldBe(1);

        async Task ListReferrersAsync()
        {
            using var list = await registry.Http.GetAsync(new Uri($"/v2/up/a/referrers/{first.Digest}", UriKind.Relative));
            await list.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }
    }

    [Fact]
    public async Task A_tag_that_is_gone_upstream_is_gone_here_and_nothing_else_is()
    {
        // R2.2
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var image = upstream.AddImage("a", "v1", [1]);
        upstream.AddManifest("a", image.Manifest, MediaTypes.ImageManifest, "v2");
        await PullAsync(http, image);
        using (await http.GetManifestAsync("up/a", "v2"))
        {
        }

        upstream.RemoveTag("a", "v1");
        for (var i = 0; i < 2; i++)
        {
            _time.Advance(TagTtl);
            using var gone = await http.GetManifestAsync("up/a", "v1");
            await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        upstream.ForgetCalls();
        using (var other = await http.GetManifestAsync("up/a", "v2"))
        {
            await other.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        using (var byDigest = await http.GetManifestAsync("up/a", image.Digest.ToString()))
        {
            await byDigest.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        upstream.Count(call => call.Method == "GET").ShouldBe(0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task What_an_upstream_does_not_have_is_not_asked_for_again_for_10_s(int daysSetBack)
    {
        // R2.5, whatever the machine's clock does
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        var digest = Digest.Of([7]);
        for (var i = 0; i < 5; i++)
        {
            using var byTag = await registry.Http.GetManifestAsync("up/a", "v1");
            await byTag.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
            using var byDigest = await registry.Http.GetManifestAsync("up/a", digest.ToString());
            await byDigest.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        registry.Upstream.Calls.Count.ShouldBe(2);
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        _time.TurnBack(TimeSpan.FromDays(daysSetBack));
        _time.Advance(TimeSpan.FromSeconds(10));
        await PullAsync(registry.Http, image);
    }

    [Fact]
    public async Task An_image_that_was_replaced_is_right_in_the_same_request()
    {
        // R2.3, Incus: the index is cached and fresh, its content is not here and was removed upstream.
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var old = upstream.AddImage("a", "v1", [1]);
        using (var head = await http.RequestAsync("HEAD", "/v2/up/a/manifests/v1"))
        {
            head.Header("Docker-Content-Digest").ShouldBe(old.Digest.ToString());
        }

        var replaced = upstream.AddImage("a", "v1", [2]);
        upstream.RemoveManifest("a", old.Digest);
        upstream.ForgetCalls();
        await PullAsync(http, replaced);
        upstream.Calls.Select(call => $"{call.Method} {call.Path[(call.Path.LastIndexOf('/') + 1)..]}")
            .ShouldBe([$"GET {old.Digest}", "GET v1"]); // one more than without the change

        upstream.ForgetCalls();
        await PullAsync(http, replaced);
        upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_tag_whose_content_is_gone_upstream_is_asked_for_however_fresh_it_is_and_no_other_is()
    {
        // R2.2, R2.3: 404 for a part of what the tag names
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var child = upstream.AddImage("a", "amd64", RegistryClient.RandomBytes(50));
        var index = upstream.AddIndex("a", "v1", child.Digest);
        var others = Enumerable.Range(0, Counts.Of(ci: 50, full: 1_000))
            .Select(i => (Tag: $"other{i}", Image: upstream.AddImage("a", $"other{i}", RegistryClient.RandomBytes(50)))).ToArray();
        foreach (var (tag, _) in others)
        {
            using var pulled = await http.GetManifestAsync("up/a", tag);
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        using (var pulled = await http.GetManifestAsync("up/a", "v1"))
        {
            pulled.Header("Docker-Content-Digest").ShouldBe(index.ToString());
        }

        upstream.RemoveManifest("a", child.Digest);
        var newChild = upstream.AddImage("a", "amd64", RegistryClient.RandomBytes(50));
        var newIndex = upstream.AddIndex("a", "v1", newChild.Digest);
        using (var gone = await http.GetManifestAsync("up/a", child.Digest.ToString()))
        {
            await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        upstream.ForgetCalls();
        using (var pulled = await http.GetManifestAsync("up/a", "v1"))
        {
            pulled.Header("Docker-Content-Digest").ShouldBe(newIndex.ToString());
        }

        upstream.ForgetCalls();
        foreach (var (tag, image) in others)
        {
            using var pulled = await http.GetManifestAsync("up/a", tag);
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_was_pulled_by_its_digest_after_a_HEAD_of_the_tag_is_old_content_of_the_tag()
    {
        // R2.4, as docker and containerd pull
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        await PullAsync(http, upstream.AddImage("a", "v1", [1]));
        _time.Advance(TagTtl);
        var image = upstream.AddImage("a", "v1", [2]); // moved
        foreach (var tag in new[] { "v1", "v2" })
        {
            upstream.AddManifest("a", image.Manifest, MediaTypes.ImageManifest, tag);
            using var head = await http.RequestAsync("HEAD", $"/v2/up/a/manifests/{tag}");
            head.Header("Docker-Content-Digest").ShouldBe(image.Digest.ToString());
        }

        using (var pulled = await http.GetManifestAsync("up/a", image.Digest.ToString()))
        {
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
        }

        upstream.Faults = _ => new UpstreamFault { CutsAfter = -1 };
        _time.Advance(TagTtl);
        foreach (var (method, tag) in new[] { ("HEAD", "v1"), ("GET", "v1"), ("HEAD", "v2"), ("GET", "v2") })
        {
            using var old = await http.RequestAsync(method, $"/v2/up/a/manifests/{tag}");
            await old.ShouldHaveStatusAsync(HttpStatusCode.OK);
            old.Header("Docker-Content-Digest").ShouldBe(image.Digest.ToString());
            old.Header("Warning").ShouldBe("299 - \"Response is stale: the upstream does not answer\"");
        }
    }

    [Fact]
    public async Task A_tag_that_was_asked_for_by_HEAD_is_doubted_as_well_when_its_content_is_gone()
    {
        // What docker and containerd do: HEAD of the tag, then everything by digest.
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var child = upstream.AddImage("a", "amd64", [1]);
        var index = upstream.AddIndex("a", "v1", child.Digest);
        (await HeadAsync(http)).ShouldBe(index.ToString());
        using (var pulled = await http.GetManifestAsync("up/a", index.ToString()))
        {
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        upstream.RemoveManifest("a", child.Digest);
        var newIndex = upstream.AddIndex("a", "v1", upstream.AddImage("a", "amd64", [2]).Digest);
        using (var gone = await http.GetManifestAsync("up/a", child.Digest.ToString()))
        {
            await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        (await HeadAsync(http)).ShouldBe(newIndex.ToString());

        static async Task<string?> HeadAsync(HttpClient http)
        {
            using var head = await http.RequestAsync("HEAD", "/v2/up/a/manifests/v1");
            return head.Header("Docker-Content-Digest");
        }
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(-1)]
    public async Task An_answer_that_proves_nothing_removes_nothing_and_old_content_is_said_to_be_old(int status)
    {
        // R2.4
        await using var registry = await PulledRegistry.StartAsync(up => up.TagTtl = TagTtl, time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var image = upstream.AddImage("a", "v1", [1]);
        await PullAsync(http, image);
        upstream.Faults = _ => status < 0 ? new UpstreamFault { CutsAfter = -1 } : new UpstreamFault { Status = status, Body = [] };
        _time.Advance(TagTtl + TimeSpan.FromSeconds(30));
        for (var i = 0; i < 3; i++)
        {
            using var old = await http.GetManifestAsync("up/a", "v1");
            await old.ShouldBeContentAsync(image.Digest, image.Manifest);
            old.Header("Age").ShouldBe("330");
            old.Header("Warning").ShouldBe("299 - \"Response is stale: the upstream does not answer\"");
        }

        registry.Traffic.Stale.ShouldBe(3);
        upstream.Faults = null;
        _time.Advance(TimeSpan.FromMinutes(5));
        using var fresh = await http.GetManifestAsync("up/a", "v1");
        fresh.Header("Warning").ShouldBeNull();
    }

    [Theory]
    [InlineData(429, HttpStatusCode.TooManyRequests, "TOOMANYREQUESTS", "120")]
    [InlineData(503, HttpStatusCode.ServiceUnavailable, "UNAVAILABLE", "120")]
    [InlineData(500, HttpStatusCode.ServiceUnavailable, "UNAVAILABLE", null)]
    [InlineData(403, HttpStatusCode.Forbidden, "DENIED", null)]
    public async Task What_is_not_here_and_not_to_be_had_is_never_unknown(
        int status, HttpStatusCode answered, string code, string? retryAfter)
    {
        // harbor#23750: a limit that was answered with 404
        await using var registry = await PulledRegistry.StartAsync(time: _time);
        registry.Upstream.Faults = _ => new UpstreamFault { Status = status, RetryAfter = retryAfter, Body = [] };
        using var refused = await registry.Http.GetManifestAsync("up/a", "v1");
        await refused.ShouldBeErrorAsync(answered, code);
        if (retryAfter is not null)
        {
            refused.Header("Retry-After").ShouldBe(retryAfter);

            // It is left alone as long as it wants to be.
            registry.Upstream.ForgetCalls();
            _time.Advance(TimeSpan.FromSeconds(119));
            using var again = await registry.Http.GetManifestAsync("up/a", "v2");
            registry.Upstream.Calls.ShouldBeEmpty();
            _time.Advance(TimeSpan.FromSeconds(2));
            registry.Upstream.Faults = null;
            await PullAsync(registry.Http, registry.Upstream.AddImage("a", "v1", [1]));
        }
    }

    [Fact]
    public async Task A_manifest_with_another_digest_is_never_served()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        var other = registry.Upstream.AddImage("a", "v2", [2]);
        registry.Upstream.Faults = _ => new UpstreamFault { Body = other.Manifest };
        using (var byDigest = await registry.Http.GetManifestAsync("up/a", image.Digest.ToString()))
        {
            await byDigest.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        registry.Upstream.Faults = null;
        await PullAsync(registry.Http, image);
    }

    [Fact]
    public async Task A_manifest_without_end_is_given_up()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.AddImage("a", "v1", [1]);
        registry.Upstream.Faults = _ => new UpstreamFault { ClaimsLength = 1L << 40, IsChunked = true };
        using var refused = await registry.Http.GetManifestAsync("up/a", "v1");
        await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
    }

    [Fact]
    public async Task The_work_goes_on_when_whoever_asked_leaves()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        var asked = new TaskCompletionSource();
        registry.Upstream.Faults = _ => new UpstreamFault { Before = () => asked.Task };
        using var leaving = new CancellationTokenSource();
        var pull = registry.Http.GetAsync("/v2/up/a/manifests/v1", leaving.Token);
        await Until.TrueAsync(() => registry.Upstream.Calls.Count == 1, "the upstream was asked");
        await leaving.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(pull);
        asked.SetResult();
        registry.Upstream.Faults = null;
        await PullAsync(registry.Http, image);
        registry.Upstream.Count("GET", "/manifests/v1").ShouldBe(1);
    }

    [Fact]
    public async Task Referrers_of_both_are_in_one_list()
    {
        await using var registry = await PulledRegistry.StartAsync(
            up => (up.AllowPush, up.TagTtl) = (true, TagTtl), time: _time);
        var (upstream, http) = (registry.Upstream, registry.Http);
        var image = upstream.AddImage("a", "v1", [1]);
        var theirs = upstream.AddReferrer("a", image.Digest, "application/theirs");
        var config = "{}"u8.ToArray();
        await http.PushBlobAsync("up/a", config);
        var ours = RegistryClient.ImageManifest(config, [config], image.Digest);
        using (var put = await http.PutManifestAsync("up/a", Digest.Of(ours).ToString(), ours))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        (await ListAsync(http, image.Digest)).ShouldBe([theirs.ToString(), Digest.Of(ours).ToString()], ignoreOrder: true);
        upstream.ForgetCalls();
        (await ListAsync(http, image.Digest)).Length.ShouldBe(2);
        upstream.Calls.ShouldBeEmpty();

        // What the upstream lists no more is listed no more; what is ours is.
        upstream.RemoveManifest("a", theirs);
        upstream.Faults = call => call.Path.Contains("/referrers/", StringComparison.Ordinal)
            ? new UpstreamFault { Body = RegistryClient.EmptyIndex() }
            : null;
        _time.Advance(TagTtl);
        (await ListAsync(http, image.Digest)).ShouldBe([Digest.Of(ours).ToString()]);

        // And the list is served when the upstream does not answer.
        upstream.Faults = _ => new UpstreamFault { Status = 500 };
        _time.Advance(TagTtl);
        using var old = await http.RequestAsync("GET", $"/v2/up/a/referrers/{image.Digest}");
        await old.ShouldHaveStatusAsync(HttpStatusCode.OK);
        old.Header("Warning").ShouldNotBeNull();
    }

    [Fact]
    public async Task Referrers_of_an_upstream_without_the_API_come_from_its_fallback_tag()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var upstream = registry.Upstream;
        upstream.HasReferrers = false;
        var image = upstream.AddImage("a", "v1", [1]);
        var signature = upstream.AddImage("a", "signature", [2]);
        upstream.AddIndex("a", $"sha256-{image.Digest.Hex}", signature.Digest);
        (await ListAsync(registry.Http, image.Digest)).ShouldBe([signature.Digest.ToString()]);
    }

    [Fact]
    public async Task Tags_are_those_that_the_upstream_has()
    {
        await using var registry = await PulledRegistry.StartAsync();
        foreach (var tag in new[] { "a", "b", "c", "d" })
        {
            registry.Upstream.AddImage("x", tag, [1]);
        }

        var pages = await registry.Http.GetPagesAsync("/v2/up/x/tags/list?n=3");
        pages.Count.ShouldBe(2);
        pages.SelectMany(page => page.Texts("tags")).ShouldBe(["a", "b", "c", "d"]);
        pages[0]["name"]!.ToString().ShouldBe("up/x");
        using var unknown = await registry.Http.RequestAsync("GET", "/v2/up/nothing/tags/list");
        await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");

        using (await registry.Http.GetManifestAsync("up/x", "b"))
        {
        }

        registry.Upstream.Faults = _ => new UpstreamFault { Status = 500 };
        using var old = await registry.Http.RequestAsync("GET", "/v2/up/x/tags/list");
        (await old.JsonAsync()).Texts("tags").ShouldBe(["b"]);
        old.Header("Warning").ShouldNotBeNull();
    }

    private static async Task PullAsync(HttpClient http, FakeImage image)
    {
        using var pulled = await http.GetManifestAsync("up/a", "v1");
        await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
    }

    private static async Task<string[]> ListAsync(HttpClient http, Digest subject)
    {
        using var listed = await http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");
        return [.. (await listed.JsonAsync())["manifests"]!.AsArray().Select(one => one!["digest"]!.ToString())];
    }
}
