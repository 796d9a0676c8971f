using System.Text;

namespace OciRegistry.Server.Commands;

/// <summary>
/// A password, from whoever sits at the terminal or from standard input: never from an argument, which every process of the
/// machine can read, and the shell remembers.
/// </summary>
internal static class PasswordInput
{
    // More than any password has; who pipes a disk into it is told so at once.
    private const int MaxLength = 4096;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static string Read(bool fromStandardInput) => fromStandardInput
        ? ReadAll(Console.OpenStandardInput())
        : Console.IsInputRedirected
            ? throw CommandException.CalledWrongly(
                "There is no terminal on which to ask for the password. Write it to standard input, and add --password-stdin.")
            : Ask();

    /// <summary>One line, without what ends it.</summary>
    internal static string ReadAll(Stream input)
    {
        var bytes = new byte[MaxLength];
        return LineOf(bytes.AsSpan(0, input.ReadAtLeast(bytes, MaxLength, throwOnEndOfStream: false)));
    }

    private static string Ask()
    {
        using var terminal = new SilentTerminal();
        var password = Ask(terminal, "Password: ");
        return Ask(terminal, "The same again: ") == password
            ? password
            : throw CommandException.NotDone("The two passwords are not the same. Try again.");
    }

    private static string Ask(SilentTerminal terminal, string question)
    {
        Console.Error.Write(question); // the output is what the command says
        var bytes = new byte[MaxLength];
        var length = terminal.ReadLine(bytes);
        Console.Error.WriteLine();
        return LineOf(bytes.AsSpan(0, length));
    }

    private static string LineOf(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var text = Utf8.GetString(bytes);
            var line = text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
            return line.Contains('\n', StringComparison.Ordinal)
                ? throw CommandException.NotDone("Standard input has more than one line. Write the password there, and nothing else.")
                : line;
        }
        catch (DecoderFallbackException)
        {
            throw CommandException.NotDone("The password is no UTF-8 text. Write it in UTF-8.");
        }
    }
}
