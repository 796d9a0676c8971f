using System.Text;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

public sealed class HtpasswdTextTests
{
    // Of no password that anybody knows; what they are made of does not matter here.
    private const string One = "$2y$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    private const string Two = "$2b$10$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    [Theory]
    [InlineData("", $"new:{Two}\n")]
    [InlineData("# users\n", $"# users\nnew:{Two}\n")]
    [InlineData("# users", $"# users\nnew:{Two}\n")]
    [InlineData($"alice:{One}\n\n", $"alice:{One}\n\nnew:{Two}\n")]
    [InlineData($"alice:{One}", $"alice:{One}\nnew:{Two}\n")]
    [InlineData($"newer:{One}\r\n", $"newer:{One}\r\nnew:{Two}\n")]
    public void A_new_user_stands_at_the_end(string before, string after) =>
        Of(before).With("new", Two).ShouldBe(Bytes(after));

    [Theory]
    [InlineData($"alice:{One}\n", $"alice:{Two}\n")]
    [InlineData($"alice:{One}", $"alice:{Two}")]
    [InlineData($"# alice:{One}\r\nalice:{One} \r\nalice2:{One}\n", $"# alice:{One}\r\nalice:{Two} \r\nalice2:{One}\n")]
    [InlineData($"malice:{One}\nalice:{One}\n", $"malice:{One}\nalice:{Two}\n")]
    public void Another_hash_changes_nothing_else(string before, string after) =>
        Of(before).With("alice", Two).ShouldBe(Bytes(after));

    [Theory]
    [InlineData($"alice:{One}\n", "")]
    [InlineData($"malice:{One}\nalice:{One}", $"malice:{One}\n")]
    [InlineData($"# alice:\n\nalice:{One}\r\nmalice:{One}\r\n", $"# alice:\n\nmalice:{One}\r\n")]
    public void A_user_is_removed_with_the_line_and_nothing_else(string before, string after) =>
        Of(before).Without("alice").ShouldBe(Bytes(after));

    [Fact]
    public void Comments_stay_byte_for_byte_whatever_they_are_made_of()
    {
        byte[] comment = [.. "# "u8, 0xFF, 0xFE, 0x00, (byte)'\n'];

        HtpasswdText.Parse("users", [.. comment, .. Bytes($"alice:{One}\n")]).With("alice", Two)
            .ShouldBe([.. comment, .. Bytes($"alice:{Two}\n")]);
    }

    [Fact]
    public void A_hash_is_as_the_server_and_other_programs_want_it()
    {
        var hash = HtpasswdText.HashOf("pässword");

        hash.ShouldStartWith("$2y$10$");
        Of($"alice:{hash}").Has("alice").ShouldBeTrue();
        BCrypt.Net.BCrypt.Verify("pässword", hash).ShouldBeTrue();
        HtpasswdText.HashOf("pässword").ShouldNotBe(hash); // another salt
    }

    [Fact]
    public void What_a_registry_would_refuse_is_refused() =>
        Should.Throw<UnusableFileException>(() => Of("alice:secret\n")).Message
            .ShouldBe("'users': Line 1: This is no bcrypt hash. Make it with 'user add', or with htpasswd -B.");

    private static HtpasswdText Of(string content) => HtpasswdText.Parse("users", Bytes(content));

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
