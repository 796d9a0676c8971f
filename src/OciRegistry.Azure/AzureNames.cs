using System.Buffers;
using System.Globalization;
using System.Text;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// How documents are called in a container: <c>documents/{folder}@{name}!</c>, so that one prefix lists the names of one
/// folder and of no other, in their own order.
/// </summary>
/// <remarks>
/// The storage sorts by the bytes of what it is given, so the encoding keeps the order of the names: what stands for a
/// character begins with one that has its place among those that stand for themselves, and the end sorts before all.
/// </remarks>
internal static class AzureNames
{
    public static readonly SearchValues<char> InPrefix =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/");

    private const char End = '!';

    private static readonly SearchValues<char> ThemselvesInNames =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-");

    public static string Folder(string folder) => $"documents/{folder}@";

    public static string Document(DocumentKey key) => Folder(key.Folder) + Encode(key.Name) + End;

    /// <summary>The document's name, from what follows its folder; null for what is none of ours.</summary>
    public static string? Decode(ReadOnlySpan<char> encoded)
    {
        if (encoded is not [.., End])
        {
            return null;
        }

        encoded = encoded[..^1];
        if (!encoded.ContainsAnyExcept(ThemselvesInNames))
        {
            return encoded.ToString();
        }

        var name = new StringBuilder(encoded.Length);
        while (!encoded.IsEmpty)
        {
            if (ThemselvesInNames.Contains(encoded[0]))
            {
                name.Append(encoded[0]);
                encoded = encoded[1..];
            }
            else if (encoded is ['/', End, ..])
            {
                name.Append('/');
                encoded = encoded[2..];
            }
            else if (encoded.Length >= 5
                && ushort.TryParse(encoded[1..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
            {
                name.Append((char)code);
                encoded = encoded[5..];
            }
            else
            {
                return null;
            }
        }

        return name.ToString();
    }

    private static string Encode(string name)
    {
        if (!name.AsSpan().ContainsAnyExcept(ThemselvesInNames))
        {
            return name;
        }

        var encoded = new StringBuilder(name.Length + 8);
        foreach (var c in name)
        {
            if (ThemselvesInNames.Contains(c))
            {
                encoded.Append(c);
            }
            else if (c == '/')
            {
                encoded.Append(c).Append(End); // no segment is empty, '.' or '..', which the way to the storage would resolve
            }
            else
            {
                encoded.Append(c < '-' ? '$' : c < 'A' ? '=' : c < '_' ? '^' : c < 'a' ? '`' : '~')
                    .Append(((int)c).ToString("X4", CultureInfo.InvariantCulture));
            }
        }

        return encoded.ToString();
    }
}
