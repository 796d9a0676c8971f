using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

/// <summary>
/// The token service: GET https://distribution.github.io/distribution/spec/auth/token/ and POST …/oauth/. What is asked for
/// and not allowed is left out, and no error: clients ask for all that they might need.
/// </summary>
internal sealed class TokenEndpoints(
    AccessControl access,
    Identification identification,
    AuthFiles files,
    RegistryTokens tokens,
    SigningKeys keys,
    BufferedBodies bodies,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    TimeProvider time)
{
    public const string Path = "/token";
    public const string KeysPath = "/token/keys";

    private const int MaxForm = 64 * 1024;

    // In base64, and with all else that a token has, this stays below what is taken: Jwt.MaxLength.
    private const int MaxScopes = 8 * 1024;
    private const int ScopeOverhead = 40; // the names of its members
    private const string FormType = "application/x-www-form-urlencoded";

    public async Task Get(HttpContext context)
    {
        if (await access.AdmitForTokenAsync(context, await identification.OfAsync(context, isForToken: true)) is { } caller)
        {
            var query = context.Request.Query;
            await GrantAsync(context, caller, query["scope"], wantsRefresh: query["offline_token"] == "true");
        }
    }

    public async Task Post(HttpContext context)
    {
        // A multipart form would be read in other ways, which fail in others.
        if (!MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type)
            || !type.MediaType.Equals(FormType, StringComparison.OrdinalIgnoreCase))
        {
            await RefuseAsync(context, $"The token service takes a form: {FormType}.");
            return;
        }

        if (await bodies.ReadAsync(context, MaxForm, RequestBody.TooLarge(MaxForm), isForm: true) is not { } content)
        {
            return;
        }

        context.Request.Body = new MemoryStream(content.ToArray(), writable: false);
        IFormCollection form;
        try
        {
            form = await context.Request.ReadFormAsync(context.RequestAborted);
        }
        catch (InvalidDataException)
        {
            await RefuseAsync(context, "The form has more or longer fields than a request for a token needs, or a NUL character.");
            return;
        }

        Identity? identity = form["grant_type"].ToString() switch
        {
            "password" => await identification.OfLoginAsync(
                context, form["username"].ToString(), form["password"].ToString()),
            "refresh_token" => await identification.OfRefreshTokenAsync(
                context, form["refresh_token"].ToString()),
            _ => null,
        };
        if (identity is null)
        {
            await RefuseAsync(context, "grant_type must be password or refresh_token.");
        }
        else if (await access.AdmitForTokenAsync(context, identity.Value) is { } caller)
        {
            await GrantAsync(
                context,
                caller,
                form["scope"],
                wantsRefresh: form["access_type"] == "offline" && form["grant_type"] == "password");
        }
    }

    /// <summary>The keys that tokens can be verified with (RFC 7517).</summary>
    public async Task GetKeys(HttpContext context)
    {
        var all = await keys.AllAsync(context.RequestAborted);
        context.Response.Headers.CacheControl = "public, max-age=60";
        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("keys");
            foreach (var key in all)
            {
                json.WriteStartObject();
                json.WriteString("kty", "EC");
                json.WriteString("crv", "P-256");
                json.WriteString("x", key.X);
                json.WriteString("y", key.Y);
                json.WriteString("use", "sig");
                json.WriteString("alg", "ES256");
                json.WriteString("kid", key.Id);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>
    /// What of the scopes somebody may have; each resource once, and no more than a token can carry that is sent with each request.
    /// </summary>
    public IReadOnlyList<Scope> Granted(Caller caller, IEnumerable<string> requested)
    {
        var granted = new Dictionary<(string Type, string Name), Scope>();
        var length = 0;
        foreach (var text in requested.SelectMany(value => value.Split(' ', StringSplitOptions.RemoveEmptyEntries)))
        {
            if (Scope.TryParse(text, out var scope) && Allowed(caller, scope) is { Actions.Count: > 0 } allowed)
            {
                var key = (allowed.Type, allowed.Name);
                length += granted.ContainsKey(key) ? 0 : allowed.ToString().Length + ScopeOverhead;
                if (length > MaxScopes)
                {
                    break;
                }

                granted[key] = granted.TryGetValue(key, out var before)
                    ? allowed with { Actions = [.. before.Actions.Union(allowed.Actions)] }
                    : allowed;
            }
        }

        return [.. granted.Values];
    }

    private Scope? Allowed(Caller caller, Scope scope) => scope switch
    {
        { Type: Scope.RepositoryType } when RepositoryName.TryParse(scope.Name, out var name) => Scope.Repository(
            name, files.Policies.RightsOf(caller, scope.Name) & RightsNames.OfScope(scope.Actions)),
        { Type: Scope.RegistryType, Name: Scope.CatalogName } when access.MayList(caller) => Scope.Catalog,
        { Type: Scope.RegistryType, Name: Scope.AdminName } when files.Policies.Administers(caller) => Scope.Admin,
        _ => null,
    };

    private async Task GrantAsync(HttpContext context, Caller caller, StringValues scopes, bool wantsRefresh)
    {
        // A token that another one was exchanged for does not outlive that one.
        var now = time.GetUtcNow();
        var lifetime = options.Value.Auth.Tokens.Lifetime;
        if (caller.Expires - now < lifetime)
        {
            lifetime = caller.Expires!.Value - now;
        }

        var token = await tokens.IssueAsync(
            caller, Granted(caller, scopes.OfType<string>()), lifetime, context.RequestAborted);

        // Who is in which groups is the issuer's to say, each time.
        var refresh = wantsRefresh && caller.Credential is not null
            ? await tokens.IssueRefreshAsync(caller, context.RequestAborted)
            : null;
        metrics.TokenGranted();
        context.Response.Headers.CacheControl = "no-store";
        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteString("token", token);
            json.WriteString("access_token", token);
            json.WriteString("token_type", "Bearer");
            json.WriteNumber("expires_in", Math.Max(1, (long)lifetime.TotalSeconds));
            json.WriteString("issued_at", now.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
            if (refresh is not null)
            {
                json.WriteString("refresh_token", refresh);
            }

            json.WriteEndObject();
        });
    }

    private static Task RefuseAsync(HttpContext context, string message) =>
        context.WriteErrorAsync(OciError.Unsupported(message));
}
