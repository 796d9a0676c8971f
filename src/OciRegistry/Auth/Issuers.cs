using System.Security.Cryptography.X509Certificates;
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
    ILoggerFactory logs)
{
    /// <summary>What the names of the handlers' options begin with.</summary>
    public const string OptionsPrefix = "OciRegistry:";
    private static readonly object TokenItem = new();
    private static readonly object KeyItem = new();

    private IList<IssuerOptions> All => options.Value.Auth.Issuers;

    /// <summary>Whose token it is; null when none of the issuers has issued it for us, or it has ended.</summary>
    /// <exception cref="IssuerDownException">One that may have issued it has never answered.</exception>
    public async ValueTask<Caller?> VerifyAsync(HttpContext context, Jwt token)
    {
        IssuerDownException? down = null;
        foreach (var issuer in All.OrderByDescending(issuer => IsOf(token, issuer)))
        {
            bool isValid;
            try
            {
                isValid = await IsValidAsync(context, token, issuer);
            }
            catch (IssuerDownException e)
            {
                down ??= e;
                continue;
            }

            if (isValid)
            {
                // The library takes an end that is a text, or after all time: nobody could tell when the token ends.
                return token.Expires is { } expires && token.TextOf(issuer.SubjectClaim) is { Length: > 0 } subject && IsPrintable(subject)
                    ? new Caller($"{issuer.Name}:{subject}")
                    {
                        Groups = [.. token.Texts(issuer.GroupsClaim).Select(group => $"{issuer.Name}:{group}").Where(files.Policies.Knows)],
                        Expires = expires,
                    }
                    : null;
            }
        }

        return down is null ? null : throw down;
    }

    /// <summary>How the handler is to work for an issuer.</summary>
    public static void Configure(JwtBearerOptions handler, IssuerOptions issuer, TimeProvider time, ILoggerFactory logs)
    {
        handler.ConfigurationManager = new IssuerConfiguration(
            issuer, Documents(issuer), time, logs.CreateLogger<IssuerConfiguration>());
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
            OnAuthenticationFailed = failed =>
            {
                failed.HttpContext.Items[KeyItem] = failed.Exception is SecurityTokenSignatureKeyNotFoundException;
                return Task.CompletedTask;
            },
        };
    }

    private static bool IsOf(Jwt token, IssuerOptions issuer) =>
        token.Issuer?.TrimEnd('/') == issuer.Authority.TrimEnd('/');

    private static bool IsPrintable(string subject) => subject.Length <= 1024 && subject.All(c => c is > ' ' and <= '~');

    private async ValueTask<bool> IsValidAsync(HttpContext context, Jwt token, IssuerOptions issuer)
    {
        var scheme = new AuthenticationScheme(OptionsPrefix + issuer.Name, null, typeof(JwtBearerHandler));
        var configuration = (IssuerConfiguration)handlers.Get(scheme.Name).ConfigurationManager!;
        await configuration.GetConfigurationAsync(context.RequestAborted);
        context.Items[TokenItem] = token.Text;
        if (await IsValidAsync(context, scheme))
        {
            return true;
        }

        if (context.Items[KeyItem] is not true)
        {
            return false;
        }

        await configuration.RefreshAsync(context.RequestAborted);
        return await IsValidAsync(context, scheme);
    }

    private async ValueTask<bool> IsValidAsync(HttpContext context, AuthenticationScheme scheme)
    {
        context.Items[KeyItem] = null;
        var handler = new JwtBearerHandler(handlers, logs, UrlEncoder.Default);
        await handler.InitializeAsync(scheme, context);
        return (await handler.AuthenticateAsync()).Succeeded;
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
            var authorities = AuthFiles.Certificates(path, File.ReadAllBytes(path));
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        return handler;
    }
}

/// <summary>The options of the handlers, by the names of the issuers.</summary>
internal sealed class IssuerHandlers(IOptions<OciRegistryOptions> options, TimeProvider time, ILoggerFactory logs)
    : IConfigureNamedOptions<JwtBearerOptions>
{
    public void Configure(string? name, JwtBearerOptions handler)
    {
        if (options.Value.Auth.Issuers.FirstOrDefault(issuer => Issuers.OptionsPrefix + issuer.Name == name) is { } issuer)
        {
            Issuers.Configure(handler, issuer, time, logs);
        }
    }

    public void Configure(JwtBearerOptions handler) => Configure(null, handler);
}
