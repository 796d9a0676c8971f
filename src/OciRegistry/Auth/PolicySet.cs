namespace OciRegistry.Auth;

/// <summary>All rules at one time. They only allow: what none of them does is denied, and their order does not matter.</summary>
internal sealed class PolicySet(IReadOnlyList<PolicyRule> rules)
{
    private readonly HashSet<string> _groups = [.. rules.SelectMany(rule => rule.Groups)];

    public IReadOnlyList<PolicyRule> Rules => rules;

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

    /// <summary>The rights that a caller has in every repository that a pattern matches, <see cref="Rights.Admin"/> among them.</summary>
    public Rights RightsWithin(Caller caller, NamePattern pattern) => RulesFor(caller)
        .Where(rule => rule.Contains(pattern))
        .Aggregate(Rights.None, (rights, rule) => rights | rule.Rights);

    /// <summary>Whether a caller administers any repositories.</summary>
    public bool Administers(Caller caller) => RulesFor(caller).Any(rule => rule.Rights.HasFlag(Rights.Admin));

    /// <summary>Whether a caller administers the whole registry.</summary>
    public bool IsOperator(Caller caller) => RightsWithin(caller, NamePattern.Everything).HasFlag(Rights.Admin);

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
    /// <param name="caller">Who.</param>
    /// <param name="repository">Where; null asks for the whole registry.</param>
    /// <param name="wanted">What.</param>
    /// <param name="isOfRepository">Whether rules for other repositories must not be told.</param>
    public Explanation Explain(Caller caller, RepositoryName? repository, Rights wanted, bool isOfRepository)
    {
        var place = repository?.ToString();
        var named = RulesFor(caller).Where(rule => !isOfRepository || Covers(rule)).ToList();
        var missing = wanted;
        var allowing = new List<string>();
        foreach (var rule in named.Where(Covers))
        {
            if ((rule.Rights & missing) != Rights.None)
            {
                missing &= ~rule.Rights;
                allowing.Add(Describe(rule));
            }
        }

        if (missing == Rights.None)
        {
            return new Explanation(true, $"allowed by {string.Join(" and ", allowing)}");
        }

        var here = isOfRepository ? " in this repository" : "";
        var others = named.Count == 0
            ? $"no rule names {caller.Subject}{here}"
            : $"the rules for {caller.Subject}{here} are {string.Join("; ", named.Select(Describe))}";
        return new Explanation(false, allowing.Count > 0
            ? $"denied: {string.Join(" and ", allowing)} allows only a part of it; {others}"
            : $"denied: nothing allows it; {others}");

        bool Covers(PolicyRule rule) => place is null ? rule.Contains(NamePattern.Everything) : rule.Covers(place);

        string Describe(PolicyRule rule) => isOfRepository ? rule.In(place!) : rule.ToString();
    }
}

/// <param name="IsAllowed">Whether it may.</param>
/// <param name="Reason">A sentence that names the rules.</param>
internal sealed record Explanation(bool IsAllowed, string Reason);
