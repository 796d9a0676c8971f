namespace OciRegistry.Auth;

/// <summary>All rules at one time. They only allow: what none of them does is denied, and their order does not matter.</summary>
internal sealed class PolicySet(IReadOnlyList<PolicyRule> rules)
{
    private readonly HashSet<string> _groups = [.. rules.SelectMany(rule => rule.Groups)];

    /// <summary>Whether any rule is for the group: a token need not carry others.</summary>
    public bool Knows(string group) => _groups.Contains(group);

    public Rights RightsOf(Caller caller, string repository)
    {
        var rights = Rights.None;
        foreach (var rule in RulesFor(caller))
        {
            if ((rule.Rights & ~rights) != Rights.None && rule.Covers(repository))
            {
                rights |= rule.Rights & Rights.InRepository;
            }
        }

        return rights;
    }

    public bool IsAdmin(Caller caller) => RulesFor(caller).Any(rule => rule.Rights.HasFlag(Rights.Admin));

    /// <summary>The rules for a caller, its own among them.</summary>
    public IEnumerable<PolicyRule> RulesFor(Caller caller)
    {
        if (caller.Own is { } own)
        {
            yield return own;
        }

        foreach (var rule in rules)
        {
            if (rule.Names(caller))
            {
                yield return rule;
            }
        }
    }

    /// <summary>Says which rule allows it, or why none does.</summary>
    public Explanation Explain(Caller caller, RepositoryName repository, Rights wanted)
    {
        var named = RulesFor(caller).ToList();
        var missing = wanted;
        var allowing = new List<string>();
        foreach (var rule in named.Where(rule => wanted == Rights.Admin || rule.Covers(repository.ToString())))
        {
            if ((rule.Rights & missing) != Rights.None)
            {
                missing &= ~rule.Rights;
                allowing.Add(rule.ToString());
            }
        }

        if (missing == Rights.None)
        {
            return new Explanation(true, $"allowed by {string.Join(" and ", allowing)}");
        }

        var others = named.Count == 0
            ? $"no rule names {caller.Subject}"
            : $"the rules for {caller.Subject} are {string.Join("; ", named)}";
        return new Explanation(false, allowing.Count > 0
            ? $"denied: {string.Join(" and ", allowing)} allows only a part of it; {others}"
            : $"denied: nothing allows it; {others}");
    }
}

/// <param name="IsAllowed">Whether it may.</param>
/// <param name="Reason">A sentence that names the rules.</param>
internal sealed record Explanation(bool IsAllowed, string Reason);
