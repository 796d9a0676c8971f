using System.Text.RegularExpressions;

namespace OciRegistry;

/// <summary>A name, or many: <c>*</c> is any text within a component, <c>**</c> any text, all else stands for itself.</summary>
internal sealed class NamePattern
{
    /// <summary>Matches every name.</summary>
    public static NamePattern Everything { get; } = new("**");

    private const char AnyText = '\0'; // stands for "**" where patterns are compared: in no name

    private readonly string _text;
    private readonly string _prefix;
    private readonly Regex? _regex; // null where the text has no star, or only "**" at its end

    public NamePattern(string text)
    {
        _text = text;
        var star = text.IndexOf('*', StringComparison.Ordinal);
        _prefix = star < 0 ? text : text[..star];
        if (star >= 0 && text.AsSpan(star) is not "**")
        {
            var pattern = Regex.Escape(text)
                .Replace(@"\*\*", ".*", StringComparison.Ordinal)
                .Replace(@"\*", "[^/]*", StringComparison.Ordinal);
            _regex = new Regex(
                $@"\A(?:{pattern})\z",
                RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline);
        }
    }

    /// <summary>What every name begins with that matches.</summary>
    public string Prefix => _prefix;

    public bool Matches(string name) =>
        _regex is not null ? name.StartsWith(_prefix, StringComparison.Ordinal) && _regex.IsMatch(name)
        : _prefix.Length == _text.Length ? name == _text
        : name.StartsWith(_prefix, StringComparison.Ordinal);

    /// <summary>
    /// Whether this pattern matches every name that another one matches. It compares the texts, and is conservative: a star
    /// of the other pattern must be within a star of this one, so that what it says yes to is always true.
    /// </summary>
    public bool Contains(NamePattern other)
    {
        if (!other._prefix.StartsWith(_prefix, StringComparison.Ordinal))
        {
            return false;
        }

        var inner = other._text.Replace("**", $"{AnyText}", StringComparison.Ordinal);
        var reached = new bool[inner.Length + 1]; // how much of the other pattern this one matches so far
        reached[0] = true;
        foreach (var part in _text.Replace("**", $"{AnyText}", StringComparison.Ordinal))
        {
            if (part is AnyText or '*')
            {
                for (var i = 0; i < inner.Length; i++)
                {
                    reached[i + 1] |= reached[i] && (part == AnyText || inner[i] is not (AnyText or '/'));
                }
            }
            else
            {
                for (var i = inner.Length; i > 0; i--)
                {
                    reached[i] = reached[i - 1] && inner[i - 1] == part;
                }

                reached[0] = false;
            }
        }

        return reached[^1];
    }

    public override string ToString() => _text;
}
