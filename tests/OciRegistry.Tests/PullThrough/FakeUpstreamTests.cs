using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>The double of an upstream answers as a registry does, so that what is tested with it is tested.</summary>
public sealed class FakeUpstreamTests
{
    [Fact]
    public async Task A_fake_upstream_serves_what_was_put_into_it()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        using var http = new HttpClient { BaseAddress = upstream.Url };
        var image = upstream.AddImage("a/b", "1", [1, 2, 3], new byte[40_000]);
        upstream.AddIndex("a/b", "all", image.Digest);
        upstream.AddReferrer("a/b", image.Digest, "text/x");
        upstream.RateLimitRemaining = 7;

        using var manifest = await http.GetAsync("/v2/a/b/manifests/1");
        await manifest.ShouldBeContentAsync(image.Digest, image.Manifest);
        manifest.Headers.GetValues("ratelimit-remaining").ShouldBe(["6;w=21600"]);
        using var layer = await http.GetAsync($"/v2/a/b/blobs/{image.Layers[1].Digest}");
        await layer.ShouldBeContentAsync(image.Layers[1].Digest, image.Layers[1].Content);

        using var again = new HttpRequestMessage(HttpMethod.Get, "/v2/a/b/manifests/1") { Headers = { { "If-None-Match", $"\"{image.Digest}\"" } } };
        (await http.SendAsync(again)).StatusCode.ShouldBe(HttpStatusCode.NotModified);
        using var part = new HttpRequestMessage(HttpMethod.Get, $"/v2/a/b/blobs/{image.Layers[0].Digest}") { Headers = { { "Range", "bytes=1-" } } };
        (await (await http.SendAsync(part)).Content.ReadAsByteArrayAsync()).ShouldBe([2, 3]);

        using var tags = await http.GetAsync("/v2/a/b/tags/list?n=1");
        (await tags.JsonAsync()).Texts("tags").ShouldBe(["1"]);
        tags.Headers.GetValues("Link").ShouldBe(["</v2/a/b/tags/list?n=1&last=1>; rel=\"next\""]);
        (await http.GetStringAsync($"/v2/a/b/referrers/{image.Digest}")).ShouldContain("text/x");
        upstream.RemoveManifest("a/b", image.Digest);
        (await http.GetAsync("/v2/a/b/manifests/1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        upstream.Count("GET", "/manifests/1").ShouldBe(3);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_fake_upstream_breaks_off_after_as_many_bytes_as_it_is_told_to(bool isChunked)
    {
        await using var upstream = await FakeUpstream.StartAsync();
        using var http = new HttpClient { BaseAddress = upstream.Url };
        var path = $"/v2/a/blobs/{upstream.AddBlob("a", new byte[50_000])}";
        upstream.Faults = _ => new UpstreamFault { CutsAfter = 20_000, IsChunked = isChunked };
        for (var i = 0; i < 100; i++)
        {
            using var response = await http.GetAsync(path, HttpCompletionOption.ResponseHeadersRead);
            await using var body = await response.Content.ReadAsStreamAsync();
            await body.ReadExactlyAsync(new byte[20_000]);
            await Should.ThrowAsync<IOException>(() => body.ReadAsync(new byte[1]).AsTask());
        }
    }

    [Fact]
    public async Task A_fake_upstream_fails_as_it_is_told_to()
    {
        await using var upstream = await FakeUpstream.StartAsync();
        using var http = new HttpClient { BaseAddress = upstream.Url };
        var blob = upstream.AddBlob("a", new byte[50_000]);
        var path = $"/v2/a/blobs/{blob}";

        upstream.Faults = _ => new UpstreamFault { CutsAfter = 20_000 };
        await Should.ThrowAsync<HttpRequestException>(() => http.GetByteArrayAsync(path));
        upstream.Faults = _ => new UpstreamFault { ClaimsLength = 10 };
        (await http.GetByteArrayAsync(path)).Length.ShouldBe(10);
        upstream.Faults = _ => new UpstreamFault { ClaimsLength = 120_000, IsChunked = true };
        (await http.GetByteArrayAsync(path)).Length.ShouldBe(120_000);
        upstream.Faults = _ => new UpstreamFault { Status = 429, RetryAfter = "7" };
        using var limited = await http.GetAsync(path);
        (limited.StatusCode, limited.Header("Retry-After")).ShouldBe((HttpStatusCode.TooManyRequests, "7"));
        upstream.Faults = null;
        upstream.RequireBearer();
        using var denied = await http.GetAsync(path);
        await denied.ShouldHaveStatusAsync(HttpStatusCode.Unauthorized);
        denied.Headers.WwwAuthenticate.ShouldHaveSingleItem().Parameter!.ShouldContain("scope=\"repository:a:pull\"");
    }
}
