using OciRegistry.Endpoints;

namespace OciRegistry.Tests.Vocabulary;

/// <summary>end-5: "^[0-9]+-[0-9]+$", and what HTTP adds to it.</summary>
public sealed class ContentRangeTests
{
    [Theory]
    [InlineData("0-0", 0, 0, 1)]
    [InlineData("0-1023", 0, 1023, 1024)]
    [InlineData("1024-2047", 1024, 2047, 1024)]
    [InlineData("007-9", 7, 9, 3)]
    [InlineData("bytes 0-9/10", 0, 9, 10)]
    [InlineData("bytes 2-9/*", 2, 9, 8)]
    [InlineData("2-9/100", 2, 9, 8)]
    [InlineData("0-9223372036854775806", 0, long.MaxValue - 1, long.MaxValue)]
    public void First_and_last_byte_are_both_inclusive(string text, long first, long last, long length)
    {
        ContentRange.TryParse(text, out var range).ShouldBeTrue();
        range.ShouldBe(new ContentRange(first, last));
        range.Length.ShouldBe(length);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("0")]
    [InlineData("0-")]
    [InlineData("-5")]
    [InlineData("5-4")]
    [InlineData("bytes=0-9")]
    [InlineData("0-9/9")]
    [InlineData("0-9/")]
    [InlineData("0-9/x")]
    [InlineData("bytes  0-9")]
    [InlineData("0--1")]
    [InlineData("+0-9")]
    [InlineData("0-+9")]
    [InlineData("0 - 9")]
    [InlineData(" 0-9")]
    [InlineData("0-9 ")]
    [InlineData("0-9,10-19")]
    [InlineData("0x0-0x9")]
    [InlineData("1e1-1e2")]
    [InlineData("1,000-2,000")]
    [InlineData("0-9223372036854775807")] // its length would not fit
    [InlineData("0-9223372036854775808")]
    [InlineData("0-18446744073709551615")]
    [InlineData("99999999999999999999-99999999999999999999")]
    [InlineData("\u0660-\u0669")] // arabic digits
    public void Anything_else_is_refused(string text) => ContentRange.TryParse(text, out _).ShouldBeFalse();
}
