namespace OciRegistry.Auth;

/// <summary>The repositories that somebody may pull from, out of a list of all that is read in pages.</summary>
internal sealed class VisibleRepositories
{
    private const int PageSize = 1_000;

    // Greater than any character of a repository's name.
    private const char Last = '~';

    private readonly NamePattern[] _patterns;

    public VisibleRepositories(PolicySet policies, Caller caller) => _patterns =
    [
        .. policies.RulesFor(caller)
            .Where(rule => rule.Rights.HasFlag(Rights.Pull))
            .SelectMany(rule => rule.Repositories),
    ];

    /// <summary>Whether no repository is hidden.</summary>
    public bool AreAll => Array.Exists(_patterns, pattern => pattern.Contains(NamePattern.Everything));

    /// <summary>A page of names after <paramref name="after"/>, in the list's order, which is that of bytes.</summary>
    /// <remarks>What lies between the patterns is not read: who sees ten of a million repositories reads those ten.</remarks>
    public async ValueTask<IReadOnlyList<string>> ListAsync(
        Func<string?, int, CancellationToken, ValueTask<IReadOnlyList<string>>> list,
        string? after,
        int limit,
        CancellationToken cancellationToken)
    {
        var visible = new List<string>();
        for (var last = Skip(after); last is not null && visible.Count < limit; last = Skip(last))
        {
            var page = await list(last.Length == 0 ? null : last, PageSize, cancellationToken);
            if (page.Count == 0)
            {
                break;
            }

            foreach (var name in page)
            {
                last = name;
                if (Array.Exists(_patterns, pattern => pattern.Matches(name)))
                {
                    visible.Add(name);
                }
                else if (!Array.Exists(_patterns, pattern => name.StartsWith(pattern.Prefix, StringComparison.Ordinal)))
                {
                    break; // skip to where the next pattern begins
                }
            }
        }

        return visible.Count <= limit ? visible : visible.GetRange(0, limit);
    }

    /// <summary>
    /// The greatest text before all names that come after a name and may be visible; null when there are none, "" for the
    /// beginning.
    /// </summary>
    private string? Skip(string? after)
    {
        string? next = null;
        foreach (var pattern in _patterns)
        {
            var prefix = pattern.Prefix;
            if (after is not null && string.CompareOrdinal(prefix, after) <= 0)
            {
                if (after.StartsWith(prefix, StringComparison.Ordinal))
                {
                    return after; // in the midst of those that the pattern may match
                }

                continue; // they have all been
            }

            if (next is null || string.CompareOrdinal(prefix, next) < 0)
            {
                next = prefix;
            }
        }

        return next is null ? null
            : next.Length == 0 ? after ?? ""
            : $"{next[..^1]}{(char)(next[^1] - 1)}{Last}";
    }
}
