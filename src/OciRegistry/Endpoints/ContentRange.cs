using System.Globalization;

namespace OciRegistry.Endpoints;

/// <summary>
/// The Content-Range of a chunk: <c>first-last</c>, both inclusive, without unit or total (spec end-5:
/// "^[0-9]+-[0-9]+$"), which is why the framework's parser does not take it. What HTTP adds to it, <c>bytes 0-4/5</c>, is read too.
/// </summary>
internal readonly record struct ContentRange(long First, long Last)
{
    public const string Grammar =
        "The Content-Range of a chunk is 'first-last', the offsets of its first and last byte, such as 0-1023.";

    /// <summary>Bytes; at least 1.</summary>
    public long Length => Last - First + 1;

    public static bool TryParse(ReadOnlySpan<char> text, out ContentRange range)
    {
        const string unit = "bytes ";
        range = default;
        text = text.StartsWith(unit, StringComparison.OrdinalIgnoreCase) ? text[unit.Length..] : text;
        var slash = text.IndexOf('/');
        var total = slash < 0 ? "*" : text[(slash + 1)..];
        text = slash < 0 ? text : text[..slash];
        var dash = text.IndexOf('-');
        if (dash < 1
            || !long.TryParse(text[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            || !long.TryParse(text[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var last)
            || last < first
            || last == long.MaxValue
            || (total is not "*"
                && !(long.TryParse(total, NumberStyles.None, CultureInfo.InvariantCulture, out var length) && last < length)))
        {
            return false;
        }

        range = new ContentRange(first, last);
        return true;
    }
}
