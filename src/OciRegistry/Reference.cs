using System.Diagnostics.CodeAnalysis;

namespace OciRegistry;

/// <summary>A tag: <c>[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}</c>.</summary>
public readonly record struct Tag
{
    private readonly string? _text;

    private Tag(string text) => _text = text;

    public static bool TryParse(ReadOnlySpan<char> text, out Tag tag)
    {
        tag = default;
        if (text.Length is 0 or > 128 || text[0] is '.' or '-')
        {
            return false;
        }

        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('_' or '.' or '-'))
            {
                return false;
            }
        }

        tag = new Tag(text.ToString());
        return true;
    }

    public override string ToString() => _text ?? throw new InvalidOperationException("The default Tag has no value.");
}

/// <summary>The spec's <c>&lt;tag-or-digest&gt;</c>: what names a manifest in its repository.</summary>
public readonly record struct Reference : ISpanParsable<Reference>
{
    private Reference(Tag? tag, Digest? digest) => (Tag, Digest) = (tag, digest);

    /// <summary>The tag, or null when this is a digest.</summary>
    public Tag? Tag { get; }

    /// <summary>The digest, or null when this is a tag.</summary>
    public Digest? Digest { get; }

    public static implicit operator Reference(Tag tag) => new(tag, null);

    public static implicit operator Reference(Digest digest) => new(null, digest);

    public static bool TryParse(ReadOnlySpan<char> text, out Reference reference)
    {
        if (OciRegistry.Digest.TryParse(text, out var digest))
        {
            reference = digest;
            return true;
        }

        var isTag = OciRegistry.Tag.TryParse(text, out var tag);
        reference = isTag ? tag : default(Reference);
        return isTag;
    }

    public override string ToString() => Tag?.ToString() ?? Digest?.ToString() ?? "";

    static Reference IParsable<Reference>.Parse(string s, IFormatProvider? provider) =>
        TryParse(s, out var result) ? result : throw new FormatException($"'{s}' is neither a tag nor a digest.");

    static Reference ISpanParsable<Reference>.Parse(ReadOnlySpan<char> s, IFormatProvider? provider) =>
        TryParse(s, out var result) ? result : throw new FormatException($"'{s}' is neither a tag nor a digest.");

    static bool IParsable<Reference>.TryParse(
        [NotNullWhen(true)] string? s, IFormatProvider? provider, out Reference result) => TryParse(s, out result);

    static bool ISpanParsable<Reference>.TryParse(
        ReadOnlySpan<char> s, IFormatProvider? provider, out Reference result) => TryParse(s, out result);
}
