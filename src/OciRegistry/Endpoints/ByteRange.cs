using System.Globalization;

namespace OciRegistry.Endpoints;

/// <summary>A part of a blob that a Range header asks for (RFC 9110 §14).</summary>
internal readonly record struct ByteRange(long First, long Last)
{
    /// <summary>More ranges than this in one request are ignored, as the RFC allows: each costs a part header.</summary>
    private const int MaxRanges = 1_024;

    public long Length => Last - First + 1;

    /// <summary>
    /// The ranges to answer with; empty when none of them has a byte of the content (416); null when the header is to be
    /// ignored: another unit, no syntax of ranges, too many of them, so much overlap that the whole is cheaper, or content
    /// without a byte.
    /// </summary>
    /// <remarks>
    /// <c>500-0</c> is no range by the RFC's grammar, so ignoring it would be right as well; a client that asks for it
    /// has miscounted and is better told so.
    /// </remarks>
    public static IReadOnlyList<ByteRange>? Parse(string? header, long length)
    {
        const string unit = "bytes=";
        if (header is null || !header.StartsWith(unit, StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        if (length == 0)
        {
            return null; // clients ask for all of it with 0-
        }

        var ranges = new List<ByteRange>();
        var total = 0L;
        var count = 0;
        foreach (var part in header.AsSpan(unit.Length).Split(','))
        {
            var text = header.AsSpan(unit.Length)[part].Trim(" \t");
            if (text.IsEmpty)
            {
                continue; // RFC 9110 §5.6.1: empty list elements do not count
            }

            if (++count > MaxRanges || !TryParse(text, length, out var range))
            {
                return null;
            }

            if (range is { } satisfiable)
            {
                ranges.Add(satisfiable);
                total += satisfiable.Length;
            }
        }

        return count == 0 || total > length ? null : ranges;
    }

    /// <summary>False when it is no range; a null range when it has no byte of the content.</summary>
    private static bool TryParse(ReadOnlySpan<char> text, long length, out ByteRange? range)
    {
        range = null;
        var dash = text.IndexOf('-');
        if (dash < 0 || text.Length == 1)
        {
            return false;
        }

        var hasFirst = TryParseNumber(text[..dash], out var first);
        var hasLast = TryParseNumber(text[(dash + 1)..], out var last);
        if ((dash > 0 && !hasFirst) || (dash < text.Length - 1 && !hasLast))
        {
            return false;
        }

        if (!hasFirst)
        {
            range = last > 0 && length > 0 ? new ByteRange(Math.Max(0, length - last), length - 1) : null;
            return true;
        }

        last = hasLast ? Math.Min(last, length - 1) : length - 1;
        range = first <= last ? new ByteRange(first, last) : null;
        return true;
    }

    /// <summary>Digits only; a number beyond 2^63 is as good as 2^63 - 1.</summary>
    private static bool TryParseNumber(ReadOnlySpan<char> text, out long number)
    {
        number = 0;
        if (text.IsEmpty || text.ContainsAnyExceptInRange('0', '9'))
        {
            return false;
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number))
        {
            number = long.MaxValue;
        }

        return true;
    }
}
