using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>end-8a and end-8b: GET /v2/&lt;name&gt;/tags/list.</summary>
public sealed class TagListTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    /// <summary>In the order of their bytes; some are the beginning of others.</summary>
    private static readonly string[] Tags = ["0", "A", "_x", "a", "a-b", "a.b", "a0", "aB", "a_b", "ab", "b", "z9"];

    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();

    public async ValueTask InitializeAsync()
    {
        var manifest = RegistryClient.EmptyIndex();
        var query = string.Join('&', Tags.Reverse().Select(tag => $"tag={tag}"));
        using var put = await _http.PutManifestAsync(
            _repository, $"{Digest.Of(manifest)}?{query}", manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task All_tags_come_once_in_the_order_of_their_bytes()
    {
        using var response = await ListAsync("");

        var list = await response.JsonAsync();
        ((string?)list["name"]).ShouldBe(_repository);
        list.Texts("tags").ShouldBe(Tags);
        response.Header("Link").ShouldBeNull();
        response.Header("Content-Type").ShouldBe("application/json");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(11)]
    public async Task A_list_that_is_longer_than_n_is_linked_to_its_end(int n)
    {
        var pages = await _http.GetPagesAsync($"/v2/{_repository}/tags/list?n={n}");

        pages.SelectMany(page => page.Texts("tags")).ShouldBe(Tags);
        pages.Take(pages.Count - 1).ShouldAllBe(page => page.Texts("tags").Length == n);
        pages.Count.ShouldBe((Tags.Length + n - 1) / n);
    }

    [Theory]
    [InlineData(12)]
    [InlineData(1_000)]
    public async Task A_list_that_is_no_longer_than_n_has_no_Link(int n)
    {
        using var response = await ListAsync($"?n={n}");

        (await response.JsonAsync()).Texts("tags").ShouldBe(Tags);
        response.Header("Link").ShouldBeNull();
    }

    [Fact]
    public async Task No_entries_are_no_tags_and_no_Link() // "If n is zero, … MUST NOT include a Link header"
    {
        using var response = await ListAsync("?n=0");

        (await response.JsonAsync()).Texts("tags").ShouldBeEmpty();
        response.Header("Link").ShouldBeNull();
    }

    [Theory]
    [InlineData("a", 4)]
    [InlineData("a-b", 5)]
    [InlineData("a-a", 4)] // no tag, but a place in the order
    [InlineData("Z", 2)]
    [InlineData("z9", 12)]
    [InlineData("zz", 12)]
    [InlineData("7", 1)] // a value, not an index
    public async Task The_list_starts_strictly_after_last(string last, int skipped)
    {
        using var all = await ListAsync($"?last={last}");
        (await all.JsonAsync()).Texts("tags").ShouldBe(Tags[skipped..]);

        using var some = await ListAsync($"?last={last}&n=2");
        (await some.JsonAsync()).Texts("tags").ShouldBe(Tags[skipped..].Take(2));
    }

    [Fact]
    public async Task The_list_goes_on_after_a_tag_that_was_deleted_since()
    {
        using var first = await ListAsync("?n=4");
        var next = first.NextPage();
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/a");

        using var second = await _http.RequestAsync("GET", next!);

        (await second.JsonAsync()).Texts("tags").ShouldBe(Tags[4..8]);
    }

    [Fact]
    public async Task A_repository_that_holds_only_blobs_has_no_tags()
    {
        var repository = RegistryClient.NewRepository();
        await _http.PushBlobAsync(repository, [1]);

        using var response = await _http.RequestAsync("GET", $"/v2/{repository}/tags/list");

        (await response.JsonAsync()).ToJsonString().ShouldBe($$"""{"name":"{{repository}}","tags":[]}""");
    }

    [Fact]
    public async Task A_repository_that_does_not_exist_is_answered_with_404()
    {
        foreach (var name in new[] { RegistryClient.NewRepository(), _repository[.._repository.IndexOf('/', StringComparison.Ordinal)] })
        {
            using var response = await _http.RequestAsync("GET", $"/v2/{name}/tags/list");
            await response.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
        }
    }

    [Fact]
    public async Task A_list_has_at_most_the_configured_entries()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Listings.MaxPageSize = 2);
        foreach (var tag in Tags[..5])
        {
            using var put = await registry.Http.PutManifestAsync(
                _repository, tag, RegistryClient.EmptyIndex(), MediaTypes.ImageIndex);
        }

        foreach (var query in new[] { "", "?n=3", "?n=2147483648" })
        {
            var pages = await registry.Http.GetPagesAsync($"/v2/{_repository}/tags/list{query}");
            pages.Select(page => page.Texts("tags").Length).ShouldBe([2, 2, 1]);
            pages.SelectMany(page => page.Texts("tags")).ShouldBe(Tags[..5]);
        }
    }

    [Fact]
    public async Task HEAD_has_the_headers_of_GET()
    {
        using var get = await ListAsync("?n=3");
        using var head = await _http.RequestAsync("HEAD", $"/v2/{_repository}/tags/list?n=3");

        head.StatusCode.ShouldBe(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldBe(get.Content.Headers.ContentLength);
        head.Header("Link").ShouldBe(get.Header("Link"));
    }

    private Task<HttpResponseMessage> ListAsync(string query) =>
        _http.RequestAsync("GET", $"/v2/{_repository}/tags/list{query}");
}
