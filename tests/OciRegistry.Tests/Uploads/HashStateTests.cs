using System.Text.Json;
using System.Text.Json.Serialization;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Uploads;

public sealed class HashStateTests
{
    private static readonly HashState Valid = HashState.Initial(DigestAlgorithm.Sha256) with
    {
        Length = 66,
        Tail = [1, 2],
    };

    public static TheoryData<string> Defects() => [.. Defective.Keys];

    private static Dictionary<string, HashState> Defective => new()
    {
        ["an unknown algorithm"] = Valid with { Algorithm = (DigestAlgorithm)7 },
        ["a negative length"] = Valid with { Length = -64, Tail = [] },
        ["a length whose bits overflow"] = Valid with { Length = long.MaxValue / 64 * 64, Tail = [] },
        ["words of another algorithm"] = Valid with { Words = new byte[64] },
        ["no words"] = Valid with { Words = [] },
        ["null words"] = Valid with { Words = null! },
        ["a short tail"] = Valid with { Tail = [1] },
        ["a long tail"] = Valid with { Tail = [1, 2, 3] },
        ["a tail of a block more"] = Valid with { Tail = new byte[66] },
        ["a null tail"] = Valid with { Tail = null! },
        ["a tail that sha512 would not have"] = Valid with { Algorithm = DigestAlgorithm.Sha512, Words = new byte[64] },
    };

    [Theory]
    [MemberData(nameof(Defects))]
    public void A_state_that_no_hash_can_be_in_is_not_resumed(string defect) =>
        Should.Throw<InvalidDataException>(() => ResumableHash.Resume(Defective[defect]));

    [Fact]
    public void A_valid_state_is_resumed_where_it_was_saved()
    {
        using var hash = ResumableHash.Resume(Valid);

        hash.Algorithm.ShouldBe(DigestAlgorithm.Sha256);
        hash.Length.ShouldBe(66);
        hash.Save().ShouldBeEquivalentTo(Valid);
    }

    [Fact]
    public void A_hash_shares_no_memory_with_the_state_it_was_resumed_from()
    {
        var state = Valid with { Words = [.. Valid.Words], Tail = [.. Valid.Tail] };
        using var hash = ResumableHash.Resume(state);
        using var managed = new ManagedHash(state);
        hash.Append(new byte[100]);
        managed.Append(new byte[100]);

        state.ShouldBeEquivalentTo(Valid);
    }

    [Fact]
    public void A_state_survives_JSON_with_the_algorithm_by_its_name()
    {
        using var hash = ResumableHash.Create(DigestAlgorithm.Sha512);
        hash.Append(new byte[1_001]);
        var saved = hash.Save();

        var json = JsonSerializer.Serialize(saved, HashStateJson.Default.HashState);
        var read = JsonSerializer.Deserialize(json, HashStateJson.Default.HashState)!;

        json.ShouldStartWith("""{"algorithm":"sha512","length":1001,"words":""");
        read.ShouldBeEquivalentTo(saved);
        using var resumed = ResumableHash.Resume(read);
        resumed.Digest().ShouldBe(hash.Digest());
    }

    [Theory]
    [InlineData("\"md5\"")]
    [InlineData("\"SHA256\"")]
    [InlineData("0")]
    [InlineData("null")]
    public void An_algorithm_of_another_name_is_not_read(string algorithm) => Should.Throw<JsonException>(() =>
        JsonSerializer.Deserialize(
            $$"""{"algorithm":{{algorithm}},"length":0,"words":"","tail":""}""", HashStateJson.Default.HashState));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(HashState))]
internal sealed partial class HashStateJson : JsonSerializerContext;
