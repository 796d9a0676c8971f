namespace OciRegistry.Tests.Vocabulary;

public sealed class ReferenceTests
{
    private const string ADigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    [Theory]
    [InlineData("latest")]
    [InlineData("v1.0.0-rc.1_build")]
    [InlineData("_a")]
    [InlineData("0")]
    [InlineData("A")]
    [InlineData("a..b")]
    [InlineData("sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig")]
    public void A_tag_is_a_reference(string text)
    {
        Reference.TryParse(text, out var reference).ShouldBeTrue();
        reference.Tag.ToString().ShouldBe(text);
        reference.Digest.ShouldBeNull();
        reference.ToString().ShouldBe(text);
    }

    [Fact]
    public void A_digest_is_a_reference()
    {
        Reference.TryParse(ADigest, out var reference).ShouldBeTrue();
        reference.Digest.ShouldBe(Digest.Parse(ADigest));
        reference.Tag.ShouldBeNull();
        reference.ToString().ShouldBe(ADigest);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData(".a")]
    [InlineData("-a")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("a+b")]
    [InlineData("a:b")]
    [InlineData("a@b")]
    [InlineData("a%2f")]
    [InlineData("sha256:xyz")]
    [InlineData("latest\n")]
    [InlineData("t\u00e4g")]
    [InlineData("v\u0661")] // an arabic 1
    public void Anything_else_is_no_reference(string text) => Reference.TryParse(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData(1, true)]
    [InlineData(128, true)]
    [InlineData(129, false)]
    public void A_tag_has_at_most_128_characters(int length, bool valid) =>
        Tag.TryParse(new string('a', length), out _).ShouldBe(valid);
}
