using System.Text;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

public sealed class PasswordInputTests
{
    [Theory]
    [InlineData("secret\n", "secret")]
    [InlineData("secret", "secret")]
    [InlineData("secret\r\n", "secret")]
    [InlineData(" sec ret \n", " sec ret ")]
    [InlineData("pässword\n", "pässword")]
    [InlineData("\n", "")]
    [InlineData("", "")]
    public void A_line_is_read_without_what_ends_it(string input, string password) =>
        Read(Encoding.UTF8.GetBytes(input)).ShouldBe(password);

    [Fact]
    public void More_than_a_line_is_refused_and_not_repeated()
    {
        var problem = Should.Throw<CommandException>(() => Read("secret\nsecret\n"u8.ToArray()));

        problem.ExitCode.ShouldBe(1);
        problem.Message.ShouldBe("Standard input has more than one line. Write the password there, and nothing else.");
    }

    [Fact]
    public void What_is_no_text_is_refused() => Should.Throw<CommandException>(() => Read([0x73, 0xFF]))
        .Message.ShouldBe("The password is no UTF-8 text. Write it in UTF-8.");

    private static string Read(byte[] input) => PasswordInput.ReadAll(new MemoryStream(input));
}
