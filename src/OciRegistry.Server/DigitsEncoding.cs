using System.Text;
using Microsoft.Net.Http.Headers;

namespace OciRegistry.Server;

/// <summary>
/// Decodes digits, and everything else to a character that is part of no number. Kestrel reads Content-Length with a sign and spaces
/// (RFC 9112 §6.3 allows digits only), which a proxy may read otherwise, and lets its encoding be chosen.
/// </summary>
internal sealed class DigitsEncoding : Encoding
{
    private const char Other = '?';

    private static readonly DigitsEncoding Instance = new();

    public static void Configure(WebApplicationBuilder builder) => builder.WebHost.ConfigureKestrel(
        kestrel => kestrel.RequestHeaderEncodingSelector = name => name == HeaderNames.ContentLength ? Instance : null);

    // What does not fit is cut off: Kestrel has room for one character more than a number has.
    public override int GetChars(ReadOnlySpan<byte> bytes, Span<char> chars)
    {
        var count = Math.Min(bytes.Length, chars.Length);
        for (var i = 0; i < count; i++)
        {
            chars[i] = char.IsAsciiDigit((char)bytes[i]) ? (char)bytes[i] : Other;
        }

        return count;
    }

    public override int GetChars(byte[] bytes, int byteIndex, int byteCount, char[] chars, int charIndex) =>
        GetChars(bytes.AsSpan(byteIndex, byteCount), chars.AsSpan(charIndex));

    public override int GetCharCount(byte[] bytes, int index, int count) => count;

    public override int GetMaxCharCount(int byteCount) => byteCount;

    public override int GetByteCount(char[] chars, int index, int count) => ASCII.GetByteCount(chars, index, count);

    public override int GetBytes(char[] chars, int charIndex, int charCount, byte[] bytes, int byteIndex) =>
        ASCII.GetBytes(chars, charIndex, charCount, bytes, byteIndex);

    public override int GetMaxByteCount(int charCount) => ASCII.GetMaxByteCount(charCount);
}
