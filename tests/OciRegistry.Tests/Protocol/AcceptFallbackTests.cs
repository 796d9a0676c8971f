using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>Manifests:AcceptFallback: what a client gets that accepts image manifests, and asks for the tag of an index.</summary>
public sealed class AcceptFallbackTests
{
    private const string Images = $"{MediaTypes.ImageManifest}, {MediaTypes.DockerManifest}";

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    public async Task A_client_that_accepts_no_index_gets_the_manifest_of_the_platform(string method)
    {
        await using var registry = await StartAsync("linux/arm64");
        var (_, images) = await PushIndexAsync(registry);

        using var pulled = await registry.Http.RequestAsync(method, "/v2/a/manifests/v1", ("Accept", Images));

        await ShouldBeAsync(pulled, images[1], MediaTypes.ImageManifest, method);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("*/*")]
    [InlineData("application/*")]
    [InlineData($"{MediaTypes.DockerManifest}, {MediaTypes.ImageIndex}")]
    [InlineData($"{MediaTypes.ImageManifest};q=0.5, */*;q=0.1")]
    [InlineData(MediaTypes.DockerManifest)] // not the type of the platform's manifest either
    [InlineData("text/html")]
    [InlineData($"{MediaTypes.ImageManifest};q=0")]
    [InlineData("no type at all")]
    public async Task Every_other_client_gets_the_index(string? accept)
    {
        await using var registry = await StartAsync("linux/amd64");
        var (index, _) = await PushIndexAsync(registry);

        using var pulled = accept is null
            ? await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1")
            : await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", accept));

        await ShouldBeAsync(pulled, index, MediaTypes.ImageIndex, "GET");
    }

    [Fact]
    public async Task A_docker_list_is_replaced_for_clients_of_docker_types()
    {
        await using var registry = await StartAsync("linux/amd64");
        var config = """{"architecture":"amd64","os":"linux"}"""u8.ToArray();
        await registry.Http.PushBlobAsync("a", config);
        var image = System.Text.Encoding.UTF8.GetBytes(new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.DockerManifest,
            ["config"] = RegistryClient.Describe(config, "application/vnd.docker.container.image.v1+json"),
            ["layers"] = new JsonArray(),
        }.ToJsonString());
        using var pushed = await registry.Http.PutManifestAsync("a", "amd64", image, MediaTypes.DockerManifest);
        var list = System.Text.Encoding.UTF8.GetBytes(new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.DockerManifestList,
            ["manifests"] = new JsonArray(Of("linux", "amd64", null, image, MediaTypes.DockerManifest)),
        }.ToJsonString());
        using var pushedList = await registry.Http.PutManifestAsync("a", "v1", list, MediaTypes.DockerManifestList);
        await pushedList.ShouldHaveStatusAsync(HttpStatusCode.Created);

        using var pulled = await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", MediaTypes.DockerManifest));

        await ShouldBeAsync(pulled, image, MediaTypes.DockerManifest, "GET");
    }

    [Theory]
    [InlineData("linux/arm/v6", 2)]
    [InlineData("linux/arm/v7", 3)]
    [InlineData("linux/arm", 2)] // the first
    [InlineData("linux/arm64/v8", 1)] // what an index says with no variant
    [InlineData("linux/aarch64", 1)]
    [InlineData("Linux/X86_64", 0)]
    [InlineData("linux/arm64/v9", null)]
    [InlineData("windows/amd64", null)]
    [InlineData("linux/arm/v8", null)]
    public async Task The_variant_counts_where_it_is_set(string platform, int? image)
    {
        await using var registry = await StartAsync(platform);
        var (index, images) = await PushIndexAsync(registry);

        using var pulled = await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", Images));

        await ShouldBeAsync(
            pulled, image is { } i ? images[i] : index, image is null ? MediaTypes.ImageIndex : MediaTypes.ImageManifest, "GET");
    }

    [Fact]
    public async Task What_the_client_does_not_accept_is_passed_over_for_the_next_of_the_platform()
    {
        await using var registry = await StartAsync("linux/amd64");
        var (index, images) = await PushIndexAsync(registry);
        var outer = RegistryClient.ImageIndex(
            [Of("linux", "amd64", null, index, MediaTypes.ImageIndex), Of("linux", "amd64", null, images[2])]);
        using var pushed = await registry.Http.PutManifestAsync("a", "outer", outer, MediaTypes.ImageIndex);
        await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);

        using var pulled = await registry.Http.RequestAsync("GET", "/v2/a/manifests/outer", ("Accept", Images));

        await ShouldBeAsync(pulled, images[2], MediaTypes.ImageManifest, "GET");
    }

    [Fact]
    public async Task What_is_asked_for_by_digest_is_never_replaced()
    {
        await using var registry = await StartAsync("linux/amd64");
        var (index, _) = await PushIndexAsync(registry);

        using var pulled = await registry.Http.RequestAsync("GET", $"/v2/a/manifests/{Digest.Of(index)}", ("Accept", Images));

        await ShouldBeAsync(pulled, index, MediaTypes.ImageIndex, "GET");
        pulled.Headers.Vary.ShouldBeEmpty();
    }

    [Fact]
    public async Task Without_the_setting_every_client_gets_the_index()
    {
        await using var registry = await StartAsync(null);
        var (index, _) = await PushIndexAsync(registry);

        using var pulled = await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", Images));

        await ShouldBeAsync(pulled, index, MediaTypes.ImageIndex, "GET");
    }

    [Fact]
    public async Task Caches_and_conditions_tell_the_two_apart()
    {
        await using var registry = await StartAsync("linux/amd64");
        var (index, images) = await PushIndexAsync(registry);

        using var whole = await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", "*/*"));
        using var same = await registry.Http.RequestAsync(
            "GET", "/v2/a/manifests/v1", ("Accept", Images), ("If-None-Match", $"\"{Digest.Of(images[0])}\""));
        using var other = await registry.Http.RequestAsync(
            "GET", "/v2/a/manifests/v1", ("Accept", Images), ("If-None-Match", $"\"{Digest.Of(index)}\""));

        whole.Headers.Vary.ShouldBe(["Accept"]);
        same.StatusCode.ShouldBe(HttpStatusCode.NotModified);
        same.Headers.Vary.ShouldBe(["Accept"]);
        await ShouldBeAsync(other, images[0], MediaTypes.ImageManifest, "GET");
    }

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    public async Task An_index_of_an_upstream_is_replaced_as_well(string method)
    {
        await using var registry = await PulledRegistry.StartAsync(options: options => options.Manifests.AcceptFallback = "linux/arm64");
        var amd64 = registry.Upstream.AddImage("a", "amd64", [1]);
        var arm64 = registry.Upstream.AddImage("a", "arm64", [2]);
        registry.Upstream.AddIndex("a", "v1", amd64.Digest, arm64.Digest);

        using var pulled = await registry.Http.RequestAsync(method, "/v2/up/a/manifests/v1", ("Accept", Images));

        await ShouldBeAsync(pulled, arm64.Manifest, MediaTypes.ImageManifest, method);
    }

    [Fact]
    public async Task A_manifest_of_the_platform_that_is_not_here_is_unknown()
    {
        await using var registry = await StartAsync("linux/amd64", options => options.Manifests.References = ManifestReferences.SparseIndexes);
        var index = RegistryClient.ImageIndex([Of("linux", "amd64", null, RegistryClient.RandomBytes(10))]);
        using var pushed = await registry.Http.PutManifestAsync("a", "v1", index, MediaTypes.ImageIndex);

        using var pulled = await registry.Http.RequestAsync("GET", "/v2/a/manifests/v1", ("Accept", Images));

        await pulled.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Theory]
    [InlineData("linux")]
    [InlineData("linux/")]
    [InlineData("/amd64")]
    [InlineData("linux/arm/v7/x")]
    [InlineData("linux/amd 64")]
    public void A_platform_that_is_none_is_told(string platform)
    {
        var options = new OciRegistryOptions();
        options.Manifests.AcceptFallback = platform;

        options.Problems().ShouldHaveSingleItem().ShouldContain("Manifests:AcceptFallback");
    }

    private static Task<RegistryApp> StartAsync(string? platform, Action<OciRegistryOptions>? more = null) => RegistryApp.StartAsync(options =>
    {
        options.Manifests.AcceptFallback = platform;
        more?.Invoke(options);
    });

    private static async Task<(byte[] Index, byte[][] Images)> PushIndexAsync(RegistryApp registry)
    {
        (string Os, string Architecture, string? Variant)[] platforms =
            [("linux", "amd64", null), ("linux", "arm64", null), ("linux", "arm", "v6"), ("linux", "arm", "v7")];
        var images = new byte[platforms.Length][];
        for (var i = 0; i < images.Length; i++)
        {
            images[i] = await registry.Http.PushImageAsync("a", $"image-{i}");
        }

        var index = RegistryClient.ImageIndex(platforms.Select((one, i) => Of(one.Os, one.Architecture, one.Variant, images[i])));
        using var pushed = await registry.Http.PutManifestAsync("a", "v1", index, MediaTypes.ImageIndex);
        await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return (index, images);
    }

    private static JsonObject Of(
        string os, string architecture, string? variant, byte[] image, string mediaType = MediaTypes.ImageManifest)
    {
        var descriptor = RegistryClient.Describe(image, mediaType);
        var platform = new JsonObject { ["os"] = os, ["architecture"] = architecture };
        if (variant is not null)
        {
            platform["variant"] = variant;
        }

        descriptor["platform"] = platform;
        return descriptor;
    }

    private static async Task ShouldBeAsync(HttpResponseMessage pulled, byte[] manifest, string mediaType, string method)
    {
        pulled.Header("Content-Type").ShouldBe(mediaType);
        if (method == "GET")
        {
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
            return;
        }

        await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        pulled.Header("Docker-Content-Digest").ShouldBe(Digest.Of(manifest).ToString());
        pulled.Content.Headers.ContentLength.ShouldBe(manifest.Length);
    }
}
