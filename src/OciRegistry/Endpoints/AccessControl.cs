using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Repositories;
using OciRegistry.Uploads;

namespace OciRegistry.Endpoints;

/// <summary>Who sends a request, and whether it may: before any endpoint sees it.</summary>
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
    Logins logins,
    RegistryTokens tokens,
    SigningKeys keys,
    Issuers issuers,
    ClientCertificates certificates,
    RequestLimits limits,
    UploadSessions sessions,
    AuditLog audit,
    RegistryMetrics metrics,
    TimeProvider time)
{
    private readonly ExpiringCache<KnownToken> _tokens = new(time, capacity: 20_000);

    private AuthOptions Options => options.Value.Auth;

    /// <summary>Whether the request may go on; else it has been answered.</summary>
    public async ValueTask<bool> AllowsAsync(HttpContext context, Access access)
    {
        // (1)
        if (limits.WaitOf(context.Connection.RemoteIpAddress) is { } wait)
        {
            return await RefuseTooManyAsync(context, wait);
        }

        if (access.Kind == AccessKind.Open || !Options.IsRequired)
        {
            return await AllowsOpenlyAsync(context, access);
        }

        // (2)
        var identity = await IdentifyAsync(context, isForToken: false);
        if (identity.Caller is not { } caller)
        {
            return await RefuseAsync(context, access, identity);
        }

        // (3)
        if (limits.WaitOf(caller) is { } longer)
        {
            return await RefuseTooManyAsync(context, longer);
        }

        // (4)
        if (caller.Expires <= time.GetUtcNow() && !await HasStartedAsync(caller, access, context.RequestAborted))
        {
            return await ChallengeAsync(context, access, "invalid_token", "The token has ended. Get a new one.", hasToken: true);
        }

        var rights = access.Kind switch
        {
            AccessKind.Repository => files.Policies.RightsOf(caller, access.Repository.ToString()),
            AccessKind.Operator => files.Policies.IsAdmin(caller) ? Rights.Admin : Rights.None,
            _ => Rights.None,
        };
        context.Features.Set(new Granted(caller, rights));

        // (5)
        var isAllowed = access.Kind switch
        {
            AccessKind.Repository => rights.HasFlag(access.Rights),
            AccessKind.Operator => rights.HasFlag(Rights.Admin),
            AccessKind.Catalog => MayList(caller),
            _ => !caller.IsAnonymous || caller.Expires is not null,
        };
        if (!isAllowed)
        {
            return caller.IsAnonymous
                ? await ChallengeAsync(context, access, null, "Log in first: docker login, or what your client has for it.")
                : await DenyAsync(context, access, caller);
        }

        // (6)
        return IsInScope(caller, access)
            || await ChallengeAsync(
                context, access, "insufficient_scope", "The token was not made for this. Get one with the scope of the challenge.", hasToken: true);
    }

    /// <summary>Whether the caller of a request may take blobs from another repository.</summary>
    public MountSource SourceFor(HttpContext context, RepositoryName repository)
    {
        if (!Options.IsRequired)
        {
            return MountSource.Open;
        }

        var caller = context.Granted().Caller;
        return !files.Policies.RightsOf(caller, repository.ToString()).HasFlag(Rights.Pull) ? MountSource.Hidden
            : IsInScope(caller, Access.To(repository, RegistryAction.Pull)) ? MountSource.Open
            : MountSource.Withheld;
    }

    /// <summary>The repositories that the caller of a request may see; null for all.</summary>
    public VisibleRepositories? VisibleTo(HttpContext context) =>
        Options.IsRequired ? new VisibleRepositories(files.Policies, context.Granted().Caller) : null;

    /// <summary>401 that asks for a token which may also pull from another repository.</summary>
    public async ValueTask AskForMoreAsync(HttpContext context, RepositoryName repository, RepositoryName another) =>
        await ChallengeAsync(
            context,
            [Scope.Repository(repository, Rights.Pull | Rights.Push), Scope.Repository(another, Rights.Pull)],
            "insufficient_scope",
            "The token does not pull from the repository that the blob is in. Get one with the scopes of the challenge.",
            hasToken: true);

    /// <summary>Who asks for a token; null when the request has been answered.</summary>
    public async ValueTask<Caller?> IdentifyForTokenAsync(HttpContext context) =>
        await AdmitForTokenAsync(context, await IdentifyAsync(context, isForToken: true));

    /// <summary>The same for a name and password that stand in the body.</summary>
    public async ValueTask<Caller?> IdentifyForTokenAsync(HttpContext context, string name, string password) =>
        await AdmitForTokenAsync(context, await LoginAsync(context, name, password));

    /// <summary>The same for a refresh token.</summary>
    public async ValueTask<Caller?> IdentifyForTokenAsync(HttpContext context, string refreshToken)
    {
        var caller = Jwt.TryParse(refreshToken, out var jwt)
            ? await tokens.VerifyRefreshAsync(jwt, context.RequestAborted)
            : null;
        caller = caller is null ? null : await logins.RecheckAsync(caller, context.RequestAborted);
        return await AdmitForTokenAsync(context, caller is null
            ? new Identity(null, "The refresh token is not good, or no longer. Log in again.")
            : new Identity(caller with { Scopes = null, Expires = null }));
    }

    private async ValueTask<Caller?> AdmitForTokenAsync(HttpContext context, Identity identity)
    {
        if (identity.Caller is not { } caller || caller.Expires <= time.GetUtcNow())
        {
            await RefuseAsync(context, Access.Open, identity with { Caller = null });
            return null;
        }

        if (limits.WaitOf(caller) is { } wait)
        {
            await RefuseTooManyAsync(context, wait);
            return null;
        }

        return caller;
    }

    private async ValueTask<bool> AllowsOpenlyAsync(HttpContext context, Access access)
    {
        if (access.Kind != AccessKind.Open && limits.WaitOf(Caller.Anonymous) is { } wait)
        {
            return await RefuseTooManyAsync(context, wait);
        }

        if (access.Kind == AccessKind.Operator && !LocalRequest.IsFromHere(context))
        {
            await context.WriteErrorAsync(OciError.Denied(
                "The operator's view of an open registry is answered on its own machine only, and not through a proxy."));
            return false;
        }

        return true;
    }

    private async ValueTask<Identity> IdentifyAsync(HttpContext context, bool isForToken)
    {
        var header = context.Request.Headers.Authorization;
        if (header.Count == 0)
        {
            var holder = certificates.CallerOf(context.Connection.ClientCertificate, out var isNew);
            if (isNew && holder is not null)
            {
                audit.LoggedIn(context, holder);
            }

            return new Identity(holder ?? Caller.Anonymous);
        }

        if (header.Count > 1 || !AuthenticationHeaderValue.TryParse(header[0], out var credentials)
            || credentials.Parameter is not { Length: > 0 } parameter)
        {
            return new Identity(null, "The Authorization header cannot be read. Send one, with Basic or Bearer.");
        }

        if (credentials.Scheme.Equals("Bearer", StringComparison.OrdinalIgnoreCase))
        {
            return await FromTokenAsync(context, parameter, isForToken);
        }

        if (!credentials.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase)
            || !TryReadBasic(parameter, out var name, out var password))
        {
            return new Identity(null, "The Authorization header is neither Basic, with a name and a password, nor Bearer.");
        }

        return Options.Basic || isForToken || (name.Length == 0 && password.Length == 0)
            ? await LoginAsync(context, name, password)
            : new Identity(null, "This registry takes a name and a password at its token service only.");
    }

    private async ValueTask<Identity> LoginAsync(HttpContext context, string name, string password)
    {
        // Programs that a provider vouches for have its token where others have a password; the name is anything.
        if (Options.Issuers.Count > 0 && Jwt.IsLike(password))
        {
            return await FromTokenAsync(context, password, isForToken: true);
        }

        var address = context.Connection.RemoteIpAddress;
        var result = await logins.VerifyAsync(name, password, address, context.RequestAborted);
        switch (result.Outcome)
        {
            case LoginOutcome.Ok:
                if (result.IsNew)
                {
                    audit.LoggedIn(context, result.Caller!);
                }

                return new Identity(result.Caller);

            case LoginOutcome.TooManyFailures:
                return new Identity(null, Wait: FailedLogins.Window);

            default:
                metrics.LoginFailed();
                audit.LoginFailed(context, result.Caller);
                return new Identity(null, "The name or the password is wrong.");
        }
    }

    private async ValueTask<Identity> FromTokenAsync(HttpContext context, string text, bool isForToken)
    {
        var hash = CredentialHash.Of(text);
        if (_tokens.Find(hash) is { } known
            && (known.Key is null || (!isForToken && await keys.FindAsync(known.Key, context.RequestAborted) is not null)))
        {
            return await RecheckedAsync(known.Caller, context.RequestAborted);
        }

        if (!Jwt.TryParse(text, out var jwt))
        {
            return Refused;
        }

        // With a token of ours nobody gets another one: it would live for ever, and be good for more.
        var isOurs = jwt.Issuer == Options.Tokens.Service;
        var caller = !isOurs ? await issuers.VerifyAsync(context, jwt)
            : Options.Tokens.Enabled && !isForToken ? await tokens.VerifyAsync(jwt, context.RequestAborted)
            : null;
        if (caller is null)
        {
            if (!isOurs)
            {
                audit.LoginFailed(context, null);
            }

            return Refused;
        }

        if (!isOurs)
        {
            audit.LoggedIn(context, caller);
        }

        if (caller.Expires is { } expires && expires > time.GetUtcNow())
        {
            _tokens.Add(hash, new KnownToken(caller, isOurs ? jwt.KeyId : null), expires);
        }

        return await RecheckedAsync(caller, context.RequestAborted);
    }

    private static Identity Refused => new(null, "The token is none that this registry takes. Get a new one.", IsToken: true);

    private async ValueTask<Identity> RecheckedAsync(Caller caller, CancellationToken cancellationToken) =>
        await logins.RecheckAsync(caller, cancellationToken) is { } now
            ? new Identity(now)
            : new Identity(null, "The token's account is gone, or has another password since. Log in again.", IsToken: true);

    private static bool TryReadBasic(string parameter, out string name, out string password)
    {
        (name, password) = ("", "");
        var bytes = new byte[parameter.Length];
        if (!Convert.TryFromBase64String(parameter, bytes, out var length))
        {
            return false;
        }

        var text = Encoding.UTF8.GetString(bytes, 0, length);
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
        {
            return false;
        }

        (name, password) = (text[..colon], text[(colon + 1)..]);
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
        && started <= caller.Expires!.Value.AddSeconds(1); // a token's times are whole seconds

    private static bool IsInScope(Caller caller, Access access) => caller.Scopes is not { } scopes || access.Kind switch
    {
        AccessKind.Repository => scopes.Any(scope =>
            scope.Type == Scope.RepositoryType
            && scope.Name == access.Repository.ToString()
            && RightsNames.OfScope(scope.Actions).HasFlag(access.Rights)),
        AccessKind.Catalog => scopes.Any(scope => scope is { Type: Scope.RegistryType, Name: Scope.CatalogName }),
        AccessKind.Operator => scopes.Any(scope => scope is { Type: Scope.RegistryType, Name: Scope.AdminName }),
        _ => true,
    };

    public bool MayList(Caller caller) => !caller.IsAnonymous || files.Policies.RulesFor(caller).Any();

    private async ValueTask<bool> RefuseAsync(HttpContext context, Access access, Identity identity)
    {
        if (identity.Wait is { } wait)
        {
            audit.LoginBlocked(context);
            return await RefuseTooManyAsync(
                context, wait, "Too many logins from your address have failed. Wait a minute, then try again.");
        }

        return await ChallengeAsync(
            context, access, identity.IsToken ? "invalid_token" : null, identity.Problem ?? "The token has ended. Get a new one.");
    }

    private async ValueTask<bool> RefuseTooManyAsync(
        HttpContext context, TimeSpan wait, string message = "You send more requests than this registry serves. Wait, then go on.")
    {
        metrics.RequestLimited();
        context.Response.Headers.RetryAfter =
            Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        await context.WriteErrorAsync(OciError.TooManyRequests(message));
        return false;
    }

    private async ValueTask<bool> DenyAsync(HttpContext context, Access access, Caller caller)
    {
        metrics.RequestDenied();
        audit.Denied(context, caller, access);
        await RequestBody.DrainAsync(context);
        await context.WriteErrorAsync(OciError.Denied(access.Kind == AccessKind.Repository
            ? $"{caller.Subject} may not {string.Join(", ", access.Rights.ToScope())} here. Ask the registry's operator for a policy that allows it."
            : $"{caller.Subject} is no operator of this registry. Ask one for a policy with the action 'admin'."));
        return false;
    }

    private ValueTask<bool> ChallengeAsync(
        HttpContext context, Access access, string? error, string message, bool hasToken = false) =>
        ChallengeAsync(context, ScopesFor(context, access), error, message, hasToken);

    /// <summary>401, with what a client has to ask a token for.</summary>
    private async ValueTask<bool> ChallengeAsync(
        HttpContext context, List<Scope> scopes, string? error, string message, bool hasToken)
    {
        if (hasToken)
        {
            // Whoever has shown who he is sends a body that he cannot stop, and sees no answer before it is through.
            await RequestBody.DrainAsync(context);
        }

        var headers = context.Response.Headers;
        headers.CacheControl = "no-store";
        headers.WWWAuthenticate = Options.IssuesTokens
            ? new StringBuilder($"Bearer realm=\"{RealmOf(context)}\",service=\"{Options.Tokens.Service}\"")
                .Append(scopes.Count > 0 ? $",scope=\"{string.Join(' ', scopes)}\"" : "")
                .Append(error is null ? "" : $",error=\"{error}\"")
                .ToString()
            : $"{(Options.Basic ? "Basic" : "Bearer")} realm=\"{Options.Tokens.Service}\"";
        await context.WriteErrorAsync(OciError.Unauthorized(message));
        return false;
    }

    private static List<Scope> ScopesFor(HttpContext context, Access access)
    {
        switch (access.Kind)
        {
            case AccessKind.Catalog:
                return [Scope.Catalog];

            case AccessKind.Operator:
                return [Scope.Admin];

            case AccessKind.Repository:
                // Whoever pushes looks first at what is there.
                List<Scope> scopes =
                    [Scope.Repository(access.Repository, access.Rights == Rights.Create ? Rights.Pull | Rights.Push : access.Rights)];
                if (HttpMethods.IsPost(context.Request.Method)
                    && RepositoryName.TryParse(context.Request.Query["from"].ToString(), out var from)
                    && from != access.Repository)
                {
                    scopes.Add(Scope.Repository(from, Rights.Pull)); // spec end-11: a mount
                }

                return scopes;

            default:
                return [];
        }
    }

    /// <summary>
    /// Where tokens are to be had, on the origin that the client has asked: nobody but himself sees what somebody writes into
    /// his own Host header, for no cache keeps a 401.
    /// </summary>
    private string RealmOf(HttpContext context)
    {
        // The header and not Request.Host, which decodes international names, and fails where that fails.
        var request = context.Request;
        var host = new string([.. request.Headers.Host.ToString().Where(IsOfHost)]);
        if (host.Length == 0)
        {
            host = new IPEndPoint(context.Connection.LocalIpAddress ?? IPAddress.Loopback, context.Connection.LocalPort).ToString(); // HTTP/1.0
        }

        return Options.Tokens.Realm ?? $"{request.Scheme}://{host}{request.PathBase.ToUriComponent()}{TokenEndpoints.Path}";

        static bool IsOfHost(char c) => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':' or '[' or ']';
    }

    /// <param name="Caller">Whose it is.</param>
    /// <param name="Key">The key of ours that it is signed with; null when it is another issuer's.</param>
    private sealed record KnownToken(Caller Caller, string? Key);

    /// <param name="Caller">Null when what was sent proves nothing.</param>
    /// <param name="Problem">What is wrong with it then.</param>
    /// <param name="IsToken">Whether it was a token.</param>
    /// <param name="Wait">How long to wait, when it was not even looked at.</param>
    private readonly record struct Identity(Caller? Caller, string? Problem = null, bool IsToken = false, TimeSpan? Wait = null);
}
