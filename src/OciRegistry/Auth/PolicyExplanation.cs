using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>Who may do what, and which rule decides: for operators, who may ask before they change a policy.</summary>
internal sealed class PolicyExplanation(AuthFiles files, RobotAccounts robots, IOptions<OciRegistryOptions> options)
{
    /// <param name="subject">As <c>user:alice</c>; <c>alice</c> is short for that.</param>
    /// <param name="groups">What the subject's token would name.</param>
    /// <param name="repository">A repository's name.</param>
    /// <param name="action">An action of a policy.</param>
    /// <param name="isOfRepository">
    /// Whether the answer is for an administrator of the repository only: rules for other repositories are left out.
    /// </param>
    /// <param name="cancellationToken">Ends the look for a robot.</param>
    public async ValueTask<(Explanation? Explanation, string? Problem)> OfAsync(
        string subject,
        IReadOnlyList<string> groups,
        string repository,
        string action,
        bool isOfRepository,
        CancellationToken cancellationToken)
    {
        if (subject.Length == 0)
        {
            return (null, "Say who: subject is user:NAME, robot:NAME, cert:cn:NAME, cert:URI, ISSUER:NAME or anonymous.");
        }

        if (!PolicyOptions.KnownActions.Contains(action))
        {
            return (null, $"Say what: action is one of {string.Join(", ", PolicyOptions.KnownActions)}.");
        }

        var rights = RightsNames.OfPolicy([action]);
        var isRepository = RepositoryName.TryParse(repository, out var name);
        if (!isRepository && (isOfRepository || rights != Rights.Admin))
        {
            return (null, "Say where: repository is a repository's name.");
        }

        if (!options.Value.Auth.IsRequired)
        {
            return (new Explanation(true, "allowed: the registry is open, nobody has to log in"), null);
        }

        var caller = new Caller(Caller.SubjectOf(subject)) { Groups = groups };
        if (caller.Subject.StartsWith(Caller.RobotPrefix, StringComparison.Ordinal)
            && await robots.FindAsync(caller.Subject[Caller.RobotPrefix.Length..], cancellationToken) is { } robot)
        {
            caller = caller with { Own = robot.Rule };
        }

        return (files.Policies.Explain(caller, isRepository ? name : null, rights, isOfRepository), null);
    }
}
