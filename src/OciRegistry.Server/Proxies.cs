using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.HttpOverrides;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>
/// Has the requests of configured proxies count as those of the clients behind them, and warns of proxies that are not
/// configured: all clients behind one of those are one address, for limits and in the audit log.
/// </summary>
internal static partial class Proxies
{
    private const string ForwardedFor = "X-Forwarded-For";

    /// <summary>More addresses than one operator has proxies; clients can send the header as well.</summary>
    private const int MaxWarned = 10;

    // ASP.NET Core's own switch, which believes everybody.
    private const string BelieveAll = "forwardedHeaders_enabled";

    public static void Use(WebApplication app)
    {
        var networks = ServerConfiguration.Proxies(app.Configuration).ToNetworks().ToList();
        if (networks.Count > 0)
        {
            UseForwarded(app, networks);
        }

        WarnOfOthers(app);
    }

    private static void UseForwarded(WebApplication app, List<System.Net.IPNetwork> networks)
    {
        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
            ForwardLimit = null, // as far as the chain consists of such proxies
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        networks.ForEach(options.KnownIPNetworks.Add);
        app.UseForwardedHeaders(options);
        UseSchemes(app);
    }

    // The scheme becomes part of the addresses that clients are sent to. The framework takes any word for one.
    private static void UseSchemes(WebApplication app)
    {
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(Proxies));
        var hasWarned = 0;
        app.Use((context, next) =>
        {
            var request = context.Request;
            if (request.Scheme is not ("http" or "https"))
            {
                var sent = request.Scheme;
                request.Scheme = sent.Equals("https", StringComparison.OrdinalIgnoreCase) ? "https"
                    : sent.Equals("http", StringComparison.OrdinalIgnoreCase) || context.Features.Get<ITlsConnectionFeature>() is null ? "http"
                    : "https";
                if (!request.Scheme.Equals(sent, StringComparison.OrdinalIgnoreCase) && Interlocked.Exchange(ref hasWarned, 1) == 0)
                {
                    LogScheme(log, sent);
                }
            }

            return next(context);
        });
    }

    // What is left of the header after the configured proxies: the sender is none of them.
    private static void WarnOfOthers(WebApplication app)
    {
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(Proxies).FullName!);
        var warned = new HashSet<string>(StringComparer.Ordinal);
        app.Use(next => context =>
        {
            var headers = context.Request.Headers;
            if (headers.ContainsKey(ForwardedFor)
                && !headers.ContainsKey(ForwardedHeadersDefaults.XOriginalForHeaderName) // a client's own, through a configured one
                && warned.Count < MaxWarned
                && context.Connection.RemoteIpAddress is { } address)
            {
                lock (warned)
                {
                    if (warned.Count < MaxWarned && warned.Add(address.ToString()))
                    {
                        LogNotConfigured(log, address.ToString(), $"{Setting.Section}:{nameof(ProxyOptions.Proxies)}");
                    }
                }
            }

            return next(context);
        });
    }

    [LoggerMessage(
        LogLevel.Warning,
        "{Address} sends X-Forwarded-For and is not a configured proxy, so the header is ignored: all clients behind it count as one "
        + "address. If it is your proxy, add it to {Setting}.")]
    private static partial void LogNotConfigured(ILogger logger, string address, string setting);

    public static IEnumerable<string> Problems(IConfiguration configuration) =>
        string.Equals(configuration[BelieveAll], "true", StringComparison.OrdinalIgnoreCase)
            ?
            [
                $"{BelieveAll} has the server believe anybody who says that he is a proxy. Leave it out, and set "
                + $"{Setting.Section}:{nameof(ProxyOptions.Proxies)} to the addresses of yours.",
            ]
            : [];

    [LoggerMessage(LogLevel.Warning, "X-Forwarded-Proto is '{Scheme}', which is ignored. Have the proxy send http or https. This is logged once.")]
    private static partial void LogScheme(ILogger logger, string scheme);
}
