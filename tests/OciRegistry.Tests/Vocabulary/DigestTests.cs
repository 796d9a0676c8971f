namespace OciRegistry.Tests.Vocabulary;

public sealed class DigestTests
{
    private const string Empty256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    private const string Empty512 =
        "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

    [Theory]
    [InlineData(Empty256, DigestAlgorithm.Sha256)]
    [InlineData(Empty512, DigestAlgorithm.Sha512)]
    public void A_registered_digest_is_accepted_and_kept_as_it_is_spelled(string text, DigestAlgorithm algorithm)
    {
        Digest.TryParse(text, out var digest).ShouldBeTrue();
        digest.ToString().ShouldBe(text);
        digest.Algorithm.ShouldBe(algorithm);
        digest.Hex.ShouldBe(text[7..]);
        digest.ShouldBe(Digest.Parse(text));
        digest.ShouldBe(Digest.Of([], algorithm));
    }

    [Theory]
    [InlineData("")]
    [InlineData(":")]
    [InlineData("sha256")]
    [InlineData("sha256:")]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85")] // 63
    [InlineData("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550")] // 65
    [InlineData("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")]
    [InlineData("SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\n")]
    [InlineData(" sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha256::e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85")]
    [InlineData("sha256:../../../../../../../../../../../../../../../../../../../../etc/x")]
    [InlineData("sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("sha384:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("blake3:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("md5:d41d8cd98f00b204e9800998ecf8427e")]
    [InlineData("sha256+b64:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=")]
    public void Anything_else_is_no_digest(string text)
    {
        Digest.TryParse(text, out var digest).ShouldBeFalse();
        digest.ShouldBe(default);
        Should.Throw<FormatException>(() => Digest.Parse(text));
    }

    [Fact]
    public void The_default_digest_has_no_text_that_could_end_up_in_a_path() =>
        Should.Throw<InvalidOperationException>(() => default(Digest).ToString());

    [Fact]
    public void Digests_of_two_algorithms_over_the_same_content_differ() =>
        Digest.Of("x"u8).ShouldNotBe(Digest.Of("x"u8, DigestAlgorithm.Sha512));
}
