using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.PullThrough;

/// <summary>Who is pulled through, and how it wants to be told who asks.</summary>
public enum RealUpstream
{
    Distribution,

    /// <summary>By name and password with each request.</summary>
    DistributionWithBasic,

    /// <summary>Another one of this kind.</summary>
    Own,

    OwnWithBasic,

    OwnWithTokens,
}

/// <summary>What registries as there are really say: somebody else's, and our own, which a region or a site pulls through.</summary>
public sealed class RealUpstreamTests
{
    private const string Repository = "team/app"; // Alice's
    private const string Here = "up/" + Repository;

    public static TheoryData<RealUpstream> Every => [.. Enum.GetValues<RealUpstream>()];

    public static TheoryData<RealUpstream> Guarded =>
        [RealUpstream.DistributionWithBasic, RealUpstream.OwnWithBasic, RealUpstream.OwnWithTokens];

    [Theory]
    [MemberData(nameof(Every))]
    public async Task What_it_has_comes_through_outlives_it_and_follows_it(RealUpstream kind)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var upstream = await StartAsync(kind, accounts);
        await using var registry = await ServerProcess.StartAsync(
            [.. Settings(kind, upstream, Accounts.Alice), "OciRegistry:PullThrough:Upstreams:0:TagTtl=00:00:00"]);
        var first = await PushAsync(upstream.Http, "v1");
        foreach (var _ in Enumerable.Range(0, 2))
        {
            await ShouldHaveAsync(registry.Http, "v1", first, isOld: false);
        }

        // All of it is here now; only of the tag it cannot be said that it still is so.
        await upstream.KillAsync();
        await ShouldHaveAsync(registry.Http, "v1", first, isOld: true);

        // An upstream that was broken is left alone for a moment.
        await upstream.RestartAsync();
        var second = await PushAsync(upstream.Http, "v1");
        await Until.TrueAsync(
            async () => await registry.Http.DigestAsync(Here, "v1") == second[0].Digest.ToString(), "the tag is what it is there");
        await ShouldHaveAsync(registry.Http, "v1", second, isOld: false);

        using (var deleted = await upstream.Http.DeleteAsync($"/v2/{Repository}/manifests/{second[0].Digest}"))
        {
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        await registry.Http.ShouldNotHaveAsync(Here, "v1");
    }

    [Theory]
    [MemberData(nameof(Guarded))]
    public async Task Without_the_right_password_nothing_comes_through(RealUpstream kind)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var upstream = await StartAsync(kind, accounts);
        var image = await PushAsync(upstream.Http, "v1");
        await using var wrong = await ServerProcess.StartAsync(
            Settings(kind, upstream, Accounts.Alice with { Password = "a guess" }));
        await using var anonymous = await ServerProcess.StartAsync(Settings(RealUpstream.Own, upstream, Accounts.Alice));
        foreach (var http in new[] { wrong.Http, anonymous.Http })
        {
            var paths = image.Select(part => part.Path).Prepend("manifests/v1").Append($"blobs/{Digest.Of([1])}");
            foreach (var path in paths)
            {
                using var denied = await http.RequestAsync("GET", $"/v2/{Here}/{path}");
                await denied.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Every))]
    public async Task What_it_does_not_have_is_unknown(RealUpstream kind)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var upstream = await StartAsync(kind, accounts);
        await using var registry = await ServerProcess.StartAsync(Settings(kind, upstream, Accounts.Alice));
        await PushAsync(upstream.Http, "v1");
        await registry.Http.ShouldNotHaveAsync(Here, "v2");
        await registry.Http.ShouldNotHaveAsync(Here, Digest.Of([1]).ToString());
        using var blob = await registry.Http.GetBlobAsync(Here, Digest.Of([1]));
        await blob.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
    }

    private static async Task<IUpstreamRegistry> StartAsync(RealUpstream kind, Accounts accounts)
    {
        IUpstreamRegistry upstream = kind switch
        {
            RealUpstream.Distribution => await DistributionRegistry.StartAsync(),
            RealUpstream.DistributionWithBasic => await DistributionRegistry.StartAsync(Accounts.Alice),
            RealUpstream.Own => await ServerProcess.StartAsync(),
            RealUpstream.OwnWithBasic => await ServerProcess.StartAsync(accounts.Settings(Login.Basic)),
            _ => await ServerProcess.StartAsync(accounts.Settings(Login.Tokens)),
        };
        upstream.Http.DefaultRequestHeaders.Authorization = kind switch
        {
            RealUpstream.DistributionWithBasic or RealUpstream.OwnWithBasic => Accounts.Alice.Basic,
            RealUpstream.OwnWithTokens =>
                await Accounts.Alice.TokenAsync(upstream.Http, $"repository:{Repository}:pull,push,delete"),
            _ => null,
        };
        return upstream;
    }

    private static string[] Settings(RealUpstream kind, IUpstreamRegistry upstream, Account account)
    {
        const string First = "OciRegistry:PullThrough:Upstreams:0";
        string[] settings = [$"{First}:Prefix=up", $"{First}:Url=http://{upstream.Host}"];
        return kind is RealUpstream.Distribution or RealUpstream.Own
            ? settings
            : [.. settings, $"{First}:Username={account.Name}", $"{First}:Password={account.Password}"];
    }

    /// <summary>An index, the image in it, and the image's blobs: all that a pull asks for, in its order.</summary>
    private static async Task<List<Part>> PushAsync(HttpClient http, string tag)
    {
        byte[][] blobs = [RegistryClient.RandomBytes(200), RegistryClient.RandomBytes(3_000_000), RegistryClient.RandomBytes(10_000)];
        foreach (var blob in blobs)
        {
            await http.PushBlobAsync(Repository, blob);
        }

        var image = RegistryClient.ImageManifest(blobs[0], blobs[1..]);
        var index = RegistryClient.ImageIndex([RegistryClient.Describe(image, MediaTypes.ImageManifest)]);
        foreach (var (reference, manifest, mediaType) in new[]
        {
            (Digest.Of(image).ToString(), image, MediaTypes.ImageManifest), (tag, index, MediaTypes.ImageIndex),
        })
        {
            using var pushed = await http.PutManifestAsync(Repository, reference, manifest, mediaType);
            await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        return
        [
            new(index, "manifests", MediaTypes.ImageIndex),
            new(image, "manifests", MediaTypes.ImageManifest),
            .. blobs.Select(blob => new Part(blob, "blobs", MediaTypes.OctetStream)),
        ];
    }

    private static async Task ShouldHaveAsync(HttpClient http, string tag, List<Part> image, bool isOld)
    {
        using (var tagged = await http.GetManifestAsync(Here, tag))
        {
            await tagged.ShouldBeContentAsync(image[0].Digest, image[0].Content);
            tagged.Header("Warning").ShouldBe(isOld ? "299 - \"Response is stale: the upstream does not answer\"" : null);
        }

        foreach (var part in image)
        {
            using var pulled = await http.RequestAsync("GET", $"/v2/{Here}/{part.Path}");
            await pulled.ShouldBeContentAsync(part.Digest, part.Content);
            pulled.Header("Content-Type").ShouldBe(part.MediaType);
            pulled.Header("Warning").ShouldBeNull(); // what a digest names does not get old
        }
    }

    private sealed record Part(byte[] Content, string Kind, string MediaType)
    {
        public Digest Digest { get; } = Digest.Of(Content);

        public string Path => $"{Kind}/{Digest}";
    }
}
