using System.Text;

namespace OciRegistry;

/// <summary>A file that has a password or a token, and nothing else.</summary>
internal static class SecretFile
{
    private const int MaxLength = 64 * 1024;

    /// <exception cref="UnusableFileException">It cannot be used.</exception>
    public static WatchedFile<string> Open(string path) => new(path, SecretOf);

    /// <summary>All that is wrong with the file, each sentence with its remedy; empty when nothing is.</summary>
    public static IEnumerable<string> Problems(string path)
    {
        try
        {
            Open(path);
            return [];
        }
        catch (UnusableFileException e)
        {
            return e.Problems;
        }
    }

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
