using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

/// <summary>The answers to who may not: 401 with what to do about it, 403, 429.</summary>
internal sealed class Refusals(IOptions<OciRegistryOptions> options, AuditLog audit, RegistryMetrics metrics)
{
    /// <summary>What the audit log calls the right to administer.</summary>
    public const string AdminAction = "admin";

    private AuthOptions Options => options.Value.Auth;

    /// <summary>What was sent proves nothing, or was not looked at.</summary>
    public async ValueTask WriteAsync(HttpContext context, Access access, Identity identity)
    {
        if (identity.Wait is { } wait)
        {
            await WriteTooManyAsync(context, wait, identity.Problem!);
            return;
        }

        await ChallengeAsync(
            context, access, identity.IsToken ? "invalid_token" : null, identity.Problem ?? "The token has ended. Get a new one.");
    }

    /// <summary>429, with how long to wait.</summary>
    public async ValueTask WriteTooManyAsync(
        HttpContext context, TimeSpan wait, string message = "You send more requests than this registry serves. Wait, then go on.")
    {
        metrics.RequestLimited();
        context.Response.Headers.RetryAfter =
            Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        await context.WriteErrorAsync(OciError.TooManyRequests(message));
    }

    /// <summary>403: no other token would do.</summary>
    public ValueTask DenyAsync(HttpContext context, Access access, Caller caller)
    {
        var actions = string.Join(", ", access.Rights.ToScope());
        return access.Kind switch
        {
            AccessKind.Repository => DenyAsync(
                context,
                actions,
                access.Repository.ToString(),
                OciError.Denied($"{caller.Subject} may not {actions} here. Ask the registry's operator for a policy that allows it.")),
            AccessKind.Admin => DenyAsync(
                context,
                AdminAction,
                "-",
                OciError.Denied($"{caller.Subject} administers no repositories. Ask the registry's operator for a policy with the action 'admin'.")),
            AccessKind.Operator => DenyAsync(
                context,
                AdminAction,
                "-",
                OciError.Denied($"{caller.Subject} is not an operator of this registry. Ask one for a policy with the action 'admin' in '**'.")),
            _ => DenyAsync(
                context, "list", "-", OciError.Denied($"{caller.Subject} may not do this. Ask the registry's operator for a policy that allows it.")),
        };
    }

    /// <summary>Answers what the policies do not let the caller do; it is counted, and in the audit log.</summary>
    /// <param name="context">The request.</param>
    /// <param name="actions">What was refused, as the actions of a policy.</param>
    /// <param name="place">Where: a repository or a robot; "-" for the registry.</param>
    /// <param name="error">The answer.</param>
    public async ValueTask DenyAsync(HttpContext context, string actions, string place, OciError error)
    {
        metrics.RequestDenied();
        audit.Denied(context, actions, place);
        await RequestBody.DrainRefusedAsync(context);
        await context.WriteErrorAsync(error);
    }

    /// <inheritdoc cref="ChallengeAsync(HttpContext, List{Scope}, string?, string, bool)"/>
    public ValueTask ChallengeAsync(
        HttpContext context, Access access, string? error, string message, bool hasToken = false) =>
        ChallengeAsync(context, ScopesFor(context, access), error, message, hasToken);

    /// <summary>401, with what a client has to ask a token for.</summary>
    /// <param name="context">The request.</param>
    /// <param name="scopes">What for.</param>
    /// <param name="error">RFC 6750's word for what is wrong with the token; null when there is none.</param>
    /// <param name="message">The same for people.</param>
    /// <param name="hasToken">Whether it was a good one once.</param>
    public async ValueTask ChallengeAsync(
        HttpContext context, List<Scope> scopes, string? error, string message, bool hasToken)
    {
        if (hasToken)
        {
            // Whoever has shown who he is sends a body that he cannot stop, and sees no answer before it is through.
            await RequestBody.DrainRefusedAsync(context);
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
    }

    private static List<Scope> ScopesFor(HttpContext context, Access access)
    {
        switch (access.Kind)
        {
            case AccessKind.Catalog:
                return [Scope.Catalog];

            case AccessKind.Admin or AccessKind.Operator:
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
}
