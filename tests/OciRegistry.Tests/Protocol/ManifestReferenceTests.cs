using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>
/// end-7 and R0.3: "A registry MAY reject a manifest … [that] references blobs or manifests that do not exist in the
/// registry", with "one or more errors with the code MANIFEST_BLOB_UNKNOWN".
/// </summary>
public sealed class ManifestReferenceTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private static readonly byte[] Config = "{}"u8.ToArray();

    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task Every_missing_digest_is_one_error_and_the_tag_stays_where_it_was()
    {
        var former = await _http.PushImageAsync(_repository, "v1");
        await _http.PushBlobAsync(_repository, Config);
        byte[][] layers = [.. Enumerable.Range(0, 3).Select(_ => RegistryClient.RandomBytes(100))];
        await _http.PushBlobAsync(_repository, layers[0]);
        using var staged = await _http.PatchAsync(await _http.NewUploadAsync(_repository), layers[1]); // never completed
        var manifest = RegistryClient.ImageManifest(Config, [.. layers, layers[2]]);

        using var put = await _http.PutManifestAsync(_repository, "v1", manifest);

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN");
        (await MissingAsync(put)).ShouldBe([Digest.Of(layers[1]).ToString(), Digest.Of(layers[2]).ToString()]);
        using var tag = await _http.GetManifestAsync(_repository, "v1");
        await tag.ShouldBeContentAsync(Digest.Of(former), former);
        using var stored = await _http.GetManifestAsync(_repository, Digest.Of(manifest).ToString());
        await stored.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task A_blob_of_another_repository_is_missing()
    {
        var layer = RegistryClient.RandomBytes(10);
        await _http.PushBlobAsync(RegistryClient.NewRepository(), layer);
        await _http.PushBlobAsync(_repository, Config);

        using var put = await _http.PutManifestAsync(
            _repository, "v1", RegistryClient.ImageManifest(Config, [layer]));

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
    }

    [Fact]
    public async Task A_missing_child_of_an_index_is_an_error()
    {
        var present = await _http.PushImageAsync(_repository, "child");
        var absent = RegistryClient.EmptyIndex();

        using var put = await PutIndexAsync(_http, present, absent);

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
        (await MissingAsync(put)).ShouldBe([Digest.Of(absent).ToString()]);
        using var complete = await PutIndexAsync(_http, present);
        await complete.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_child_that_is_there_as_a_blob_only_is_missing()
    {
        var child = RegistryClient.EmptyIndex();
        await _http.PushBlobAsync(_repository, child);

        using var put = await PutIndexAsync(_http, child);

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
    }

    [Fact]
    public async Task An_index_may_list_blobs() // BuildKit's cache is an index of layers
    {
        var layer = RegistryClient.RandomBytes(10);
        await _http.PushBlobAsync(_repository, layer);

        using var put = await _http.PutManifestAsync(
            _repository,
            "cache",
            RegistryClient.ImageIndex([RegistryClient.Describe(layer, "application/vnd.oci.image.layer.v1.tar+gzip")]),
            MediaTypes.ImageIndex);

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_size_that_is_not_the_blobs_is_refused()
    {
        await _http.PushBlobAsync(_repository, Config);
        var manifest = JsonNode.Parse(RegistryClient.ImageManifest(Config, []))!;
        manifest["config"]!["size"] = 3;

        using var put = await _http.PutManifestAsync(
            _repository, "v1", System.Text.Encoding.UTF8.GetBytes(manifest.ToJsonString()));

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
    }

    [Theory]
    [InlineData(ManifestReferences.Strict)]
    [InlineData(ManifestReferences.SparseIndexes)]
    public async Task A_child_of_another_size_or_type_is_refused(ManifestReferences references) // containerd cannot pull it
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Manifests.References = references);
        var http = registry.Http;
        var child = await http.PushImageAsync(_repository, "child");
        var layer = RegistryClient.RandomBytes(10);
        await http.PushBlobAsync(_repository, layer);
        var other = RegistryClient.Describe(child, MediaTypes.ImageManifest);
        var blob = RegistryClient.Describe(layer, "application/vnd.oci.image.layer.v1.tar+gzip");
        foreach (var (member, value) in new (string, JsonNode)[]
        {
            ("size", 1), ("size", child.Length + 1), ("mediaType", MediaTypes.DockerManifest), ("mediaType", MediaTypes.ImageIndex),
            ("mediaType", "application/vnd.oci.image.config.v1+json"),
        })
        {
            var wrong = other.DeepClone().AsObject();
            wrong[member] = value;
            using var put = await PutAsync(wrong);
            await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        }

        var shorter = blob.DeepClone().AsObject();
        shorter["size"] = 9;
        using var cut = await PutAsync(shorter);
        await cut.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        using var right = await PutAsync(other, blob);
        await right.ShouldHaveStatusAsync(HttpStatusCode.Created);

        Task<HttpResponseMessage> PutAsync(params JsonObject[] children) => http.PutManifestAsync(
            _repository, "index", RegistryClient.ImageIndex(children.Select(one => one.DeepClone().AsObject())), MediaTypes.ImageIndex);
    }

    [Fact]
    public async Task What_docker_pushes_for_an_image_without_layers_is_kept_byte_for_byte()
    {
        await _http.PushBlobAsync(_repository, Config);
        var manifest = JsonNode.Parse(RegistryClient.ImageManifest(Config, []))!;
        manifest["layers"] = null;
        var content = System.Text.Encoding.UTF8.GetBytes(manifest.ToJsonString());

        using var put = await _http.PutManifestAsync(_repository, "v1", content);

        await put.ShouldHaveCreatedAsync(_http, Digest.Of(content), content);
    }

    [Theory]
    [InlineData(ManifestReferences.Strict, HttpStatusCode.BadRequest)]
    [InlineData(ManifestReferences.SparseIndexes, HttpStatusCode.BadRequest)]
    [InlineData(ManifestReferences.Off, HttpStatusCode.Created)]
    public async Task Content_of_an_algorithm_that_is_not_supported_can_be_named_only_where_nothing_must_be_there(
        ManifestReferences references, HttpStatusCode status)
    {
        const string digest = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        await using var registry = await RegistryApp.StartAsync(options => options.Manifests.References = references);
        await registry.Http.PushBlobAsync(_repository, Config);
        foreach (var (member, where) in new[] { ("subject", HttpStatusCode.Created), ("layers", status), ("elsewhere", HttpStatusCode.Created) })
        {
            var manifest = JsonNode.Parse(RegistryClient.ImageManifest(Config, []))!;
            var other = new JsonObject { ["mediaType"] = "a/b", ["digest"] = digest, ["size"] = 0 };
            manifest[member == "subject" ? member : "layers"] = member == "subject" ? other : new JsonArray(other);
            if (member == "elsewhere")
            {
                other["urls"] = new JsonArray("https://example.com/x");
            }

            using var put = await registry.Http.PutManifestAsync(
                _repository, member, System.Text.Encoding.UTF8.GetBytes(manifest.ToJsonString()));
            await put.ShouldHaveStatusAsync(where);
            put.Header("OCI-Subject").ShouldBeNull(); // the client keeps the list itself, under a tag
        }
    }

    [Fact]
    public async Task Layers_may_be_absent_and_foreign_layers_are_never_looked_for()
    {
        await _http.PushBlobAsync(_repository, Config);
        var foreign = RegistryClient.Describe(
            RegistryClient.RandomBytes(10), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        foreign["urls"] = new JsonArray("http://169.254.169.254/latest", "file:///etc/passwd");
        var manifest = JsonNode.Parse(RegistryClient.ImageManifest(Config, []))!;

        using var none = await _http.PutManifestAsync(
            _repository, "none", System.Text.Encoding.UTF8.GetBytes(manifest.ToJsonString()));
        await none.ShouldHaveStatusAsync(HttpStatusCode.Created);

        manifest["layers"]!.AsArray().Add(foreign);
        var content = System.Text.Encoding.UTF8.GetBytes(manifest.ToJsonString());
        using var put = await _http.PutManifestAsync(_repository, "v1", content);
        await put.ShouldHaveCreatedAsync(_http, Digest.Of(content), content);
    }

    // --- the setting --------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(ManifestReferences.Strict, HttpStatusCode.NotFound, HttpStatusCode.NotFound)]
    [InlineData(ManifestReferences.SparseIndexes, HttpStatusCode.NotFound, HttpStatusCode.Created)]
    [InlineData(ManifestReferences.Off, HttpStatusCode.Created, HttpStatusCode.Created)]
    public async Task What_must_be_there_is_a_setting(
        ManifestReferences references, HttpStatusCode image, HttpStatusCode index)
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Manifests.References = references);

        using var sparseImage = await registry.Http.PutManifestAsync(
            _repository, "image", RegistryClient.ImageManifest(Config, [RegistryClient.RandomBytes(10)]));
        await sparseImage.ShouldHaveStatusAsync(image);
        using var sparseIndex = await PutIndexAsync(registry.Http, RegistryClient.EmptyIndex());
        await sparseIndex.ShouldHaveStatusAsync(index);
    }

    private Task<HttpResponseMessage> PutIndexAsync(HttpClient http, params byte[][] children) => http.PutManifestAsync(
        _repository,
        "index",
        RegistryClient.ImageIndex(children.Select(child =>
            RegistryClient.Describe(child, (string)JsonNode.Parse(child)!["mediaType"]!))),
        MediaTypes.ImageIndex);

    private static async Task<string[]> MissingAsync(HttpResponseMessage response) =>
        [.. JsonNode.Parse(await response.Content.ReadAsStringAsync())!["errors"]!.AsArray()
            .Select(error => (string)error!["detail"]!["digest"]!)];
}
