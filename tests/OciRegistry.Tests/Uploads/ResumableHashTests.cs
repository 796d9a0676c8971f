using System.Text;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Uploads;

public sealed class ResumableHashTests
{
    public enum Implementation
    {
        Chosen,
        Libcrypto,
        Managed,
    }

    private const string Nist448 = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    private const string Nist896 = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

    public static TheoryData<Implementation, string, string> NistVectors()
    {
        (string Message, string Digest)[] vectors =
        [
            ("", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Nist448, "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
            (Nist896, "sha256:cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"),
            (
                "",
                "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"),
            (
                "abc",
                "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"),
            (
                Nist448,
                "sha512:204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335"
                + "96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445"),
            (
                Nist896,
                "sha512:8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
                + "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"),
        ];

        var data = new TheoryData<Implementation, string, string>();
        foreach (var implementation in Enum.GetValues<Implementation>())
        {
            foreach (var (message, digest) in vectors)
            {
                data.Add(implementation, message, digest);
            }
        }

        return data;
    }

    /// <summary>Each algorithm, and each implementation beside itself and the other.</summary>
    public static TheoryData<DigestAlgorithm, Implementation, Implementation> Pairs()
    {
        var data = new TheoryData<DigestAlgorithm, Implementation, Implementation>();
        foreach (var algorithm in Enum.GetValues<DigestAlgorithm>())
        {
            data.Add(algorithm, Implementation.Libcrypto, Implementation.Managed);
            data.Add(algorithm, Implementation.Managed, Implementation.Libcrypto);
            data.Add(algorithm, Implementation.Libcrypto, Implementation.Libcrypto);
            data.Add(algorithm, Implementation.Managed, Implementation.Managed);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(NistVectors))]
    public void The_vectors_of_NIST_have_their_digests(Implementation implementation, string message, string digest)
    {
        var expected = Digest.Parse(digest);
        using var hash = Resume(implementation, HashState.Initial(expected.Algorithm));

        hash.Append(Encoding.ASCII.GetBytes(message));

        hash.Digest().ShouldBe(expected);
        hash.Length.ShouldBe(message.Length);
    }

    [Theory]
    [InlineData(Implementation.Libcrypto)]
    [InlineData(Implementation.Managed)]
    public void A_million_letters_in_odd_pieces_have_the_digest_that_NIST_gives(Implementation implementation)
    {
        using var hash = Resume(implementation, HashState.Initial(DigestAlgorithm.Sha256));
        var piece = Encoding.ASCII.GetBytes(new string('a', 997));
        while (hash.Length < 1_000_000)
        {
            hash.Append(piece.AsSpan(0, (int)Math.Min(piece.Length, 1_000_000 - hash.Length)));
        }

        hash.Digest().Hex.ShouldBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_hash_that_is_saved_and_resumed_anywhere_gives_the_digest_of_the_whole(
        DigestAlgorithm algorithm, Implementation first, Implementation second)
    {
        var random = new Random(20_260_701);
        for (var round = 0; round < 2_000; round++)
        {
            var content = new byte[random.Next(1_500)];
            random.NextBytes(content);

            var turn = 0;
            var hash = Resume(first, HashState.Initial(algorithm));
            for (var offset = 0; offset < content.Length;)
            {
                var length = random.Next(content.Length - offset + 1);
                hash.Append(content.AsSpan(offset, length));
                offset += length;
                hash = Resume(++turn % 2 == 0 ? first : second, hash.Save());
            }

            hash.Digest().ShouldBe(Digest.Of(content, algorithm), $"round {round}");
            hash.Length.ShouldBe(content.Length);
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Both_implementations_save_the_same_state(
        DigestAlgorithm algorithm, Implementation first, Implementation second)
    {
        var content = new byte[300];
        Random.Shared.NextBytes(content);
        for (var length = 0; length <= content.Length; length++)
        {
            using var one = Resume(first, HashState.Initial(algorithm));
            using var other = Resume(second, HashState.Initial(algorithm));
            one.Append(content.AsSpan(0, length));
            other.Append(content.AsSpan(0, length));

            one.Save().ShouldBeEquivalentTo(other.Save());
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void The_length_counts_beyond_32_bits_of_bits(
        DigestAlgorithm algorithm, Implementation first, Implementation second)
    {
        foreach (var length in new[] { (1L << 29) - 128, (1L << 32) - 128, 1L << 50 })
        {
            var state = HashState.Initial(algorithm) with { Length = length };
            using var one = Resume(first, state);
            using var other = Resume(second, state);
            one.Append(new byte[300]);
            other.Append(new byte[300]);

            one.Digest().ShouldBe(other.Digest());
            one.Save().ShouldBeEquivalentTo(other.Save());
            one.Length.ShouldBe(length + 300);
        }
    }

    [Theory]
    [InlineData(Implementation.Libcrypto)]
    [InlineData(Implementation.Managed)]
    public void Neither_Save_nor_Digest_disturbs_the_hash(Implementation implementation)
    {
        using var hash = Resume(implementation, HashState.Initial(DigestAlgorithm.Sha512));
        hash.Append("one"u8);

        var saved = hash.Save();
        hash.Digest().ShouldBe(hash.Digest());
        hash.Append(" two"u8);

        hash.Digest().ShouldBe(Digest.Of("one two"u8, DigestAlgorithm.Sha512));
        saved.Tail.ShouldBe("one"u8.ToArray());
    }

    [Fact]
    public void Libcrypto_is_chosen_where_it_works()
    {
        using var hash = ResumableHash.Create(DigestAlgorithm.Sha256);

        (hash is LibcryptoHash).ShouldBe(LibcryptoHash.IsUsable);
    }

    private static ResumableHash Resume(Implementation implementation, HashState state)
    {
        Assert.SkipWhen(
            implementation == Implementation.Libcrypto && !LibcryptoHash.IsUsable, "There is no libcrypto.so.3 here.");
        return implementation switch
        {
            Implementation.Libcrypto => new LibcryptoHash(state),
            Implementation.Managed => new ManagedHash(state),
            _ => ResumableHash.Resume(state),
        };
    }
}
