using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What the registry tells its clients when an upstream's HEAD says less than its GET.</summary>
public sealed class UntrustedHeadTests
{
    /// <summary>Heads that say too little of a manifest.</summary>
    public static TheoryData<string> OfManifests => ["no length", "length 0", "no digest", "no manifest type", "400", "405", "501"];

    [Theory]
    [MemberData(nameof(OfManifests))]
    public async Task A_HEAD_of_a_tag_has_the_length_and_type_of_its_manifest(string lack)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        registry.Upstream.Faults = call => Lacking(call, lack);

        await ShouldBeHeadAsync(registry, "v1", image);
        registry.Upstream.Calls.Select(call => call.Method).ShouldBe(["HEAD", "GET"]);
    }

    [Theory]
    [MemberData(nameof(OfManifests))]
    [InlineData("another digest")]
    public async Task A_HEAD_of_a_digest_has_the_length_and_type_of_its_manifest(string lack)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        registry.Upstream.Faults = call => Lacking(call, lack);

        await ShouldBeHeadAsync(registry, image.Digest.ToString(), image);
        registry.Upstream.Calls.Select(call => call.Method).ShouldBe(["HEAD", "GET"]);
    }

    [Fact]
    public async Task A_tag_that_moves_is_followed_without_HEAD()
    {
        var time = new ManualTimeProvider();
        await using var registry = await PulledRegistry.StartAsync(time: time);
        registry.Upstream.Faults = call => Lacking(call, "405");
        for (byte i = 0; i < 4; i++)
        {
            var image = registry.Upstream.AddImage("a", "v1", [i]);
            using var pulled = await registry.Http.GetManifestAsync("up/a", "v1");
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
            time.Advance(TimeSpan.FromMinutes(6));
        }
    }

    [Fact]
    public async Task A_server_without_HEAD_is_not_broken()
    {
        await using var registry = await PulledRegistry.StartAsync();
        registry.Upstream.Faults = call => call.Method == "HEAD" ? new UpstreamFault { Status = 501 } : null;
        for (byte i = 0; i < 5; i++)
        {
            using var unknown = await registry.Http.HeadBlobAsync("up/a", Digest.Of([i]));
            unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
    }

    [Theory]
    [InlineData("no length")]
    [InlineData("length 0")]
    [InlineData("400")]
    [InlineData("405")]
    [InlineData("501")]
    public async Task A_HEAD_of_a_blob_has_the_length_of_its_GET_and_fetches_nothing(string lack)
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", new byte[1_234]);
        registry.Upstream.Faults = call => Lacking(call, lack);

        using var head = await registry.Http.HeadBlobAsync("up/a", digest);

        await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(1_234);
        registry.Upstream.Calls.Select(call => call.Method).ShouldBe(["HEAD", "GET"]);
        registry.Traffic.Received.ShouldBe(0);
    }

    [Fact]
    public async Task An_empty_blob_has_the_length_0_that_its_HEAD_says()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", []);

        using var head = await registry.Http.HeadBlobAsync("up/a", digest);

        head.Content.Headers.ContentLength.ShouldBe(0);
        registry.Upstream.Calls.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task A_blob_that_no_GET_and_no_HEAD_has_a_length_of_has_that_of_its_manifest()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(100_000));
        var (layer, content) = image.Layers[0];
        registry.Upstream.Faults = call =>
            call.Path.Contains("/blobs/", StringComparison.Ordinal) ? new UpstreamFault { IsChunked = true } : null;
        using (var unknown = await registry.Http.HeadBlobAsync("up/a", layer))
        {
            unknown.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable); // its manifest is not here yet
        }

        using (await registry.Http.GetManifestAsync("up/a", "v1"))
        using (var head = await registry.Http.HeadBlobAsync("up/a", layer))
        {
            head.Content.Headers.ContentLength.ShouldBe(content.Length);
        }

        registry.Upstream.ForgetCalls();
        using var pulled = await registry.Http.GetBlobAsync("up/a", layer);
        await pulled.ShouldBeContentAsync(layer, content);
        pulled.Content.Headers.ContentLength.ShouldBe(content.Length);
        registry.Upstream.Calls.ShouldHaveSingleItem().Method.ShouldBe("GET");
    }

    [Fact]
    public async Task A_HEAD_that_denies_what_its_GET_has_proves_nothing()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var digest = registry.Upstream.AddBlob("a", [1, 2, 3]);
        registry.Upstream.Faults = call => call.Method == "HEAD" ? new UpstreamFault { Status = 404 } : new UpstreamFault { IsChunked = true };
        using (var unsure = await registry.Http.GetBlobAsync("up/a", digest))
        {
            await unsure.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        registry.Upstream.Faults = null;
        using var pulled = await registry.Http.GetBlobAsync("up/a", digest);

        await pulled.ShouldBeContentAsync(digest, [1, 2, 3]);
    }

    private static async Task ShouldBeHeadAsync(PulledRegistry registry, string reference, FakeImage image)
    {
        using var head = await registry.Http.RequestAsync("HEAD", $"/v2/up/a/manifests/{reference}");
        await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(image.Manifest.Length);
        head.Content.Headers.ContentType!.ToString().ShouldBe(MediaTypes.ImageManifest);
        head.Header("Docker-Content-Digest").ShouldBe(image.Digest.ToString());
    }

    private static UpstreamFault? Lacking(UpstreamCall call, string lack) => call.Method != "HEAD" ? null : lack switch
    {
        "no length" => new UpstreamFault { IsChunked = true },
        "length 0" => new UpstreamFault { ClaimsLength = 0 },
        "no digest" => new UpstreamFault { Headers = { ["Docker-Content-Digest"] = "" } },
        "another digest" => new UpstreamFault { Headers = { ["Docker-Content-Digest"] = Digest.Of([1]).ToString() } },
        "no manifest type" => new UpstreamFault { Headers = { ["Content-Type"] = "text/html" } },
        _ => new UpstreamFault { Status = int.Parse(lack, System.Globalization.CultureInfo.InvariantCulture) },
    };
}
