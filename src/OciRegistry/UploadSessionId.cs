using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace OciRegistry;

/// <summary>The id of an upload session: 128 random bits as 32 lower-case hex digits. Who knows it may go on with it.</summary>
public readonly record struct UploadSessionId : ISpanParsable<UploadSessionId>
{
    private readonly string? _text;

    private UploadSessionId(string text) => _text = text;

    public static UploadSessionId New() => new(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)));

    public static bool TryParse(ReadOnlySpan<char> text, out UploadSessionId id)
    {
        var valid = text.Length == 32 && !text.ContainsAnyExcept(Digest.HexDigits);
        id = valid ? new UploadSessionId(text.ToString()) : default;
        return valid;
    }

    public override string ToString() =>
        _text ?? throw new InvalidOperationException("The default UploadSessionId has no value.");

    static UploadSessionId IParsable<UploadSessionId>.Parse(string s, IFormatProvider? provider) =>
        TryParse(s, out var id) ? id : throw new FormatException($"'{s}' is no upload session id.");

    static UploadSessionId ISpanParsable<UploadSessionId>.Parse(ReadOnlySpan<char> s, IFormatProvider? provider) =>
        TryParse(s, out var id) ? id : throw new FormatException($"'{s}' is no upload session id.");

    static bool IParsable<UploadSessionId>.TryParse(
        [NotNullWhen(true)] string? s, IFormatProvider? provider, out UploadSessionId result) => TryParse(s, out result);

    static bool ISpanParsable<UploadSessionId>.TryParse(
        ReadOnlySpan<char> s, IFormatProvider? provider, out UploadSessionId result) => TryParse(s, out result);
}
