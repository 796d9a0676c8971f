using System.Net.Http.Headers;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

/// <summary>Who sends a request: by a token, a name and a password, a certificate, or nobody.</summary>
internal sealed class Identification(
    IOptions<OciRegistryOptions> options,
    Logins logins,
    RegistryTokens tokens,
    SigningKeys keys,
    Issuers issuers,
    ClientCertificates certificates,
    AuditLog audit,
    RegistryMetrics metrics,
    TimeProvider time)
{
    /// <summary>Some time after which a full queue of logins has been verified.</summary>
    private static readonly TimeSpan QueueWait = TimeSpan.FromSeconds(10);

    private readonly ExpiringCache<KnownToken> _tokens = new(time, capacity: 20_000);

    private AuthOptions Options => options.Value.Auth;

    /// <param name="context">The request.</param>
    /// <param name="isForToken">Whether it asks for a token, which takes what no other request may bring, and no token of ours.</param>
    public async ValueTask<Identity> OfAsync(HttpContext context, bool isForToken)
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
            ? await OfLoginAsync(context, name, password)
            : new Identity(null, "This registry takes a name and a password at its token service only.");
    }

    /// <summary>Of a name and a password, wherever they stand.</summary>
    public async ValueTask<Identity> OfLoginAsync(HttpContext context, string name, string password)
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
                audit.LoginBlocked(context);
                return new Identity(
                    null, "Too many logins from your address have failed. Wait a minute, then try again.", Wait: FailedLogins.Window);

            case LoginOutcome.TooManyWaiting:
                audit.LoginNotVerified(context);
                return new Identity(
                    null, "Too many logins wait to be verified. Wait some seconds, then try again.", Wait: QueueWait);

            default:
                // Told of before anybody waits: who guesses need not stay for the answer.
                metrics.LoginFailed();
                audit.LoginFailed(context, result.Caller);
                if (result.Hold > TimeSpan.Zero)
                {
                    await Task.Delay(result.Hold, time, context.RequestAborted);
                }

                return new Identity(null, "The name or the password is wrong.");
        }
    }

    /// <summary>Of a refresh token.</summary>
    public async ValueTask<Identity> OfRefreshTokenAsync(HttpContext context, string text)
    {
        var (found, problem) = Jwt.TryParse(text, out var jwt)
            ? await tokens.VerifyRefreshAsync(jwt, context.RequestAborted)
            : Malformed;
        var caller = found is null ? null : await logins.RecheckAsync(found, context.RequestAborted);
        if (caller is not null)
        {
            return new Identity(caller with { Scopes = null, Expires = null });
        }

        problem ??= AccountGone;
        audit.TokenRefused(context, problem);
        return new Identity(null, problem.Told ?? "The refresh token is not good, or no longer. Log in again.");
    }

    private async ValueTask<Identity> FromTokenAsync(HttpContext context, string text, bool isForToken)
    {
        var hash = CredentialHash.Of(text);
        if (_tokens.Find(hash) is { } known
            && (known.Key is null || (!isForToken && await keys.FindAsync(known.Key, context.RequestAborted) is not null)))
        {
            return await RecheckedAsync(context, known.Caller);
        }

        if (!Jwt.TryParse(text, out var jwt))
        {
            return Refuse(context, Malformed);
        }

        // With a token of ours nobody gets another one: it would live for ever, and be good for more.
        var isOurs = jwt.Issuer == Options.Tokens.Service;
        var (caller, problem) = !isOurs ? await issuers.VerifyAsync(context, jwt)
            : !Options.Tokens.Enabled ? new TokenProblem("this registry issues no tokens")
            : isForToken ? new TokenProblem("a token of this registry gets no other")
            : await tokens.VerifyAsync(jwt, context.RequestAborted);
        if (caller is null)
        {
            return Refuse(context, problem!);
        }

        if (!isOurs)
        {
            audit.LoggedIn(context, caller);
        }

        if (caller.Expires is { } expires && expires > time.GetUtcNow())
        {
            _tokens.Add(hash, new KnownToken(caller, isOurs ? jwt.KeyId : null), expires);
        }

        return await RecheckedAsync(context, caller);
    }

    private static TokenProblem Malformed { get; } = new("it is not a JSON web token that can be read");

    private static TokenProblem AccountGone { get; } = new("its account is gone, or has another password or secret since");

    private Identity Refuse(HttpContext context, TokenProblem problem)
    {
        audit.TokenRefused(context, problem);
        return new Identity(null, problem.Told ?? "The token is none that this registry takes. Get a new one.", IsToken: true);
    }

    private async ValueTask<Identity> RecheckedAsync(HttpContext context, Caller caller)
    {
        if (await logins.RecheckAsync(caller, context.RequestAborted) is { } now)
        {
            return new Identity(now);
        }

        audit.TokenRefused(context, AccountGone);
        return new Identity(null, "The token's account is gone, or has another password since. Log in again.", IsToken: true);
    }

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

    /// <param name="Caller">Whose it is.</param>
    /// <param name="Key">The key of ours that it is signed with; null when it is another issuer's.</param>
    private sealed record KnownToken(Caller Caller, string? Key);
}

/// <param name="Caller">Null when what was sent proves nothing.</param>
/// <param name="Problem">What is wrong with it then.</param>
/// <param name="IsToken">Whether it was a token.</param>
/// <param name="Wait">How long to wait, when it was not even looked at; the problem says why.</param>
internal readonly record struct Identity(Caller? Caller, string? Problem = null, bool IsToken = false, TimeSpan? Wait = null);
