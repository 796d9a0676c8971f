using System.Text;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>Status line and headers of an answer, each ended by CR LF.</summary>
internal readonly ref struct AnswerHead(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;

    public int Status => ((_bytes[9] - '0') * 100) + ((_bytes[10] - '0') * 10) + _bytes[11] - '0';

    /// <summary>Path and query of the Location, or null.</summary>
    public string? Location
    {
        get
        {
            var location = Encoding.ASCII.GetString(this["location:"]);
            const string scheme = "://";
            var authority = location.IndexOf(scheme, StringComparison.Ordinal);
            return location.Length == 0 ? null
                : location[0] == '/' || authority < 0 ? location
                : location[location.IndexOf('/', authority + scheme.Length)..];
        }
    }

    /// <summary>The value of a header, whose name is given in lower case and with its colon; empty when it is not there.</summary>
    public ReadOnlySpan<byte> this[string name]
    {
        get
        {
            for (var rest = _bytes; rest.IndexOf("\r\n"u8) is >= 0 and var end; rest = rest[(end + 2)..])
            {
                var line = rest[..end];
                if (line.Length > name.Length && Ascii.EqualsIgnoreCase(line[..name.Length], name))
                {
                    return line[name.Length..].Trim((byte)' ');
                }
            }

            return default;
        }
    }
}
