using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>GET /v2/_catalog: an extension that docker's registry introduced and every client of it knows.</summary>
public sealed class CatalogTests : IAsyncLifetime
{
    /// <summary>In the order of their bytes; on a file system some would be folders of others.</summary>
    private static readonly string[] Repositories = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "ab"];

    private RegistryApp _registry = null!;

    public async ValueTask InitializeAsync()
    {
        _registry = await RegistryApp.StartAsync();
        foreach (var repository in Repositories.Reverse())
        {
            await _registry.Http.PushBlobAsync(repository, [1]);
        }
    }

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    [Fact]
    public async Task All_repositories_come_once_in_the_order_of_their_bytes()
    {
        (await NamesAsync("")).ShouldBe(Repositories);

        for (var n = 1; n <= Repositories.Length + 1; n++)
        {
            var pages = await _registry.Http.GetPagesAsync($"/v2/_catalog?n={n}");
            pages.SelectMany(page => page.Texts("repositories")).ShouldBe(Repositories, $"n={n}");
            pages.Count.ShouldBe((Repositories.Length + n - 1) / n);
        }

        foreach (var (name, i) in Repositories.Select((name, i) => (name, i)))
        {
            (await NamesAsync($"?last={Uri.EscapeDataString(name)}")).ShouldBe(Repositories[(i + 1)..]);
        }

        (await NamesAsync("?last=a/")).ShouldBe(Repositories[3..]);
        (await NamesAsync("?n=0")).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_repository_appears_with_its_first_content_and_vanishes_with_its_last()
    {
        var blob = Digest.Of([1]);
        using var deletedBlob = await _registry.Http.RequestAsync("DELETE", $"/v2/a/blobs/{blob}");
        (await NamesAsync("")).ShouldBe(Repositories[1..]);
        using var tags = await _registry.Http.RequestAsync("GET", "/v2/a/tags/list");
        await tags.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");

        var manifest = RegistryClient.EmptyIndex();
        using var put = await _registry.Http.PutManifestAsync("a", "v1", manifest, MediaTypes.ImageIndex);
        (await NamesAsync("")).ShouldBe(Repositories);

        // A repository without tags still holds its manifest.
        using var deletedTag = await _registry.Http.RequestAsync("DELETE", "/v2/a/manifests/v1");
        (await NamesAsync("")).ShouldBe(Repositories);
        using var deletedManifest = await _registry.Http.RequestAsync("DELETE", $"/v2/a/manifests/{Digest.Of(manifest)}");
        (await NamesAsync("")).ShouldBe(Repositories[1..]);
    }

    [Fact]
    public async Task A_registry_may_be_empty()
    {
        await using var empty = await RegistryApp.StartAsync();

        using var response = await empty.Http.RequestAsync("GET", "/v2/_catalog");

        (await response.JsonAsync()).ToJsonString().ShouldBe("""{"repositories":[]}""");
    }

    private async Task<string[]> NamesAsync(string query)
    {
        using var response = await _registry.Http.RequestAsync("GET", $"/v2/_catalog{query}");
        response.Header("Link").ShouldBeNull();
        return (await response.JsonAsync()).Texts("repositories");
    }
}
