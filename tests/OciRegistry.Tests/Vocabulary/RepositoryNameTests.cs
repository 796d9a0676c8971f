namespace OciRegistry.Tests.Vocabulary;

public sealed class RepositoryNameTests
{
    [Theory]
    [InlineData("a")]
    [InlineData("0")]
    [InlineData("library/alpine")]
    [InlineData("a/b/c/d/e/f/g")]
    [InlineData("a.b")]
    [InlineData("a_b")]
    [InlineData("a__b")]
    [InlineData("a-b")]
    [InlineData("a---b")]
    [InlineData("a-b.c_d__e/0.1")]
    [InlineData("manifests")]
    [InlineData("tags/list")]
    [InlineData("blobs/uploads")]
    [InlineData("con/aux/nul")]
    public void A_name_by_the_grammar_is_accepted(string text)
    {
        RepositoryName.TryParse(text, out var name).ShouldBeTrue();
        name.ToString().ShouldBe(text);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("a/..")]
    [InlineData("../a")]
    [InlineData("a/../b")]
    [InlineData("a/./b")]
    [InlineData("A")]
    [InlineData("a/B")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("a/-b")]
    [InlineData("a-/b")]
    [InlineData("_a")]
    [InlineData("_catalog")]
    [InlineData("a/_tags")]
    [InlineData("a_")]
    [InlineData("a___b")]
    [InlineData("a..b")]
    [InlineData("a.")]
    [InlineData("a._b")]
    [InlineData("a.-b")]
    [InlineData("a-_b")]
    [InlineData("a b")]
    [InlineData("a\\b")]
    [InlineData("a:b")]
    [InlineData("a@b")]
    [InlineData("a%2fb")]
    [InlineData("a\0")]
    [InlineData("a\n")]
    [InlineData("ä")]
    [InlineData("\u0430")] // a cyrillic a
    [InlineData("\uff41")] // a full-width a
    [InlineData("\u0663")] // an arabic 3
    public void Anything_else_is_no_name(string text) => RepositoryName.TryParse(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData(250, true)]
    [InlineData(251, false)]
    [InlineData(100_000, false)]
    public void A_name_has_at_most_250_characters(int length, bool valid)
    {
        RepositoryName.TryParse(new string('a', length), out _).ShouldBe(valid);
        RepositoryName.TryParse($"{new string('a', length - 2)}/b", out _).ShouldBe(valid);
    }
}
