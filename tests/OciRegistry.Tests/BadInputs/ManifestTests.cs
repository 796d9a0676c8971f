using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Groups 9 to 13: manifests. What each member may be is in Repositories/ManifestTests.</summary>
public sealed class ManifestTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    private const string Hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    private const string Descriptor = $$"""{"mediaType":"a/b","size":0,"digest":"sha256:{{Hex}}"}""";
    private const string DescriptorStart = $$"""{"mediaType":"a/b","digest":"sha256:{{Hex}}",""";

    public static TheoryData<string> BadManifests =>
    [
        "", " ", "null", "true", "1", "\"\"", "[]", "{", "{}", "{}{}", "\u00ef\u00bb\u00bf{\"schemaVersion\":2,\"manifests\":[]}", // BOM
        "{\"schemaVersion\":2,\"manifests\":[]}x", "{\"schemaVersion\":2,\"manifests\":[]}\0", "{\"schemaVersion\":2,\"manifests\":[],}",
        "{\"schemaVersion\":2,/**/\"manifests\":[]}", "{'schemaVersion':2,'manifests':[]}", "{\"schemaVersion\":2,\"manifests\":[]}\n//",
        "{\"schemaVersion\":\"2\",\"manifests\":[]}", "{\"schemaVersion\":1,\"manifests\":[]}", "{\"schemaVersion\":2.5,\"manifests\":[]}",
        "{\"schemaVersion\":2,\"schemaVersion\":2,\"manifests\":[]}", "{\"schemaVersion\":2,\"manifests\":[],\"Manifests\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"\\u006danifests\":[]}", "{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\\ud800\"}",
        "{\"schemaVersion\":2,\"manifests\":{}}", "{\"schemaVersion\":2,\"manifests\":[null]}",
        "{\"schemaVersion\":2,\"manifests\":[[]]}", "{\"schemaVersion\":2,\"manifests\":[{}]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":[]}", "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":1}}",
        "{\"schemaVersion\":2,\"manifests\":[],\"artifactType\":1}", "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"config\":{}}", "{\"schemaVersion\":2,\"layers\":[]}", "{\"schemaVersion\":2,\"config\":{},\"layers\":null}",
        "{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\u00ff\u00fe\"}", "\u00fe\u00ff\0{\0}", "{\0\"\0", "\u001f\u008b\b\0", // bad UTF-8, UTF-16, gzip
        Listed("\"size\":\"0\"}"), Listed("\"size\":-1}"), Listed("\"size\":1e400}"), Listed("\"size\":9223372036854775808}"), Listed("\"size\":0.5}"),
        Listed("\"size\":0,\"digest\":\"sha256:x\"}"), Listed("\"size\":null}"), Listed("\"size\":0,\"data\":\"eA==\"}"), Listed("\"size\":0,\"data\":\"!\"}"),
        Listed("\"size\":0,\"platform\":\"linux\"}"), Listed("\"size\":0,\"annotations\":{\"a\":null}}"), Listed("\"size\":0,\"Size\":1}"),
        new string('[', 10_000), new string('[', 10_000) + new string(']', 10_000),
        "{\"schemaVersion\":2,\"manifests\":[],\"x\":" + new string('[', 10_000) + new string(']', 10_000) + "}",
        "{\"schemaVersion\":2,\"manifests\":[" + string.Join(',', Enumerable.Repeat("{}", 1_000_000)) + "]}",
    ];

    [Theory]
    [MemberData(nameof(BadManifests))]
    public async Task A_bad_manifest_is_refused_and_nothing_is_stored(string manifest)
    {
        var bytes = Encoding.Latin1.GetBytes(manifest);
        foreach (var type in new[] { MediaTypes.ImageIndex, "application/json" })
        {
            using var put = await Http.PutManifestAsync(Repository, "v1", bytes, type);
            await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        }

        await ShouldHoldNothingAsync();
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("br")]
    [InlineData("identity, gzip")]
    [InlineData("x")]
    public async Task An_encoded_manifest_is_refused(string encoding)
    {
        using var put = await Http.RequestAsync(
            "PUT", $"/v2/{Repository}/manifests/v1", RegistryClient.EmptyIndex(), ("Content-Encoding", encoding));

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        await ShouldHoldNothingAsync();
    }

    // --- 10: type confusion ---------------------------------------------------------------------------------------

    [Theory]
    [InlineData("""{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}""", MediaTypes.ImageManifest)]
    [InlineData("""{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}""", MediaTypes.ImageIndex)]
    [InlineData("""{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}""", "application/json")]
    [InlineData("""{"schemaVersion":2,"mediaType":"text/html","manifests":[]}""", "application/json")]
    [InlineData("""{"schemaVersion":2,"mediaType":"","manifests":[]}""", MediaTypes.ImageIndex)]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", MediaTypes.ImageManifest)]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", "text/html")]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", "application/vnd.oci.image.config.v1+json")]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", "application/vnd.oci.artifact.manifest.v1+json")]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", "application/vnd.oci.image.index.v1+json, text/html")]
    [InlineData("""{"schemaVersion":1,"fsLayers":[],"history":[]}""", "application/vnd.docker.distribution.manifest.v1+json")]
    [InlineData("""{"schemaVersion":1,"fsLayers":[],"history":[]}""", "application/json")]
    public async Task A_manifest_that_is_two_things_at_once_is_refused(string manifest, string type)
    {
        using var put = await Http.PutManifestAsync(Repository, "v1", Encoding.UTF8.GetBytes(manifest), type);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        await ShouldHoldNothingAsync();
    }

    [Fact]
    public async Task Two_content_types_are_refused()
    {
        const string index = """{"schemaVersion":2,"manifests":[]}""";

        (await AskAsync(
            $"PUT /v2/{Repository}/manifests/v1 HTTP/1.1\r\nContent-Type: {MediaTypes.ImageIndex}\r\nContent-Type: text/html"
            + $"\r\nContent-Length: {index.Length}",
            index)).ShouldBeRefused("MANIFEST_INVALID");
    }

    // --- 11 and 12: many and deep ---------------------------------------------------------------------------------

    [Fact]
    public async Task A_tag_that_many_push_at_once_ends_at_one_of_them()
    {
        var manifests = Enumerable.Range(0, Counts.Of(100, 1_000)).Select(_ => RegistryClient.EmptyIndex()).ToArray();

        await Task.WhenAll(manifests.Select(async manifest =>
        {
            using var put = await Http.PutManifestAsync(Repository, "v1", manifest, MediaTypes.ImageIndex);
            put.StatusCode.ShouldBe(HttpStatusCode.Created);
        }));

        using var get = await Http.GetManifestAsync(Repository, "v1");
        var body = await get.Content.ReadAsByteArrayAsync();
        manifests.ShouldContain(manifest => manifest.SequenceEqual(body));
    }

    [Fact]
    public async Task A_deep_chain_of_indexes_and_referrers_costs_what_its_links_cost()
    {
        var child = RegistryClient.EmptyIndex();
        using var first = await Http.PutManifestAsync(Repository, "v1", child, MediaTypes.ImageIndex);
        for (var i = 0; i < Counts.Of(30, 10_000); i++)
        {
            child = RegistryClient.ImageIndex(
                [RegistryClient.Describe(child, MediaTypes.ImageIndex)], subject: Digest.Of(child));
            using var put = await Http.PutManifestAsync(Repository, "v1", child, MediaTypes.ImageIndex);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        using var deleted = await Http.RequestAsync("DELETE", $"/v2/{Repository}/manifests/{Digest.Of(child)}");
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task An_index_of_too_many_children_is_refused_and_one_of_many_missing_is_told_of_some()
    {
        // 4 MiB hold some 30,000 descriptors; each of these is missing.
        var children = Enumerable.Range(0, 20_000).Select(i => RegistryClient.Describe(BitConverter.GetBytes(i), "a/b"));

        using var put = await Http.PutManifestAsync(
            Repository, "v1", RegistryClient.ImageIndex(children), MediaTypes.ImageIndex);

        put.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        var codes = await put.ErrorCodesAsync();
        codes.Length.ShouldBe(1_000);
        codes.ShouldAllBe(code => code == "MANIFEST_BLOB_UNKNOWN");
    }

    [Theory]
    [InlineData("""{"urls":["file:///etc/passwd","http://169.254.169.254/latest/meta-data"]}""")]
    [InlineData("""{"platform":{"os":"../..","architecture":"","os.version":"\u0000","features":[1,{"a":null}]}}""")]
    [InlineData("""{"annotations":{"":"","a\r\nX-Evil: 1":"b\r\n\r\n<script>alert(1)</script>","\u202e":"\u0000"}}""")]
    [InlineData("""{"artifactType":"a/b\r\nX-Evil: 1"}""")]
    public async Task Odd_members_are_kept_byte_for_byte_and_mean_nothing(string members)
    {
        var child = RegistryClient.EmptyIndex();
        using var first = await Http.PutManifestAsync(Repository, "child", child, MediaTypes.ImageIndex);
        var descriptor = RegistryClient.Describe(child, MediaTypes.ImageIndex);
        foreach (var (name, value) in JsonNode.Parse(members)!.AsObject())
        {
            descriptor[name] = value!.DeepClone();
        }

        var index = RegistryClient.ImageIndex([descriptor]);
        using var put = await Http.PutManifestAsync(Repository, "v1", index, MediaTypes.ImageIndex);

        await put.ShouldHaveCreatedAsync(Http, Digest.Of(index), index);
        put.Header("X-Evil").ShouldBeNull();
    }

    // --- 13: what is injected into lists --------------------------------------------------------------------------

    [Theory]
    [InlineData("a/b\r\nX-Evil:1")]
    [InlineData("<script>alert(1)</script>")]
    [InlineData("\"}],\"x\":[{\"")]
    [InlineData("100%")]
    [InlineData("%2B")]
    [InlineData("a'b\"c\\d")]
    [InlineData("\u0000")]
    [InlineData("ä\U0001F4A9")]
    public async Task An_odd_artifact_type_is_listed_as_it_is_and_can_be_filtered_by(string type)
    {
        var subject = Digest.Of("subject"u8);
        foreach (var artifactType in new[] { type, type, "other" })
        {
            var referrer = RegistryClient.ImageIndex([], subject, artifactType);
            using var put = await Http.PutManifestAsync(
                Repository, Digest.Of(referrer).ToString(), referrer, MediaTypes.ImageIndex);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        var pages = await Http.GetPagesAsync(
            $"/v2/{Repository}/referrers/{subject}?n=1&artifactType={Uri.EscapeDataString(type)}");

        var listed = pages.SelectMany(page => page["manifests"]!.AsArray()).ToArray();
        listed.Length.ShouldBe(2);
        listed.ShouldAllBe(referrer => (string?)referrer!["artifactType"] == type);
    }

    [Fact]
    public async Task Large_annotations_are_kept_and_listed()
    {
        var subject = Digest.Of("subject"u8);
        var referrer = JsonNode.Parse(RegistryClient.ImageIndex([], subject))!;
        referrer["annotations"]!["large"] = new string('\u0001', 500_000); // six bytes each in JSON
        var content = Encoding.UTF8.GetBytes(referrer.ToJsonString());
        using var put = await Http.PutManifestAsync(Repository, "v1", content, MediaTypes.ImageIndex);
        await put.ShouldHaveCreatedAsync(Http, Digest.Of(content), content);

        var pages = await Http.GetPagesAsync($"/v2/{Repository}/referrers/{subject}");

        ((string)pages.Single()["manifests"]![0]!["annotations"]!["large"]!).Length.ShouldBe(500_000);
    }

    private static string Listed(string end) =>
        $$"""{"schemaVersion":2,"manifests":[{{Descriptor}},{{DescriptorStart}}{{end}}]}""";

    private async Task ShouldHoldNothingAsync()
    {
        using var tags = await Http.RequestAsync("GET", $"/v2/{Repository}/tags/list");
        await tags.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }
}
