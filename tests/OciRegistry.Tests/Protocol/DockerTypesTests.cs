using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>Docker's manifest types of schema 2: what docker, podman and Jib push by default. Nothing is converted.</summary>
public sealed class DockerTypesTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();

    public async ValueTask InitializeAsync() => await _http.PushBlobAsync(_repository, "{}"u8.ToArray());

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_image_and_a_list_of_it_keep_their_types(bool declaredInside)
    {
        var image = Image(declaredInside);
        using var pushed = await _http.PutManifestAsync(_repository, "v1", image, MediaTypes.DockerManifest);
        await pushed.ShouldHaveCreatedAsync(_http, Digest.Of(image), image);
        var list = List(image, declaredInside);
        using var pushedList = await _http.PutManifestAsync(_repository, "list", list, MediaTypes.DockerManifestList);
        await pushedList.ShouldHaveCreatedAsync(_http, Digest.Of(list), list);

        using var pulled = await _http.RequestAsync(
            "GET", $"/v2/{_repository}/manifests/v1", ("Accept", MediaTypes.ImageManifest));
        pulled.Header("Content-Type").ShouldBe(MediaTypes.DockerManifest);
        using var pulledList = await _http.RequestAsync("HEAD", $"/v2/{_repository}/manifests/list");
        pulledList.Header("Content-Type").ShouldBe(MediaTypes.DockerManifestList);
    }

    [Fact]
    public async Task A_list_of_an_image_that_is_not_there_is_refused()
    {
        using var put = await _http.PutManifestAsync(
            _repository, "list", List(Image(true), true), MediaTypes.DockerManifestList);

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
    }

    [Fact]
    public async Task A_list_may_mix_docker_and_OCI_images()
    {
        var docker = Image(true);
        using var first = await _http.PutManifestAsync(_repository, "docker", docker, MediaTypes.DockerManifest);
        var oci = await _http.PushImageAsync(_repository, "oci");
        var index = RegistryClient.ImageIndex(
        [
            RegistryClient.Describe(docker, MediaTypes.DockerManifest),
            RegistryClient.Describe(oci, MediaTypes.ImageManifest),
        ]);

        using var put = await _http.PutManifestAsync(_repository, "v1", index, MediaTypes.ImageIndex);

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("application/vnd.docker.distribution.manifest.v1+json")]
    [InlineData("application/vnd.docker.distribution.manifest.v1+prettyjws")]
    public async Task Schema_1_is_refused_with_what_to_do(string type)
    {
        using var put = await _http.PutManifestAsync(
            _repository, "v1", """{"schemaVersion":1,"name":"a","tag":"v1","fsLayers":[]}"""u8.ToArray(), type);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID");
        (await put.Content.ReadAsStringAsync()).ShouldContain("skopeo");
    }

    private static byte[] Image(bool declared)
    {
        var image = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["config"] = RegistryClient.Describe("{}"u8.ToArray(), "application/vnd.docker.container.image.v1+json"),
            ["layers"] = new JsonArray(),
            ["unique"] = Guid.NewGuid().ToString(),
        };
        return Declared(image, declared, MediaTypes.DockerManifest);
    }

    private static byte[] List(byte[] image, bool declared)
    {
        var child = RegistryClient.Describe(image, MediaTypes.DockerManifest);
        child["platform"] = new JsonObject { ["architecture"] = "amd64", ["os"] = "linux", ["features"] = new JsonArray("sse4") };
        var list = new JsonObject { ["schemaVersion"] = 2, ["manifests"] = new JsonArray(child) };
        return Declared(list, declared, MediaTypes.DockerManifestList);
    }

    private static byte[] Declared(JsonObject manifest, bool declared, string type)
    {
        if (declared)
        {
            manifest["mediaType"] = type;
        }

        return Encoding.UTF8.GetBytes(manifest.ToJsonString());
    }
}
