using System.Text.Json;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace OciRegistry.Auth;

/// <summary>
/// The registry's own tokens: who somebody is and what the token is limited to. What its subject may do is looked up with
/// each request, so that a change of the policy counts at once.
/// https://distribution.github.io/distribution/spec/auth/jwt/
/// </summary>
internal sealed class RegistryTokens(SigningKeys keys, IOptions<OciRegistryOptions> options, TimeProvider time)
{
    // In the header: a refresh token is no access token, nor the other way round.
    private const string AccessType = "JWT";
    private const string RefreshType = "refresh+jwt";

    /// <summary>The clock of the replica that has issued it may be ahead.</summary>
    private static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(1);

    private static readonly JsonWebTokenHandler Handler = new()
    {
        MaximumTokenSizeInBytes = Jwt.MaxLength,
        SetDefaultTimesOnTokenCreation = false,
        MapInboundClaims = false,
    };

    private TokenOptions Options => options.Value.Auth.Tokens;

    public ValueTask<string> IssueAsync(
        Caller caller, IReadOnlyList<Scope> access, TimeSpan lifetime, CancellationToken cancellationToken) =>
        IssueAsync(AccessType, caller, lifetime, access, cancellationToken);

    /// <summary>With this one a client gets others, and nothing else.</summary>
    public ValueTask<string> IssueRefreshAsync(Caller caller, CancellationToken cancellationToken) =>
        IssueAsync(RefreshType, caller, Options.RefreshLifetime, [], cancellationToken);

    /// <summary>
    /// Whose token it is; nobody's when it is none of ours, or one that has ended for longer than an upload may take. Whether it
    /// has ended since is for the caller to look at, and whether the subject still is.
    /// </summary>
    public ValueTask<TokenResult> VerifyAsync(Jwt token, CancellationToken cancellationToken) =>
        VerifyAsync(AccessType, token, TokenOptions.MaxLifetime, SigningKeys.UploadGrace, cancellationToken);

    public ValueTask<TokenResult> VerifyRefreshAsync(Jwt token, CancellationToken cancellationToken) =>
        VerifyAsync(RefreshType, token, Options.RefreshLifetime, TimeSpan.Zero, cancellationToken);

    private async ValueTask<string> IssueAsync(
        string type, Caller caller, TimeSpan lifetime, IReadOnlyList<Scope> access, CancellationToken cancellationToken)
    {
        var key = await keys.CurrentAsync(cancellationToken);
        return Handler.CreateToken(
            Payload(caller, lifetime, access),
            new SigningCredentials(key.Key, SecurityAlgorithms.EcdsaSha256),
            new Dictionary<string, object> { [JwtHeaderParameterNames.Typ] = type });
    }

    private string Payload(Caller caller, TimeSpan lifetime, IReadOnlyList<Scope> access)
    {
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        var payload = new MemoryStream();
        using (var json = new Utf8JsonWriter(payload))
        {
            json.WriteStartObject();
            json.WriteString("iss", Options.Service);
            json.WriteString("sub", caller.Subject);
            json.WriteString("aud", Options.Service);
            json.WriteNumber("iat", now);
            json.WriteNumber("nbf", now);
            json.WriteNumber("exp", now + (long)lifetime.TotalSeconds);
            json.WriteString("jti", Guid.NewGuid().ToString("n"));
            if (caller.Credential is { } credential)
            {
                json.WriteString("cred", credential);
            }

            if (caller.Groups.Count > 0)
            {
                json.WriteStartArray("groups");
                foreach (var group in caller.Groups)
                {
                    json.WriteStringValue(group);
                }

                json.WriteEndArray();
            }

            json.WriteStartArray("access");
            foreach (var scope in access)
            {
                json.WriteStartObject();
                json.WriteString("type", scope.Type);
                json.WriteString("name", scope.Name);
                json.WriteStartArray("actions");
                foreach (var action in scope.Actions)
                {
                    json.WriteStringValue(action);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        // Jib decodes the payload with plain base64, to which '-' and '_' are no digits. They stand for six bits that only
        // '>', '?', '~' and DEL, as the last of three bytes, and bytes beyond ASCII have; the writer escapes the others.
        return System.Text.Encoding.ASCII.GetString(payload.GetBuffer(), 0, (int)payload.Length)
            .Replace("~", @"\u007E", StringComparison.Ordinal)
            .Replace("?", @"\u003F", StringComparison.Ordinal);
    }

    private async ValueTask<TokenResult> VerifyAsync(
        string type, Jwt token, TimeSpan maxLifetime, TimeSpan grace, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        if (token.Subject is not { Length: > 0 } subject || token.Expires is not { } expires)
        {
            return new TokenProblem("it has no subject, or no time of expiry");
        }

        if (expires <= now - grace)
        {
            return TokenProblem.Expired(expires, now);
        }

        if (expires > now + maxLifetime + ClockSkew)
        {
            return new TokenProblem("it lives longer than any token of this registry");
        }

        if (token.NotBefore is { } from && from > now + ClockSkew)
        {
            return TokenProblem.NotYet(from, now);
        }

        if (token.KeyId is not { } id || await keys.FindAsync(id, cancellationToken) is not { } key)
        {
            return TokenProblem.UnknownKey(token.KeyId);
        }

        var result = await Handler.ValidateTokenAsync(token.Text, new TokenValidationParameters
        {
            ValidAlgorithms = [SecurityAlgorithms.EcdsaSha256],
            ValidTypes = [type],
            ValidIssuer = Options.Service,
            ValidAudience = Options.Service,
            IssuerSigningKey = key.Key,
            TryAllIssuerSigningKeys = false,
            ValidateLifetime = false, // above, by the registry's clock
        });
        if (!result.IsValid)
        {
            return TokenProblem.Of(result.Exception, token, Options.Service, now);
        }

        return TryReadAccess(token.Payload, out var scopes)
            ? new Caller(subject)
            {
                Groups = [.. token.Texts("groups")],
                Credential = token.TextOf("cred"),
                Scopes = scopes,
                Expires = expires,
            }
            : new TokenProblem("its access cannot be read");
    }

    private static bool TryReadAccess(JsonElement payload, out List<Scope> scopes)
    {
        scopes = [];
        if (!payload.TryGetProperty("access", out var access) || access.ValueKind != JsonValueKind.Array)
        {
            return false;
        }

        foreach (var entry in access.EnumerateArray())
        {
            if (entry.ValueKind != JsonValueKind.Object
                || !entry.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("actions", out var actions) || actions.ValueKind != JsonValueKind.Array)
            {
                return false;
            }

            scopes.Add(new Scope(
                type.GetString()!,
                name.GetString()!,
                [.. actions.EnumerateArray().Select(action => action.ToString())]));
        }

        return true;
    }
}
