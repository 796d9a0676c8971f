using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Uploads;

namespace OciRegistry.Endpoints;

/// <summary>Whether a request may: before any endpoint sees it.</summary>
/// <remarks>
///   (1) the address has not sent too many            else 429
///   (2) who it is: token, name and password, certificate, or nobody
///                                                    else 401: what was sent proves nothing
///   (3) the subject has not sent too many            else 429
///   (4) its token has not ended                      else 401; on an upload's own address the token counts that was good
///                                                    when the upload was started
///   (5) the policy lets the subject                  else 401 for nobody, 403 for somebody
///   (6) the token was made for it                    else 401 with what to ask a token for
///
/// Nothing of this looks at what there is in the registry: so what somebody may not see is answered like what is not there.
/// </remarks>
internal sealed class AccessControl(
    IOptions<OciRegistryOptions> options,
    AuthFiles files,
    Identification identification,
    Refusals refusals,
    AuditLog audit,
    RequestLimits limits,
    UploadSessions sessions,
    StoreClock clock,
    TimeProvider time)
{
    private const int MaxSources = 16; // each is a read of the storage
    private const int MaxPages = 4;

    /// <summary>As it was at the start: a policy that is taken away must not open a registry to everybody.</summary>
    private bool IsOpen { get; } = !options.Value.Auth.IsRequired;

    /// <summary>Whether the request may go on; else it has been answered.</summary>
    public async ValueTask<bool> AllowsAsync(HttpContext context, Access access)
    {
        // (1)
        if (limits.WaitOf(context.Connection.RemoteIpAddress) is { } wait)
        {
            await refusals.WriteTooManyAsync(context, wait);
            return false;
        }

        if (access.Kind == AccessKind.Open || IsOpen)
        {
            return await AllowsOpenlyAsync(context, access);
        }

        // (2)
        var identity = await identification.OfAsync(context, isForToken: false);
        if (identity.Caller is not { } caller)
        {
            await refusals.WriteAsync(context, access, identity);
            return false;
        }

        // (3)
        if (limits.WaitOf(caller) is { } longer)
        {
            await refusals.WriteTooManyAsync(context, longer);
            return false;
        }

        // (4)
        if (caller.Expires <= time.GetUtcNow() && !await HasStartedAsync(caller, access, context.RequestAborted))
        {
            audit.TokenExpired(context, caller, time.GetUtcNow());
            await refusals.ChallengeAsync(context, access, "invalid_token", "The token has ended. Get a new one.", hasToken: true);
            return false;
        }

        // (5)
        var rights = RightsOf(caller, access);
        context.Features.Set(new Granted(caller, rights));
        if (!IsLet(caller, access, rights))
        {
            await (caller.IsAnonymous
                ? refusals.ChallengeAsync(context, access, null, "Log in first: docker login, or what your client has for it.")
                : refusals.DenyAsync(context, access, caller));
            return false;
        }

        // (6)
        if (!IsInScope(caller, access))
        {
            await refusals.ChallengeAsync(
                context, access, "insufficient_scope", "The token was not made for this. Get one with the scope of the challenge.", hasToken: true);
            return false;
        }

        return true;
    }

    /// <summary>Who is to get a token; null when the request has been answered.</summary>
    public async ValueTask<Caller?> AdmitForTokenAsync(HttpContext context, Identity identity)
    {
        if (identity.Caller is not { } caller || caller.Expires <= time.GetUtcNow())
        {
            if (identity.Caller is { } late)
            {
                audit.TokenExpired(context, late, time.GetUtcNow());
            }

            await refusals.WriteAsync(context, Access.Open, identity with { Caller = null });
            return null;
        }

        if (limits.WaitOf(caller) is { } wait)
        {
            await refusals.WriteTooManyAsync(context, wait);
            return null;
        }

        return caller;
    }

    /// <summary>Whether somebody may list the repositories that he may see.</summary>
    public bool MayList(Caller caller) => !caller.IsAnonymous || files.Policies.RulesFor(caller).Any();

    /// <summary>The repositories that the caller of a request may see; null for all.</summary>
    public VisibleRepositories? VisibleTo(HttpContext context) =>
        IsOpen ? null : new VisibleRepositories(files.Policies, context.Granted().Caller);

    /// <summary>What the caller of a request administers.</summary>
    public AdminArea AreaOf(HttpContext context) =>
        IsOpen ? AdminArea.OfOpenRegistry : new AdminArea(files.Policies, context.Granted().Caller);

    /// <summary>Whether the caller of a request may take blobs from another repository.</summary>
    public MountSource SourceFor(HttpContext context, RepositoryName repository)
    {
        if (IsOpen)
        {
            return MountSource.Open;
        }

        var caller = context.Granted().Caller;
        return !files.Policies.RightsOf(caller, repository.ToString()).HasFlag(Rights.Pull) ? MountSource.Hidden
            : IsInScope(caller, Access.To(repository, RegistryAction.Pull)) ? MountSource.Open
            : MountSource.Withheld;
    }

    /// <summary>
    /// The repositories, <see cref="MaxSources"/> at most, that a blob may be mounted from without naming one: those that the request's
    /// token names, or else the first that its caller may pull from, the target before all. Null for a caller who may pull from all.
    /// </summary>
    /// <remarks>They are found without the blob, so that the time which this takes tells nothing of repositories that the caller may not see.</remarks>
    public async ValueTask<IReadOnlyList<RepositoryName>?> SourcesForAsync(
        HttpContext context,
        RepositoryName target,
        Func<string?, int, CancellationToken, ValueTask<IReadOnlyList<string>>> list,
        CancellationToken cancellationToken)
    {
        if (IsOpen)
        {
            return null;
        }

        var caller = context.Granted().Caller;
        var visible = new VisibleRepositories(files.Policies, caller);
        if (caller.Scopes is null && visible.AreAll)
        {
            return null;
        }

        // A caller with patterns that match here and there must not have the whole catalog read.
        var pages = MaxPages;
        var names = caller.Scopes is { } scopes
            ? scopes.Where(scope => scope.Type == Scope.RepositoryType).Select(scope => scope.Name)
            : await visible.ListAsync(
                (after, limit, cancel) => pages-- > 0 ? list(after, limit, cancel) : ValueTask.FromResult<IReadOnlyList<string>>([]),
                after: null,
                MaxSources,
                cancellationToken);
        var sources = new List<RepositoryName>();
        foreach (var name in names.Prepend(target.ToString()).Distinct())
        {
            if (sources.Count < MaxSources && RepositoryName.TryParse(name, out var source) && SourceFor(context, source) == MountSource.Open)
            {
                sources.Add(source);
            }
        }

        return sources;
    }

    /// <summary>401 that asks for a token which may also pull from the repository that a blob is to be mounted from.</summary>
    public ValueTask AskForMoreAsync(HttpContext context, RepositoryName repository, RepositoryName another) =>
        refusals.ChallengeAsync(
            context,
            [Scope.Repository(repository, Rights.Pull | Rights.Push), Scope.Repository(another, Rights.Pull)],
            "insufficient_scope",
            "The token does not pull from the repository that the blob is in. Get one with the scopes of the challenge.",
            hasToken: true);

    private async ValueTask<bool> AllowsOpenlyAsync(HttpContext context, Access access)
    {
        if (access.Kind != AccessKind.Open && limits.WaitOf(Caller.Anonymous) is { } wait)
        {
            await refusals.WriteTooManyAsync(context, wait);
            return false;
        }

        if (access.Kind is AccessKind.Admin or AccessKind.Operator)
        {
            var problem = !options.Value.Operations.Admin && !OperationsConnection.Is(context)
                ? "The admin API of a registry in which nobody has to log in is off. Set OciRegistry:Operations:Admin=true, or give it a port "
                    + "of its own with OciRegistry:Operations:Urls, or have people log in."
                : !LocalRequest.IsFromHere(context)
                    ? "The admin API of an open registry is answered on its own machine only, and not through a proxy."
                    : null;
            if (problem is not null)
            {
                await refusals.DenyAsync(context, Refusals.AdminAction, "-", OciError.Denied(problem));
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// Whether a token that has ended was good when the upload session that the request is about was started, by the same
    /// subject: an upload may take longer than a token lives.
    /// </summary>
    private async ValueTask<bool> HasStartedAsync(Caller caller, Access access, CancellationToken cancellationToken) =>
        access.Session is { } session
        && await sessions.StartedAsync(
            new UploadOwner(access.Repository, caller.Subject), session, cancellationToken) is { } started
        && clock.ToMachine(started) <= caller.Expires!.Value.AddSeconds(1); // a token's times are whole seconds

    private Rights RightsOf(Caller caller, Access access) => access.Kind switch
    {
        AccessKind.Repository => files.Policies.RightsOf(caller, access.Repository.ToString()),
        AccessKind.Admin => files.Policies.Administers(caller) ? Rights.Admin : Rights.None,
        AccessKind.Operator => files.Policies.IsOperator(caller) ? Rights.Admin : Rights.None,
        _ => Rights.None,
    };

    private bool IsLet(Caller caller, Access access, Rights rights) => access.Kind switch
    {
        AccessKind.Repository => rights.HasFlag(access.Rights),
        AccessKind.Admin or AccessKind.Operator => rights.HasFlag(Rights.Admin),
        AccessKind.Catalog => MayList(caller),
        _ => !caller.IsAnonymous || caller.Expires is not null, // who has asked for a token has one, for nothing perhaps
    };

    private static bool IsInScope(Caller caller, Access access) => caller.Scopes is not { } scopes || access.Kind switch
    {
        AccessKind.Repository => scopes.Any(scope =>
            scope.Type == Scope.RepositoryType
            && scope.Name == access.Repository.ToString()
            && RightsNames.OfScope(scope.Actions).HasFlag(access.Rights)),
        AccessKind.Catalog => scopes.Any(scope => scope is { Type: Scope.RegistryType, Name: Scope.CatalogName }),
        AccessKind.Admin or AccessKind.Operator => scopes.Any(scope => scope is { Type: Scope.RegistryType, Name: Scope.AdminName }),
        _ => true,
    };
}
