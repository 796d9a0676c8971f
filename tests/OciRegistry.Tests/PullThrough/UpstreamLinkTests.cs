using OciRegistry.PullThrough;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What an upstream says about the next page of a list: nothing of it but a query of bounded length is used.</summary>
public sealed class UpstreamLinkTests
{
    [Theory]
    [InlineData("</v2/a/tags/list?n=2&last=x>; rel=\"next\"", "n=2&last=x")]
    [InlineData("<https://elsewhere.example/v2/b/tags/list?last=x>; rel=next", "last=x")]
    [InlineData("</first?a=1>; rel=\"prev\", </v2/a/tags/list?last=x>; rel=\"next\"", "last=x")]
    [InlineData("</v2/a/tags/list>; rel=\"next\"", null)]
    [InlineData("</v2/a/tags/list?last=x>; rel=\"prev\"", null)]
    [InlineData("</v2/a/tags/list?last=x; rel=\"next\"", null)]
    [InlineData("next", null)]
    public void Next_page_is_the_query_of_the_link(string link, string? query) => QueryOf(link).ShouldBe(query);

    [Theory]
    [InlineData(4_000, true)]
    [InlineData(4_200, false)]
    [InlineData(60_000, false)]
    public void Link_that_is_too_long_is_not_followed(int length, bool isFollowed) =>
        (QueryOf($"</v2/a/tags/list?last={new string('x', length)}>; rel=\"next\"") is not null).ShouldBe(isFollowed);

    private static string? QueryOf(string link)
    {
        using var response = new HttpResponseMessage();
        response.Headers.TryAddWithoutValidation("Link", link).ShouldBeTrue();
        return UpstreamLink.NextQuery(response);
    }
}
