using Microsoft.AspNetCore.Http;
using OciRegistry.Endpoints;

namespace OciRegistry.Tests.Vocabulary;

public sealed class PaginationTests
{
    private const int MaxPageSize = 100;

    [Theory]
    [InlineData("", 100, null)]
    [InlineData("?n=10", 10, null)]
    [InlineData("?n=0", 0, null)]
    [InlineData("?n=0010", 10, null)]
    [InlineData("?n=100", 100, null)]
    [InlineData("?n=101", 100, null)]
    [InlineData("?n=2147483647", 100, null)]
    [InlineData("?n=2147483648", 100, null)]
    [InlineData("?n=99999999999999999999999999999", 100, null)]
    [InlineData("?last=v1", 100, "v1")]
    [InlineData("?last=", 100, null)]
    [InlineData("?n=", 100, null)]
    [InlineData("?n=&last=a", 100, "a")]
    [InlineData("?n=5&last=a%2Fb", 5, "a/b")]
    [InlineData("?last=a&n=5&x=y", 5, "a")]
    public void A_page_has_a_size_and_a_start(string query, int limit, string? after)
    {
        Pagination.TryRead(Request(query).Request, MaxPageSize, out var page).ShouldBeTrue();
        page.ShouldBe(new Pagination(limit, after));
    }

    [Theory]
    [InlineData("?n=&n=1")]
    [InlineData("?n=-1")]
    [InlineData("?n=+1")]
    [InlineData("?n=%2B1")]
    [InlineData("?n=abc")]
    [InlineData("?n=9e99")]
    [InlineData("?n=1.0")]
    [InlineData("?n=%201")]
    [InlineData("?n=0x10")]
    [InlineData("?n=1&n=2")]
    [InlineData("?n=%D9%A1")] // an arabic 1
    public void A_size_that_is_no_number_is_refused(string query) =>
        Pagination.TryRead(Request(query).Request, MaxPageSize, out _).ShouldBeFalse();

    [Fact]
    public void The_next_page_is_linked_relative_to_the_server_and_escaped()
    {
        var context = Request("");
        context.Request.PathBase = "/registry";
        context.Request.Path = "/v2/a/tags/list";
        context.Request.Host = new HostString("evil.example");

        new Pagination(5, null).LinkNext(context, "a>\r\n/b", "&x=y");

        context.Response.Headers.Link.ToString()
            .ShouldBe("</registry/v2/a/tags/list?n=5&last=a%3E%0D%0A%2Fb&x=y>; rel=\"next\"");
    }

    private static DefaultHttpContext Request(string query) =>
        new() { Request = { QueryString = new QueryString(query) } };
}
