namespace OciRegistry.PullThrough;

/// <summary>One of the ways to authenticate that a <c>WWW-Authenticate</c> offers (RFC 9110, 11.6.1).</summary>
internal sealed record UpstreamChallenge(string Scheme, Dictionary<string, string> Parameters)
{
    private const int MaxLength = 8 * 1024;

    public string? this[string parameter] => Parameters.GetValueOrDefault(parameter);

    /// <summary>All that is offered; none when it is longer than anybody needs.</summary>
    public static IReadOnlyList<UpstreamChallenge> Of(HttpResponseMessage response) =>
        response.Headers.NonValidated.TryGetValues("WWW-Authenticate", out var values)
            && string.Join(", ", values) is { Length: <= MaxLength } header ? Parse(header) : [];

    // More is taken than the grammar has: registries leave out quotes, and commas between challenges come in either way.
    private static List<UpstreamChallenge> Parse(string header)
    {
        var challenges = new List<UpstreamChallenge>();
        for (var at = 0; at < header.Length;)
        {
            Skip(header, ref at, " \t,");
            var name = Until(header, ref at, " \t,=\"");
            Skip(header, ref at, " \t");
            if (at < header.Length && header[at] == '=' && name.Length > 0)
            {
                at++;
                Skip(header, ref at, " \t");
                var value = at < header.Length && header[at] == '"' ? Quoted(header, ref at) : Until(header, ref at, " \t,");
                challenges.LastOrDefault()?.Parameters.TryAdd(name, value);
            }
            else if (name.Length > 0)
            {
                challenges.Add(new UpstreamChallenge(name, new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)));
            }
            else
            {
                at++; // belongs nowhere
            }
        }

        return challenges;
    }

    private static void Skip(string header, ref int at, string characters)
    {
        while (at < header.Length && characters.Contains(header[at], StringComparison.Ordinal))
        {
            at++;
        }
    }

    private static string Until(string header, ref int at, string characters)
    {
        var start = at;
        while (at < header.Length && !characters.Contains(header[at], StringComparison.Ordinal))
        {
            at++;
        }

        return header[start..at];
    }

    private static string Quoted(string header, ref int at)
    {
        var value = new System.Text.StringBuilder();
        for (at++; at < header.Length && header[at] != '"'; at++)
        {
            at += header[at] == '\\' && at + 1 < header.Length ? 1 : 0;
            value.Append(header[at]);
        }

        at++;
        return value.ToString();
    }
}
