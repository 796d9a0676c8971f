using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Groups 14 and 15: lists, ranges and conditions.</summary>
public sealed class ReadTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    private readonly byte[] _blob = RegistryClient.RandomBytes(10_000);

    // --- 14: lists ------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("n=-1")]
    [InlineData("n=-2147483649")]
    [InlineData("n=abc")]
    [InlineData("n=9e99")]
    [InlineData("n=1.5")]
    [InlineData("n=0x10")]
    [InlineData("n=%00")]
    [InlineData("n=1%0d%0aX-Evil:1")]
    [InlineData("n=1&n=1")]
    [InlineData("n=%ff")]
    public async Task A_bad_page_size_is_refused_by_every_list(string query)
    {
        await PushTagsAsync("a");
        foreach (var path in new[] { "_catalog", $"{Repository}/tags/list", $"{Repository}/referrers/{Digest.Of(_blob)}" })
        {
            (await AskAsync($"GET /v2/{path}?{query} HTTP/1.1")).ShouldBeRefused("UNSUPPORTED");
        }
    }

    [Theory]
    [InlineData("n=2147483648")]
    [InlineData("n=18446744073709551616")]
    [InlineData("last=")]
    [InlineData("last=%00")]
    [InlineData("last=..%2f..%2fetc")]
    [InlineData("last=%0d%0aX-Evil:%201")]
    [InlineData("last=%3E;rel=%22x%22")]
    [InlineData("last=%ff%fe")]
    [InlineData("last=%F0%9F%92%A9")]
    [InlineData("last=a&last=b")]
    [InlineData("last=*&n=1")]
    [InlineData("&&&=&n")]
    [InlineData("?")]
    [InlineData("%")]
    public async Task An_odd_page_is_a_page_or_refused(string query)
    {
        await PushTagsAsync("a", "b", "c");
        foreach (var path in new[] { "_catalog", $"{Repository}/tags/list", $"{Repository}/referrers/{Digest.Of(_blob)}" })
        {
            var answer = await AskAsync($"GET /v2/{path}?{query} HTTP/1.1");
            answer.Headers["X-Evil"].ShouldBeEmpty();
            answer.Headers["Link"].ShouldAllBe(link => !link.Contains("rel=\"x\"", StringComparison.Ordinal));
            if (answer.Status != 200)
            {
                answer.ShouldBeRefused();
            }
        }
    }

    [Fact]
    public async Task A_last_of_any_length_is_only_a_place_in_the_order()
    {
        await PushTagsAsync("a", "b");

        using var list = await Http.RequestAsync("GET", $"/v2/{Repository}/tags/list?last=a{new string('a', 6_000)}");

        (await list.JsonAsync()).Texts("tags").ShouldBe(["b"]);
    }

    // --- 15: ranges and conditions ----------------------------------------------------------------------------------

    [Theory]
    [InlineData(2)]
    [InlineData(1_000)]
    public async Task Many_small_ranges_are_answered_within_bounds(int count)
    {
        var digest = await Http.PushBlobAsync(Repository, _blob);
        var header = "bytes=" + string.Join(',', Enumerable.Range(0, count).Select(i => $"{i * 4}-{(i * 4) + 1}"));

        using var response = await Http.RequestAsync("GET", $"/v2/{Repository}/blobs/{digest}", ("Range", header));

        response.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
        (await response.Content.ReadAsByteArrayAsync()).Length.ShouldBeLessThan(count * 200);
    }

    [Theory]
    [InlineData("0-", 1_000)] // overlapping: more than the whole
    [InlineData("0-0", 5_000)] // more ranges than anybody needs
    public async Task Ranges_that_only_cost_are_answered_with_the_whole(string range, int count)
    {
        var digest = await Http.PushBlobAsync(Repository, _blob);
        var header = "bytes=" + string.Join(',', Enumerable.Repeat(range, count));

        using var response = await Http.RequestAsync("GET", $"/v2/{Repository}/blobs/{digest}", ("Range", header));

        await response.ShouldBeContentAsync(digest, _blob);
    }

    [Fact]
    public async Task A_header_beyond_the_servers_limit_is_refused()
    {
        var digest = await Http.PushBlobAsync(Repository, _blob);

        (await AskAsync($"GET /v2/{Repository}/blobs/{digest} HTTP/1.1\r\nRange: bytes={new string('0', 40_000)}-"))
            .ShouldBeRefused();
    }

    [Theory]
    [InlineData("Range: bytes=0-1\r\nRange: bytes=3-4")]
    [InlineData("Range: \u00e4\u00ff")]
    [InlineData("Range: bytes=\u00b2-\u00b3")]
    [InlineData("If-None-Match: \"")]
    [InlineData("If-None-Match: W/")]
    [InlineData("If-None-Match: W/\"\"")]
    [InlineData("If-None-Match: \"a\" \"b\"")]
    [InlineData("If-None-Match: \u00ff")]
    [InlineData("If-Range: W/\"x\"\r\nRange: bytes=0-1")]
    [InlineData("If-Modified-Since: yesterday")]
    [InlineData("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT")]
    [InlineData("Accept: \u00ff")]
    [InlineData("Accept-Encoding: *;q=9")]
    [InlineData("Authorization: Basic !!!")]
    [InlineData("Cookie: ../../etc/passwd")]
    public async Task An_odd_header_leaves_the_content_as_it_is(string header)
    {
        var manifest = RegistryClient.EmptyIndex();
        using var put = await Http.PutManifestAsync(Repository, "v1", manifest, MediaTypes.ImageIndex);

        var answer = await AskAsync($"GET /v2/{Repository}/manifests/v1 HTTP/1.1\r\n{header}");

        if (answer.Status == 200)
        {
            answer.Body.ShouldBe(System.Text.Encoding.UTF8.GetString(manifest));
        }
        else
        {
            answer.ShouldBeRefused();
        }
    }

    private async Task PushTagsAsync(params string[] tags)
    {
        var manifest = RegistryClient.EmptyIndex();
        using var put = await Http.PutManifestAsync(
            Repository, $"{Digest.Of(manifest)}?tag={string.Join("&tag=", tags)}", manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }
}
