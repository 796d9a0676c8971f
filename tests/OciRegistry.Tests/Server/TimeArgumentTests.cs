using System.Globalization;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

public sealed class TimeArgumentTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    [Theory]
    [InlineData("00:10:00", "2026-01-02T03:14:05Z")]
    [InlineData("30.00:00:00", "2026-02-01T03:04:05Z")]
    [InlineData("-00:00:01", "2026-01-02T03:04:04Z")]
    [InlineData("2027-01-31", "2027-01-31T00:00:00Z")]
    [InlineData("2027-01-31T12:00", "2027-01-31T12:00:00Z")]
    [InlineData("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z")]
    [InlineData("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00Z")]
    public void A_time_is_one_from_now_or_a_date(string text, string time) =>
        TimeArgument.At("--expires", text, Now).ShouldBe(DateTimeOffset.Parse(time, CultureInfo.InvariantCulture));

    [Theory]
    [InlineData("soon")]
    [InlineData("")]
    [InlineData("30")] // .NET: 30 days, which nobody means
    [InlineData("24:00:00")] // .NET: 24 days, too
    [InlineData("10000000.00:00:00")]
    [InlineData("-10000000.00:00:00")]
    [InlineData("01/31/2027")]
    [InlineData("2027-13-31")]
    public void What_is_none_is_answered_with_what_would_be_one(string text)
    {
        var problem = Should.Throw<CommandException>(() => TimeArgument.At("--expires", text, Now));

        problem.ExitCode.ShouldBe(2);
        problem.Message.ShouldBe($"--expires is '{text}'. Say it {TimeArgument.Forms}.");
    }

    [Fact]
    public void A_span_is_written_as_in_the_settings()
    {
        TimeArgument.Span("--lifetime", "00:30:00").ShouldBe(TimeSpan.FromMinutes(30));
        Should.Throw<CommandException>(() => TimeArgument.Span("--lifetime", "30")).Message
            .ShouldStartWith("--lifetime is '30'. Set it to a time as [days.]hours:minutes:seconds");
    }
}
