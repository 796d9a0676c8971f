using System.Text;

namespace OciRegistry;

/// <summary>A file that has a password or a token, and nothing else.</summary>
internal static class SecretFile
{
    private const int MaxLength = 64 * 1024;

    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static WatchedFile<string> Open(string path) => new(path, SecretOf);

    /// <summary>Opens a file whose secret goes into a header as it is.</summary>
    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static WatchedFile<string> OpenToken(string path) => new(path, TokenOf);

    /// <summary>Whether a header can carry it as a bearer token.</summary>
    public static bool IsToken(string text) => text.Length > 0 && text.All(c => c is > ' ' and <= '~');

    /// <summary>All that is wrong with the file, each sentence with its remedy; empty when nothing is, or there is no file.</summary>
    public static IEnumerable<string> Problems(string? path, bool isToken) =>
        path is null ? [] : UnusableFileException.ProblemsOf(() => _ = isToken ? OpenToken(path) : Open(path));

    private static string TokenOf(string path, byte[] content) =>
        SecretOf(path, content) is var token && IsToken(token)
            ? token
            : throw new UnusableFileException(path, ["Its token has a space, or a character that is not ASCII. Write it anew."]);

    // What is mounted or echoed into a file ends with a line break.
    private static string SecretOf(string path, byte[] content)
    {
        var secret = Encoding.UTF8.GetString(content).TrimEnd('\r', '\n');
        return secret.Length is > 0 and <= MaxLength && !secret.Any(char.IsControl)
            ? secret
            : throw new UnusableFileException(
                path, [$"It must have one line with the secret, of 1 to {MaxLength} characters. Write it anew."]);
    }
}
