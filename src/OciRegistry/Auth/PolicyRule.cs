namespace OciRegistry.Auth;

/// <summary>One rule of a policy: its subjects and groups have its rights in its repositories.</summary>
internal sealed class PolicyRule
{
    public const string Authenticated = "authenticated";

    private readonly NamePattern[] _subjects;
    private readonly HashSet<string> _groups;
    private readonly NamePattern[] _repositories;

    /// <param name="name">As in an explanation.</param>
    /// <param name="policy">What it says, without problems.</param>
    /// <param name="groups">The groups that are defined beside it, and their members.</param>
    public PolicyRule(string name, PolicyOptions policy, IReadOnlyDictionary<string, IReadOnlyList<string>> groups)
    {
        Name = name;
        _subjects =
        [
            .. policy.Subjects
                .Concat(policy.Groups.SelectMany(group => groups.GetValueOrDefault(group, [])))
                .Select(subject => new NamePattern(subject)),
        ];
        _groups = [.. policy.Groups];
        _repositories = [.. policy.Repositories.Select(repository => new NamePattern(repository))];
        Rights = RightsNames.OfPolicy(policy.Actions);
    }

    public string Name { get; }

    public Rights Rights { get; }

    public IReadOnlyList<NamePattern> Repositories => _repositories;

    /// <summary>The subjects, those of the groups that are defined beside the rule among them.</summary>
    public IReadOnlyList<NamePattern> Subjects => _subjects;

    /// <summary>Groups that a token has to name for somebody to be in them.</summary>
    public IEnumerable<string> Groups => _groups;

    /// <summary>No pattern is for anonymous: that one has to be named.</summary>
    public bool Names(Caller caller)
    {
        foreach (var subject in _subjects)
        {
            var isNamed = caller.IsAnonymous
                ? subject.ToString() == Caller.AnonymousSubject
                : subject.ToString() == Authenticated || subject.Matches(caller.Subject);
            if (isNamed)
            {
                return true;
            }
        }

        return _groups.Overlaps(caller.Groups);
    }

    public bool Covers(string repository)
    {
        foreach (var pattern in _repositories)
        {
            if (pattern.Matches(repository))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether the rule covers every repository that a pattern matches.</summary>
    public bool Contains(NamePattern pattern)
    {
        foreach (var repository in _repositories)
        {
            if (repository.Contains(pattern))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The rule as an explanation names it, for one repository: without its patterns for others.</summary>
    public string In(string repository) => Describe(_repositories.Where(pattern => pattern.Matches(repository)));

    public override string ToString() => Describe(_repositories);

    private string Describe(IEnumerable<NamePattern> repositories) =>
        $"{Name} ({string.Join(", ", Rights.ToPolicy())} in {string.Join(", ", repositories)})";
}
