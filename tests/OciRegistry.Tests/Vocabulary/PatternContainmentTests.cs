using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Vocabulary;

/// <summary>Which patterns are within which: what an administrator of one may give away.</summary>
public sealed class PatternContainmentTests(ITestOutputHelper output)
{
    private static readonly string[] Parts = ["a", "b", "/", "*", "**"];

    [Theory]
    [InlineData("team-a/app", "team-a/app", true)]
    [InlineData("team-a/app", "team-a/ap", false)]
    [InlineData("team-a/app", "team-a/*", false)]
    [InlineData("team-a/*", "team-a/app", true)]
    [InlineData("team-a/*", "team-a/*", true)]
    [InlineData("team-a/*", "team-a/app-*", true)]
    [InlineData("team-a/*", "team-a/*-app", true)]
    [InlineData("team-a/*", "team-a/app/sub", false)]
    [InlineData("team-a/*", "team-a/*/sub", false)]
    [InlineData("team-a/*", "team-a/**", false)]
    [InlineData("team-a/*", "team-b/*", false)]
    [InlineData("team-a/**", "team-a/app", true)]
    [InlineData("team-a/**", "team-a/app/sub", true)]
    [InlineData("team-a/**", "team-a/*", true)]
    [InlineData("team-a/**", "team-a/*/sub", true)]
    [InlineData("team-a/**", "team-a/**", true)]
    [InlineData("team-a/**", "team-a/**/app", true)]
    [InlineData("team-a/**", "team-a", false)]
    [InlineData("team-a/**", "team-a*/app", false)]
    [InlineData("team-a/**", "team-a**", false)]
    [InlineData("team-a/**", "team-*/app", false)]
    [InlineData("team-a/**", "team-ab/app", false)]
    [InlineData("team-a/**", "*/app", false)]
    [InlineData("team-a/**", "**/app", false)]
    [InlineData("team-a/**", "**", false)]
    [InlineData("team-*/app", "team-a/app", true)]
    [InlineData("team-*/app", "team-a*/app", true)]
    [InlineData("team-*/app", "team-a/*", false)]
    [InlineData("team-*/app", "team-**/app", false)]
    [InlineData("*/app", "team/app", true)]
    [InlineData("*/app", "**/app", false)]
    [InlineData("**/app", "*/app", true)]
    [InlineData("**/app", "**/sub/app", true)]
    [InlineData("**/app", "**", false)]
    [InlineData("*", "team", true)]
    [InlineData("*", "**", false)]
    [InlineData("**", "**", true)]
    [InlineData("**", "*", true)]
    [InlineData("**", "team-a/**", true)]
    [InlineData("**", "**/app", true)]
    [InlineData("*/**", "**", false)]
    [InlineData("a**", "**", false)]
    public void A_pattern_is_within_another_or_not(string outer, string inner, bool isWithin) =>
        new NamePattern(outer).Contains(new NamePattern(inner)).ShouldBe(isWithin);

    /// <summary>Small patterns over few letters, so that many of them are within others, and all short names.</summary>
    [Fact]
    public void What_is_within_a_pattern_matches_no_name_that_the_pattern_does_not()
    {
        var random = new Random(Seed.Next(output));
        var names = Names(5).ToList();
        var found = 0;
        for (var i = 0; i < 3_000; i++)
        {
            var (outer, inner) = (new NamePattern(Next()), new NamePattern(Next()));
            if (outer.Contains(inner))
            {
                found++;
                names.Where(name => inner.Matches(name) && !outer.Matches(name))
                    .ShouldBeEmpty($"{inner} is said to be within {outer}");
            }
        }

        found.ShouldBeGreaterThan(100);

        string Next()
        {
            var text = new StringBuilder();
            for (var parts = random.Next(1, 5); parts > 0; parts--)
            {
                text.Append(Parts[random.Next(Parts.Length)]);
            }

            return text.ToString();
        }
    }

    private static IEnumerable<string> Names(int length) =>
        length == 0 ? [""] : Names(length - 1).SelectMany(name => new[] { name, name + "a", name + "b", name + "/" }).Distinct();
}
