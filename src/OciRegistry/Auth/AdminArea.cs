namespace OciRegistry.Auth;

/// <summary>
/// The part of the registry that a caller administers: the repositories in which the policies give the caller the action
/// <c>admin</c>. With <c>admin</c> in <c>**</c> the caller is an operator, who administers everything.
/// </summary>
internal sealed class AdminArea
{
    private readonly PolicySet _policies;
    private readonly Caller _caller;

    private AdminArea(PolicySet policies, Caller caller, bool isEverything) =>
        (_policies, _caller, IsEverything) = (policies, caller, isEverything);

    public AdminArea(PolicySet policies, Caller caller)
        : this(policies, caller, policies.IsOperator(caller))
    {
    }

    /// <summary>Where nobody has to log in.</summary>
    public static AdminArea OfOpenRegistry { get; } = new(new PolicySet([]), Caller.Anonymous, isEverything: true);

    /// <summary>Whether the caller is an operator.</summary>
    public bool IsEverything { get; }

    public bool Has(RepositoryName repository) =>
        IsEverything
        || _policies.RulesFor(_caller).Any(rule => rule.Rights.HasFlag(Rights.Admin) && rule.Covers(repository.ToString()));

    /// <summary>
    /// Whether the caller may make such a robot, and get its secret: it must have <c>admin</c> and all that the robot may do in each of
    /// the robot's patterns.
    /// </summary>
    /// <remarks>
    /// The policies may give a robot of that name more, by its name or for all robots. The caller must have that as well.
    /// </remarks>
    /// <param name="robot">The robot's name.</param>
    /// <param name="own">The robot's own policy.</param>
    public bool MayMake(string robot, PolicyRule own) =>
        IsEverything
        || (HasAllOf(own)
            && _policies.RulesFor(new Caller(Caller.RobotPrefix + robot))
                .All(rule => rule.Repositories.All(pattern => Has(pattern, rule.Rights))));

    /// <summary>
    /// Whether the caller may see and revoke a robot: one that it may make, or has made. What the policies give to robots since then
    /// takes a leaked one from nobody who made it.
    /// </summary>
    /// <param name="robot">The robot's name.</param>
    /// <param name="own">The robot's own policy.</param>
    /// <param name="maker">The subject that has made it; null when that is not known.</param>
    public bool Administers(string robot, PolicyRule own, string? maker) =>
        MayMake(robot, own) || (maker == _caller.Subject && HasAllOf(own));

    /// <summary>A robot that makes robots must not live on in them.</summary>
    public bool Outlives(DateTimeOffset? expires) => _caller.AccountExpires is { } end && !(expires <= end);

    private bool HasAllOf(PolicyRule own) => own.Repositories.All(pattern => Has(pattern, own.Rights | Rights.Admin));

    private bool Has(NamePattern pattern, Rights rights) => _policies.RightsWithin(_caller, pattern).HasFlag(rights);
}
