using OciRegistry.Endpoints;

namespace OciRegistry.Tests.Vocabulary;

/// <summary>RFC 9110 §14.1.2 and §14.2.</summary>
public sealed class ByteRangeTests
{
    private const long Length = 1_000;

    [Theory]
    [InlineData("bytes=0-0", "0-0")]
    [InlineData("bytes=0-", "0-999")]
    [InlineData("bytes=500-", "500-999")]
    [InlineData("bytes=999-999", "999-999")]
    [InlineData("bytes=0-999", "0-999")]
    [InlineData("bytes=900-5000", "900-999")]
    [InlineData("bytes=-1", "999-999")]
    [InlineData("bytes=-1000", "0-999")]
    [InlineData("bytes=-5000", "0-999")]
    [InlineData("BYTES=0-1", "0-1")]
    [InlineData("bytes= 0-1 ,\t3-4", "0-1 3-4")]
    [InlineData("bytes=0-1,,3-4,", "0-1 3-4")]
    [InlineData("bytes=0-0,-1", "0-0 999-999")]
    [InlineData("bytes=5-6,0-1", "5-6 0-1")]
    [InlineData("bytes=0-99999999999999999999999999", "0-999")]
    [InlineData("bytes=-99999999999999999999999999", "0-999")]
    [InlineData("bytes=0-1,2000-", "0-1")]
    [InlineData("bytes=500-0,0-1", "0-1")]
    public void Ranges_are_answered_in_the_order_of_the_header(string header, string expected) =>
        string.Join(' ', ByteRange.Parse(header, Length)!.Select(range => $"{range.First}-{range.Last}"))
            .ShouldBe(expected);

    [Theory]
    [InlineData("bytes=1000-")]
    [InlineData("bytes=1000-2000")]
    [InlineData("bytes=500-0")]
    [InlineData("bytes=-0")]
    [InlineData("bytes=99999999999999999999999999-")]
    [InlineData("bytes=1000-,2000-3000")]
    public void Ranges_without_any_byte_of_the_content_are_not_satisfiable(string header) =>
        ByteRange.Parse(header, Length).ShouldBe([]);

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("bytes")]
    [InlineData("bytes=")]
    [InlineData("bytes=,")]
    [InlineData("bytes=-")]
    [InlineData("bytes=a-b")]
    [InlineData("bytes=1-b")]
    [InlineData("bytes=1--2")]
    [InlineData("bytes=--2")]
    [InlineData("bytes=+1-2")]
    [InlineData("bytes=0x1-2")]
    [InlineData("bytes=1")]
    [InlineData("bytes=0-1,x")]
    [InlineData("bytes 0-1")]
    [InlineData("chunks=0-1")]
    [InlineData("bytes=0-1,bytes=3-4")]
    [InlineData("bytes=0-,0-")] // more than the whole
    [InlineData("bytes=0-999,0-0")]
    public void Anything_else_is_ignored(string? header) => ByteRange.Parse(header, Length).ShouldBeNull();

    [Fact]
    public void More_than_1024_ranges_are_ignored()
    {
        static string Header(int count) => "bytes=" + string.Join(',', Enumerable.Repeat("0-0", count));
        ByteRange.Parse(Header(1_024), 2_000)!.Count.ShouldBe(1_024);
        ByteRange.Parse(Header(1_025), 2_000).ShouldBeNull();
    }

    [Theory]
    [InlineData("bytes=0-")]
    [InlineData("bytes=0-0")]
    [InlineData("bytes=-1")]
    public void A_range_of_empty_content_is_ignored(string header) => ByteRange.Parse(header, 0).ShouldBeNull();
}
