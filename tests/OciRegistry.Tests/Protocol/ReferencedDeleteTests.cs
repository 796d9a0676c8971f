using System.Net;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-9, end-10: a DELETE of what an image is made of is refused, or said to have broken it.</summary>
public sealed class ReferencedDeleteTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task A_manifest_that_a_tagged_index_lists_is_not_deleted()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var (http, child, index) = await IndexedAsync(registry);

        using (var refused = await DeleteManifestAsync(http, child))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.Conflict, "DENIED");
            (await ReferencedByAsync(refused)).ShouldBe([$"{index}: index"]);
        }

        using (var head = await http.GetManifestAsync(_repository, child.ToString()))
        {
            await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        // Its own tag may go, and the index; then it may go too.
        foreach (var name in new[] { "child", "index", child.ToString() })
        {
            using var deleted = await http.DeleteAsync($"/v2/{_repository}/manifests/{name}");
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }
    }

    [Fact]
    public async Task A_manifest_is_in_use_through_indexes_in_between()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var http = registry.Http;
        var child = await http.PushImageAsync(_repository, "child");
        var inner = RegistryClient.ImageIndex([RegistryClient.Describe(child, MediaTypes.ImageManifest)]);
        var outer = RegistryClient.ImageIndex([RegistryClient.Describe(inner, MediaTypes.ImageIndex)]);
        foreach (var (content, reference) in new[] { (inner, Digest.Of(inner).ToString()), (outer, "outer") })
        {
            using var put = await http.PutManifestAsync(_repository, reference, content, MediaTypes.ImageIndex);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        foreach (var part in new[] { child, inner })
        {
            using var refused = await DeleteManifestAsync(http, Digest.Of(part));
            (await ReferencedByAsync(refused)).ShouldBe([$"{Digest.Of(outer)}: outer"]);
        }
    }

    [Fact]
    public async Task A_blob_that_a_manifest_is_made_of_is_not_deleted_before_the_manifest()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var http = registry.Http;
        var layer = RegistryClient.RandomBytes(10);
        var manifest = Digest.Of(await http.PushImageAsync(_repository, "v1", layer));
        using (var untagged = await http.DeleteAsync($"/v2/{_repository}/manifests/v1"))
        {
            await untagged.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using (var refused = await DeleteBlobAsync(http, layer))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.Conflict, "DENIED");
            (await ReferencedByAsync(refused)).ShouldBe([$"{manifest}: "]);
        }

        using (var pulled = await http.GetBlobAsync(_repository, Digest.Of(layer)))
        {
            await pulled.ShouldBeContentAsync(Digest.Of(layer), layer);
        }

        using (var first = await DeleteManifestAsync(http, manifest))
        {
            await first.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using var deleted = await DeleteBlobAsync(http, layer);
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task Ten_of_many_are_named_and_all_pages_are_looked_at()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var http = registry.Http;
        var layer = RegistryClient.RandomBytes(10);
        for (var i = 0; i < 12; i++)
        {
            await http.PushImageAsync(_repository, $"v{i}", layer);
        }

        using (var refused = await DeleteBlobAsync(http, layer))
        {
            (await ReferencedByAsync(refused)).Length.ShouldBe(10);
        }

        using var other = await DeleteBlobAsync(http, await LooseAsync(http)); // nothing else is in its way
        await other.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task What_only_other_repositories_or_untagged_indexes_use_is_deleted()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var (http, child, _) = await IndexedAsync(registry);
        var other = RegistryClient.NewRepository();
        var layer = RegistryClient.RandomBytes(10);
        await http.PushBlobAsync(_repository, layer);
        await http.PushImageAsync(other, "v1", layer);

        using var loose = await DeleteBlobAsync(http, layer);
        await loose.ShouldHaveStatusAsync(HttpStatusCode.Accepted);

        using var untagged = await http.DeleteAsync($"/v2/{_repository}/manifests/index");
        using var deleted = await DeleteManifestAsync(http, child);
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        deleted.Header("Warning").ShouldBeNull();
    }

    [Fact]
    public async Task Where_it_is_allowed_the_client_and_the_audit_log_are_told_what_broke()
    {
        var log = new LogCapture();
        await using var registry = await RegistryApp.StartAsync(
            services: services => services.AddSingleton<Microsoft.Extensions.Logging.ILoggerProvider>(log));
        var (http, child, index) = await IndexedAsync(registry);

        using var deleted = await DeleteManifestAsync(http, child);

        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        deleted.Header("Warning").ShouldBe($"299 - \"It was part of {index} (index)\"");
        log.Lines.ShouldContain(line => line.Contains($"{_repository}@{child} broke [{index} (index)]", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("manifests")]
    [InlineData("blobs")]
    public async Task What_is_not_there_is_unknown_whatever_lists_it(string kind)
    {
        await using var registry = await RegistryApp.StartAsync(options => (options.Manifests.References, options.Deletes.Referenced) = (ManifestReferences.Off, ReferencedDeletes.Refuse));
        var http = registry.Http;
        var absent = RegistryClient.RandomBytes(10);
        var content = kind == "blobs" ? RegistryClient.ImageManifest("{}"u8.ToArray(), [absent])
            : RegistryClient.ImageIndex([RegistryClient.Describe(absent, MediaTypes.ImageManifest)]);
        using var put = await http.PutManifestAsync(_repository, "v1", content, (string)JsonNode.Parse(content)!["mediaType"]!);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);

        using var unknown = await http.DeleteAsync($"/v2/{_repository}/{kind}/{Digest.Of(absent)}");

        await unknown.ShouldHaveStatusAsync(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Content_of_an_upstream_can_always_be_deleted()
    {
        await using var registry = await PulledRegistry.StartAsync(options: options => options.Deletes.Referenced = ReferencedDeletes.Refuse);
        var child = registry.Upstream.AddImage("a", "child", [1]);
        registry.Upstream.AddIndex("a", "v1", child.Digest);
        foreach (var reference in new[] { "v1", child.Digest.ToString() })
        {
            using var pulled = await registry.Http.GetManifestAsync("up/a", reference);
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        using var deleted = await registry.Http.DeleteAsync($"/v2/up/a/manifests/{child.Digest}");
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    private async Task<(HttpClient Http, Digest Child, Digest Index)> IndexedAsync(RegistryApp registry)
    {
        var child = await registry.Http.PushImageAsync(_repository, "child");
        var index = RegistryClient.ImageIndex([RegistryClient.Describe(child, MediaTypes.ImageManifest)]);
        using var put = await registry.Http.PutManifestAsync(_repository, "index", index, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return (registry.Http, Digest.Of(child), Digest.Of(index));
    }

    private async Task<byte[]> LooseAsync(HttpClient http)
    {
        var content = RegistryClient.RandomBytes(10);
        await http.PushBlobAsync(_repository, content);
        return content;
    }

    private Task<HttpResponseMessage> DeleteManifestAsync(HttpClient http, Digest digest) =>
        http.DeleteAsync($"/v2/{_repository}/manifests/{digest}");

    private Task<HttpResponseMessage> DeleteBlobAsync(HttpClient http, byte[] content) =>
        http.DeleteAsync($"/v2/{_repository}/blobs/{Digest.Of(content)}");

    private static async Task<string[]> ReferencedByAsync(HttpResponseMessage refused) =>
        [.. JsonNode.Parse(await refused.Content.ReadAsStringAsync())!["errors"]![0]!["detail"]!["referencedBy"]!.AsArray()
            .Select(by => $"{by!["digest"]}: {string.Join(", ", by["tags"]!.AsArray())}")];
}
