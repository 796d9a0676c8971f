using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Tokens;

namespace OciRegistry.Auth;

/// <summary>
/// Tokens of OpenID Connect providers, verified by ASP.NET Core's own handler with the keys of <see cref="IssuerConfiguration"/>.
/// </summary>
/// <remarks>
/// The handler is called directly and is no scheme of the application: whoever embeds the registry has schemes of his own,
/// and a single one of them is the default, which one more would undo.
/// </remarks>
internal sealed class Issuers(
    IOptions<OciRegistryOptions> options,
    IOptionsMonitor<JwtBearerOptions> handlers,
    AuthFiles files,
    TimeProvider time,
    ILoggerFactory logs)
{
    /// <summary>What the names of the handlers' options begin with.</summary>
    public const string OptionsPrefix = "OciRegistry:";
    private static readonly object TokenItem = new();

    private IList<IssuerOptions> All => options.Value.Auth.Issuers;

    /// <summary>Whose token it is; nobody's when none of the issuers has issued it for us, or it has ended.</summary>
    /// <exception cref="IssuerDownException">One that may have issued it has never answered.</exception>
    public async ValueTask<TokenResult> VerifyAsync(HttpContext context, Jwt token)
    {
        IssuerDownException? down = null;
        TokenProblem? problem = null;
        foreach (var issuer in All.OrderByDescending(issuer => IsOf(token, issuer.Authority)))
        {
            bool isOf;
            Exception? found;
            try
            {
                (isOf, found) = await ProblemAsync(context, token, issuer);
            }
            catch (IssuerDownException e)
            {
                down ??= e;
                continue;
            }

            if (found is null)
            {
                return CallerOf(token, issuer);
            }

            problem ??= isOf ? TokenProblem.Of(found, token, issuer.Audience, time.GetUtcNow()) : null;
        }

        return down is null ? problem ?? TokenProblem.UnknownIssuer(token.Issuer) : throw down;
    }

    /// <summary>How the handler is to work for an issuer.</summary>
    public static void Configure(JwtBearerOptions handler, IssuerOptions issuer, RegistryMetrics metrics, TimeProvider time, ILoggerFactory logs)
    {
        var configuration = new IssuerConfiguration(issuer, Documents(issuer), time, logs.CreateLogger<IssuerConfiguration>());
        metrics.ObserveIssuer(issuer.Name, () => configuration.Age, () => configuration.IsFailing);
        handler.ConfigurationManager = configuration;
        handler.Audience = issuer.Audience;
        handler.MapInboundClaims = false;
        handler.TokenValidationParameters.ValidAlgorithms =
        [
            SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
            SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
            SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
        ];
        handler.TokenValidationParameters.RequireExpirationTime = true;
        handler.TokenValidationParameters.ClockSkew = TimeSpan.FromMinutes(1);
        handler.Events = new JwtBearerEvents
        {
            OnMessageReceived = received =>
            {
                received.Token = received.HttpContext.Items[TokenItem] as string;
                return Task.CompletedTask;
            },
        };
    }

    private TokenResult CallerOf(Jwt token, IssuerOptions issuer)
    {
        // The library takes an end that is a text, or after all time: nobody could tell when the token ends.
        if (token.Expires is not { } expires)
        {
            return new TokenProblem("its time of expiry is none");
        }

        return token.TextOf(issuer.SubjectClaim) is { Length: > 0 } subject && IsPrintable(subject)
            ? new Caller($"{issuer.Name}:{subject}")
            {
                Groups = [.. token.Texts(issuer.GroupsClaim).Select(group => $"{issuer.Name}:{group}").Where(files.Policies.Knows)],
                Expires = expires,
            }
            : new TokenProblem($"its claim '{issuer.SubjectClaim}' is missing, or no subject");
    }

    private static bool IsOf(Jwt token, string? issuer) => issuer is not null && token.Issuer?.TrimEnd('/') == issuer.TrimEnd('/');

    private static bool IsPrintable(string subject) => subject.Length <= 1024 && subject.All(c => c is > ' ' and <= '~');

    /// <summary>What is wrong with the token, null for nothing; and whether it says that the issuer has issued it.</summary>
    private async ValueTask<(bool IsOf, Exception? Problem)> ProblemAsync(HttpContext context, Jwt token, IssuerOptions issuer)
    {
        var scheme = new AuthenticationScheme(OptionsPrefix + issuer.Name, null, typeof(JwtBearerHandler));
        var configuration = (IssuerConfiguration)handlers.Get(scheme.Name).ConfigurationManager!;
        var known = await configuration.GetConfigurationAsync(context.RequestAborted);
        var isOf = IsOf(token, issuer.Authority) || IsOf(token, known.Issuer);
        context.Items[TokenItem] = token.Text;
        var problem = await ProblemAsync(context, scheme);
        if (problem is SecurityTokenSignatureKeyNotFoundException)
        {
            await configuration.RefreshAsync(context.RequestAborted);
            problem = await ProblemAsync(context, scheme);
        }

        return (isOf, problem);
    }

    private async ValueTask<Exception?> ProblemAsync(HttpContext context, AuthenticationScheme scheme)
    {
        var handler = new JwtBearerHandler(handlers, logs, UrlEncoder.Default);
        await handler.InitializeAsync(scheme, context);
        var result = await handler.AuthenticateAsync();
        return result.Succeeded ? null : result.Failure ?? new SecurityTokenValidationException();
    }

    private static HttpDocumentRetriever Documents(IssuerOptions issuer)
    {
        const int maxLength = 1024 * 1024;
        return new HttpDocumentRetriever(new HttpClient(Backchannel(issuer))
        {
            Timeout = TimeSpan.FromSeconds(10),
            MaxResponseContentBufferSize = maxLength,
        })
        {
            RequireHttps = new Uri(issuer.Authority).Scheme == Uri.UriSchemeHttps,
        };
    }

    private static SocketsHttpHandler Backchannel(IssuerOptions issuer)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        if (issuer.CertificateAuthority is { } path)
        {
            handler.SslOptions.CertificateChainPolicy = CertificateAuthority.TrustIn(path);
        }

        return handler;
    }
}

/// <summary>The options of the handlers, by the names of the issuers.</summary>
internal sealed class IssuerHandlers(
    IOptions<OciRegistryOptions> options, RegistryMetrics metrics, TimeProvider time, ILoggerFactory logs)
    : IConfigureNamedOptions<JwtBearerOptions>
{
    public void Configure(string? name, JwtBearerOptions handler)
    {
        if (options.Value.Auth.Issuers.FirstOrDefault(issuer => Issuers.OptionsPrefix + issuer.Name == name) is { } issuer)
        {
            Issuers.Configure(handler, issuer, metrics, time, logs);
        }
    }

    public void Configure(JwtBearerOptions handler) => Configure(null, handler);
}
