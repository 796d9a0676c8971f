using Microsoft.AspNetCore.HttpOverrides;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>Has the requests of configured proxies count as those of the clients behind them.</summary>
internal static class Proxies
{
    // ASP.NET Core's own switch, which believes everybody.
    private const string BelieveAll = "forwardedHeaders_enabled";

    public static void Use(WebApplication app)
    {
        var networks = ServerConfiguration.Proxies(app.Configuration).ToNetworks().ToList();
        if (networks.Count == 0)
        {
            return;
        }

        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost,
            ForwardLimit = null, // as far as the chain consists of such proxies
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        networks.ForEach(options.KnownIPNetworks.Add);
        app.UseForwardedHeaders(options);
    }

    public static IEnumerable<string> Problems(IConfiguration configuration) =>
        string.Equals(configuration[BelieveAll], "true", StringComparison.OrdinalIgnoreCase)
            ?
            [
                $"{BelieveAll} has the server believe anybody who says that he is a proxy. Leave it out, and set "
                + $"{Setting.Section}:{nameof(ProxyOptions.Proxies)} to the addresses of yours.",
            ]
            : [];
}
