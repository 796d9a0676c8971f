using System.Diagnostics.CodeAnalysis;

namespace OciRegistry;

/// <summary>
/// A repository name, the spec's <c>&lt;name&gt;</c>: lower-case components of letters and digits, joined by
/// <c>.</c>, <c>_</c>, <c>__</c> or dashes, separated by <c>/</c>; at most <see cref="MaxLength"/> characters.
/// </summary>
public readonly record struct RepositoryName : ISpanParsable<RepositoryName>
{
    /// <summary>
    /// Many clients limit host, "/" and name together to 255 characters, and file names end at 255 bytes: the longest
    /// name leaves room for a short host and for a suffix.
    /// </summary>
    public const int MaxLength = 250;

    private readonly string? _text;

    private RepositoryName(string text) => _text = text;

    /// <summary>spec: <c>[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*</c>.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out RepositoryName name)
    {
        name = default;
        if (text.Length is 0 or > MaxLength)
        {
            return false;
        }

        // A separator run ends a component's word: "/" alone, ".", "_", "__" or any number of "-".
        for (var i = 0; i < text.Length;)
        {
            var word = i;
            while (i < text.Length && text[i] is (>= 'a' and <= 'z') or (>= '0' and <= '9'))
            {
                i++;
            }

            if (i == word)
            {
                return false;
            }

            if (i == text.Length)
            {
                name = new RepositoryName(text.ToString());
                return true;
            }

            var separator = i;
            while (i < text.Length && text[i] == text[separator])
            {
                i++;
            }

            var allowed = text[separator] switch
            {
                '/' or '.' => i - separator == 1,
                '_' => i - separator <= 2,
                '-' => true,
                _ => false,
            };
            if (!allowed)
            {
                return false;
            }
        }

        return false;
    }

    public static RepositoryName Parse(string text) => TryParse(text, out var name)
        ? name
        : throw new FormatException($"'{text}' is no repository name.");

    public override string ToString() =>
        _text ?? throw new InvalidOperationException("The default RepositoryName has no value.");

    static RepositoryName IParsable<RepositoryName>.Parse(string s, IFormatProvider? provider) => Parse(s);

    static RepositoryName ISpanParsable<RepositoryName>.Parse(ReadOnlySpan<char> s, IFormatProvider? provider) =>
        Parse(s.ToString());

    static bool IParsable<RepositoryName>.TryParse(
        [NotNullWhen(true)] string? s, IFormatProvider? provider, out RepositoryName result) => TryParse(s, out result);

    static bool ISpanParsable<RepositoryName>.TryParse(
        ReadOnlySpan<char> s, IFormatProvider? provider, out RepositoryName result) => TryParse(s, out result);
}
