using System.Text.RegularExpressions;

namespace OciRegistry;

/// <summary>A name, or many: <c>*</c> is any text within a component, <c>**</c> any text, all else stands for itself.</summary>
internal sealed class NamePattern
{
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

    public override string ToString() => _text;
}
