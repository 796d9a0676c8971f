using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-12a and end-12b: GET /v2/&lt;name&gt;/referrers/&lt;digest&gt;.</summary>
public sealed class ReferrersTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private const string Signature = "application/vnd.example.signature.v1+json";
    private const string Sbom = "application/vnd.example.sbom.v1";

    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly Digest _subject = Digest.Of(RegistryClient.RandomBytes(10)); // never pushed: it need not exist

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_has_no_referrers_has_an_empty_index(bool repositoryExists)
    {
        if (repositoryExists)
        {
            await _http.PushBlobAsync(_repository, [1]);
        }

        using var response = await ListAsync("");

        response.Header("Content-Type").ShouldBe(MediaTypes.ImageIndex);
        (await response.JsonAsync()).ToJsonString().ShouldBe(
            """{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1\u002Bjson","manifests":[]}""");
        response.Header("OCI-Filters-Applied").ShouldBeNull();
    }

    [Theory]
    [InlineData("sha256:abc")]
    [InlineData("sha256:baddigeststring")]
    [InlineData("latest")]
    [InlineData("md5:d41d8cd98f00b204e9800998ecf8427e")]
    public async Task A_malformed_digest_is_answered_with_400(string digest)
    {
        using var response = await _http.RequestAsync("GET", $"/v2/{_repository}/referrers/{digest}");

        await response.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task A_referrer_is_listed_with_its_type_size_and_annotations()
    {
        var own = Manifest(Signature);
        own["annotations"] = new JsonObject { ["b"] = "2", ["a"] = "ä\n<&>", [""] = "" };
        var referrer = await PushAsync(own);

        var listed = (await ReferrersAsync("")).ShouldHaveSingleItem();

        ((string?)listed["digest"]).ShouldBe(Digest.Of(referrer).ToString());
        ((string?)listed["mediaType"]).ShouldBe(MediaTypes.ImageManifest);
        ((long)listed["size"]!).ShouldBe(referrer.Length);
        ((string?)listed["artifactType"]).ShouldBe(Signature);
        listed["annotations"]!.ToJsonString().ShouldBe(own["annotations"]!.ToJsonString());
    }

    [Fact]
    public async Task An_image_without_artifactType_has_its_configs_type()
    {
        await PushAsync(Manifest(null));

        ((string?)(await ReferrersAsync("")).ShouldHaveSingleItem()["artifactType"])
            .ShouldBe("application/vnd.oci.image.config.v1+json");
    }

    [Fact]
    public async Task An_index_without_artifactType_has_none()
    {
        await PushAsync(JsonNode.Parse(RegistryClient.ImageIndex([], _subject))!.AsObject());

        var listed = (await ReferrersAsync("")).ShouldHaveSingleItem();
        listed.AsObject().ContainsKey("artifactType").ShouldBeFalse();
        ((string?)listed["mediaType"]).ShouldBe(MediaTypes.ImageIndex);
    }

    [Fact]
    public async Task Children_of_an_index_are_listed_beside_it()
    {
        byte[][] children = [await PushAsync(Manifest(Sbom)), await PushAsync(Manifest(Signature))];
        var index = RegistryClient.ImageIndex(
            children.Select(child => RegistryClient.Describe(child, MediaTypes.ImageManifest)), _subject, Sbom);
        await PushAsync(JsonNode.Parse(index)!.AsObject());

        (await ReferrersAsync("")).Count.ShouldBe(3);
    }

    [Fact]
    public async Task A_referrer_that_is_pushed_twice_is_listed_once()
    {
        var referrer = Manifest(Sbom);
        await PushAsync(referrer, "v1");
        await PushAsync(referrer, "v2");

        (await ReferrersAsync("")).ShouldHaveSingleItem();
    }

    [Fact]
    public async Task Referrers_belong_to_a_repository_and_a_subject()
    {
        await PushAsync(Manifest(Sbom));

        using var otherRepository = await _http.RequestAsync(
            "GET", $"/v2/{RegistryClient.NewRepository()}/referrers/{_subject}");
        (await otherRepository.JsonAsync())["manifests"]!.AsArray().ShouldBeEmpty();
        using var otherSubject = await _http.RequestAsync(
            "GET", $"/v2/{_repository}/referrers/{Digest.Of("other"u8)}");
        (await otherSubject.JsonAsync())["manifests"]!.AsArray().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("application%2Fvnd.example.signature.v1%2Bjson")]
    [InlineData("application/vnd.example.signature.v1%2bjson")]
    [InlineData("application/vnd.example.signature.v1+json")] // a raw '+' is a space in a query
    public async Task A_filter_takes_one_artifact_type_and_says_so(string escaped)
    {
        await PushAsync(Manifest(Sbom));
        var signature = await PushAsync(Manifest(Signature));

        using var response = await ListAsync($"?artifactType={escaped}");

        response.Header("OCI-Filters-Applied").ShouldBe("artifactType");
        ((string?)(await response.JsonAsync())["manifests"]!.AsArray().ShouldHaveSingleItem()!["digest"])
            .ShouldBe(Digest.Of(signature).ToString());
    }

    [Fact]
    public async Task A_filter_that_nothing_passes_gives_an_empty_index()
    {
        await PushAsync(Manifest(Sbom));

        using var response = await ListAsync("?artifactType=application/vnd.example.sbom");

        response.Header("OCI-Filters-Applied").ShouldBe("artifactType");
        (await response.JsonAsync())["manifests"]!.AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_deleted_referrer_is_no_longer_listed()
    {
        var first = await PushAsync(Manifest(Sbom));
        var second = await PushAsync(Manifest(Sbom));

        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/{Digest.Of(first)}");

        ((string?)(await ReferrersAsync("")).ShouldHaveSingleItem()["digest"]).ShouldBe(Digest.Of(second).ToString());
    }

    [Fact]
    public async Task Referrers_stay_when_their_subject_is_deleted()
    {
        var image = await _http.PushImageAsync(_repository, "v1");
        await _http.PushImageAsync(_repository, "signature", subject: Digest.Of(image));

        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/{Digest.Of(image)}");

        using var response = await _http.RequestAsync("GET", $"/v2/{_repository}/referrers/{Digest.Of(image)}");
        (await response.JsonAsync())["manifests"]!.AsArray().Count.ShouldBe(1);
    }

    [Theory]
    [InlineData("", 7)]
    [InlineData("&artifactType=" + Sbom, 3)]
    public async Task A_long_list_is_linked_to_its_end(string filter, int count)
    {
        for (var i = 0; i < 7; i++)
        {
            await PushAsync(Manifest(i % 2 == 0 ? Signature : Sbom));
        }

        var all = (await ReferrersAsync(filter.Length == 0 ? "" : $"?{filter}")).Select(r => (string)r["digest"]!).ToList();
        all.Count.ShouldBe(count);
        all.ShouldBeUnique();

        var pages = await _http.GetPagesAsync($"/v2/{_repository}/referrers/{_subject}?n=2{filter}");
        pages.ShouldAllBe(page => page["manifests"]!.AsArray().Count <= 2);
        pages.SelectMany(page => page["manifests"]!.AsArray()).Select(r => (string)r!["digest"]!).ShouldBe(all);
    }

    [Fact]
    public async Task A_page_ends_at_a_size_that_clients_take() // oras and go-containerregistry stop at 4 MiB
    {
        for (var i = 0; i < 3; i++)
        {
            var large = Manifest(Sbom);
            large["annotations"] = new JsonObject { ["large"] = new string('x', 1_000_000), ["i"] = $"{i}" };
            await PushAsync(large);
        }

        var pages = await _http.GetPagesAsync($"/v2/{_repository}/referrers/{_subject}");

        pages.Select(page => page["manifests"]!.AsArray().Count).ShouldBe([2, 1]);
    }

    [Fact]
    public async Task A_fallback_tag_is_an_ordinary_tag() // notation writes it even where there is this API
    {
        var tag = _subject.ToString().Replace(':', '-');
        var index = RegistryClient.EmptyIndex();

        using var put = await _http.PutManifestAsync(_repository, tag, index, MediaTypes.ImageIndex);
        await put.ShouldHaveCreatedAsync(_http, Digest.Of(index), index);
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/{Digest.Of(index)}");
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    private JsonObject Manifest(string? artifactType)
    {
        var manifest = JsonNode.Parse(RegistryClient.ImageManifest("{}"u8.ToArray(), [], _subject))!.AsObject();
        manifest["annotations"] = new JsonObject { ["unique"] = Guid.NewGuid().ToString() };
        if (artifactType is not null)
        {
            manifest["artifactType"] = artifactType;
        }

        return manifest;
    }

    private async Task<byte[]> PushAsync(JsonObject manifest, string? tag = null)
    {
        await _http.PushBlobAsync(_repository, "{}"u8.ToArray());
        var content = Encoding.UTF8.GetBytes(manifest.ToJsonString());
        using var put = await _http.PutManifestAsync(
            _repository, tag ?? Digest.Of(content).ToString(), content, (string)manifest["mediaType"]!);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return content;
    }

    private async Task<List<JsonNode>> ReferrersAsync(string query)
    {
        using var response = await ListAsync(query);
        response.Header("Link").ShouldBeNull();
        return [.. (await response.JsonAsync())["manifests"]!.AsArray().Select(referrer => referrer!)];
    }

    private Task<HttpResponseMessage> ListAsync(string query) =>
        _http.RequestAsync("GET", $"/v2/{_repository}/referrers/{_subject}{query}");
}
