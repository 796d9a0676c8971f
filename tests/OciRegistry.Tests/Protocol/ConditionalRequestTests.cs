using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>RFC 9110 §13, on which the spec falls back: the entity tag of content is its digest.</summary>
public sealed class ConditionalRequestTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private const string Other = "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";

    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _manifest = RegistryClient.EmptyIndex();

    private string Tag => TagOf(_manifest);

    // --- reading ------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("{0}", true)]
    [InlineData("W/{0}", true)] // If-None-Match compares weakly
    [InlineData("\"x\", {0}", true)]
    [InlineData("*", true)]
    [InlineData(Other, false)]
    [InlineData("\"x\"", false)]
    [InlineData("", false)]
    [InlineData(",", false)]
    public async Task What_the_client_has_already_is_answered_with_304(string header, bool unchanged)
    {
        await PutAsync("v1");
        var blob = await _http.PushBlobAsync(_repository, _manifest);
        foreach (var path in new[] { "manifests/v1", $"manifests/{blob}", $"blobs/{blob}" })
        {
            foreach (var method in new[] { "GET", "HEAD" })
            {
                using var response = await _http.RequestAsync(
                    method, $"/v2/{_repository}/{path}", ("If-None-Match", string.Format(null, header, Tag)));

                response.StatusCode.ShouldBe(unchanged ? HttpStatusCode.NotModified : HttpStatusCode.OK, $"{method} {path}");
                response.Header("ETag").ShouldBe(Tag);
                response.Header("Docker-Content-Digest").ShouldBe(blob.ToString());
                (await response.Content.ReadAsByteArrayAsync()).Length
                    .ShouldBe(unchanged || method == "HEAD" ? 0 : _manifest.Length);
            }
        }
    }

    [Theory]
    [InlineData("manifests/v1")]
    [InlineData("blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    public async Task What_is_not_there_is_404_whatever_the_client_has(string path)
    {
        using var response = await _http.RequestAsync("GET", $"/v2/{_repository}/{path}", ("If-None-Match", "*"));

        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    // --- create only --------------------------------------------------------------------------------------------

    [Fact]
    public async Task A_tag_is_created_only_when_there_is_none()
    {
        using var created = await PutAsync("v1", _manifest, ("If-None-Match", "*"));
        created.StatusCode.ShouldBe(HttpStatusCode.Created);
        var other = RegistryClient.EmptyIndex();

        using var refused = await PutAsync("v1", other, ("If-None-Match", "*"));

        await refused.ShouldBeErrorAsync(HttpStatusCode.PreconditionFailed, "DENIED");
        await TagShouldBeAsync(_manifest);
        using var stored = await _http.GetManifestAsync(_repository, Digest.Of(other).ToString());
        stored.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_deleted_tag_may_be_created_again()
    {
        await PutAsync("v1");
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/v1");

        using var created = await PutAsync("v1", _manifest, ("If-None-Match", "*"));

        created.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task Of_many_who_create_a_tag_at_once_exactly_one_succeeds()
    {
        for (var round = 0; round < 3; round++)
        {
            var tag = $"v{round}";
            var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
            {
                var manifest = RegistryClient.EmptyIndex();
                using var put = await PutAsync(tag, manifest, ("If-None-Match", "*"));
                return (put.StatusCode, Manifest: manifest);
            }));

            var winner = answers.Where(a => a.StatusCode == HttpStatusCode.Created).ShouldHaveSingleItem();
            answers.Count(a => a.StatusCode == HttpStatusCode.PreconditionFailed).ShouldBe(19);
            using var pulled = await _http.GetManifestAsync(_repository, tag);
            await pulled.ShouldBeContentAsync(Digest.Of(winner.Manifest), winner.Manifest);
        }
    }

    // --- change only what was seen ------------------------------------------------------------------------------

    [Theory]
    [InlineData("{0}", true)]
    [InlineData(Other + ", {0}", true)]
    [InlineData("*", true)]
    [InlineData("W/{0}", false)] // If-Match compares strongly
    [InlineData(Other, false)]
    [InlineData("\"\"", false)]
    [InlineData("", false)] // a variable that was empty must not make the request unconditional
    [InlineData(",", false)]
    public async Task A_tag_is_moved_or_deleted_only_when_it_stands_where_the_client_saw_it(string header, bool moves)
    {
        await PutAsync("v1");
        var other = RegistryClient.EmptyIndex();
        header = string.Format(null, header, Tag);

        using var put = await PutAsync("v1", other, ("If-Match", header));
        put.StatusCode.ShouldBe(moves ? HttpStatusCode.Created : HttpStatusCode.PreconditionFailed);
        await TagShouldBeAsync(moves ? other : _manifest);

        await PutAsync("v1");
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/v1", ("If-Match", header));
        deleted.StatusCode.ShouldBe(moves ? HttpStatusCode.Accepted : HttpStatusCode.PreconditionFailed);
        using var tag = await _http.GetManifestAsync(_repository, "v1");
        tag.StatusCode.ShouldBe(moves ? HttpStatusCode.NotFound : HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("*")]
    [InlineData(Other)]
    public async Task A_tag_that_does_not_exist_matches_nothing(string header)
    {
        using var put = await PutAsync("v1", _manifest, ("If-Match", header));
        await put.ShouldBeErrorAsync(HttpStatusCode.PreconditionFailed, "DENIED");
        using var deleted = await _http.RequestAsync("DELETE", $"/v2/{_repository}/manifests/v1", ("If-Match", header));
        await deleted.ShouldBeErrorAsync(HttpStatusCode.PreconditionFailed, "DENIED");
        using var tags = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
        tags.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Conditions_hold_for_digests_too()
    {
        await PutAsync("v1");
        var path = $"/v2/{_repository}/manifests/{Digest.Of(_manifest)}";

        using var created = await PutAsync(Digest.Of(_manifest).ToString(), _manifest, ("If-None-Match", "*"));
        created.StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
        using var refused = await _http.RequestAsync("DELETE", path, ("If-Match", Other));
        refused.StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
        await TagShouldBeAsync(_manifest);
        using var deleted = await _http.RequestAsync("DELETE", path, ("If-Match", Tag));
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task The_condition_is_looked_at_before_what_the_manifest_refers_to()
    {
        await PutAsync("v1");
        var incomplete = RegistryClient.ImageManifest("{}"u8.ToArray(), [[1]]);

        using var put = await _http.PutManifestAsync(
            _repository, "v1", incomplete, headers: h => h.TryAddWithoutValidation("If-None-Match", "*"));

        put.StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
    }

    [Fact]
    public async Task Many_who_change_a_tag_by_what_they_saw_lose_no_change()
    {
        const int writers = 50;
        using var first = await PutAsync("counter", Counter(0));

        await Task.WhenAll(Enumerable.Range(0, writers).Select(async _ =>
        {
            while (true)
            {
                using var seen = await _http.GetManifestAsync(_repository, "counter");
                var count = CountOf(await seen.Content.ReadAsByteArrayAsync());
                using var put = await PutAsync("counter", Counter(count + 1), ("If-Match", seen.Header("ETag")!));
                if (put.StatusCode == HttpStatusCode.Created)
                {
                    return;
                }

                put.StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
            }
        }));

        using var last = await _http.GetManifestAsync(_repository, "counter");
        CountOf(await last.Content.ReadAsByteArrayAsync()).ShouldBe(writers);
    }

    private static byte[] Counter(int count) => Encoding.UTF8.GetBytes(
        $$"""{"schemaVersion":2,"annotations":{"count":"{{count}}","by":"{{Guid.NewGuid()}}"},"manifests":[]}""");

    private static int CountOf(byte[] manifest) =>
        int.Parse((string)JsonNode.Parse(manifest)!["annotations"]!["count"]!, null);

    private static string TagOf(byte[] manifest) => $"\"{Digest.Of(manifest)}\"";

    private async Task PutAsync(string tag)
    {
        using var put = await PutAsync(tag, _manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private Task<HttpResponseMessage> PutAsync(
        string reference, byte[] manifest, params (string Name, string Value)[] headers) => _http.RequestAsync(
        "PUT", $"/v2/{_repository}/manifests/{reference}", manifest, [("Content-Type", MediaTypes.ImageIndex), .. headers]);

    private async Task TagShouldBeAsync(byte[] manifest)
    {
        using var tag = await _http.GetManifestAsync(_repository, "v1");
        await tag.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }
}
