using Microsoft.AspNetCore.Http.Features;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>
/// The path below which clients reach the registry through a proxy. Requests are accepted with it, and without it for proxies that
/// remove it and for probes. Every address in a response begins with it.
/// </summary>
internal static class PathPrefix
{
    public static void Use(WebApplication app)
    {
        if (ServerConfiguration.Proxies(app.Configuration).PathBase is not { } text)
        {
            return;
        }

        var prefix = new PathString(text);
        app.Use((context, next) =>
        {
            var request = context.Request;
            // As RequestGuard has looked at it: what is encoded in another way was not looked at behind the prefix.
            if (RequestTarget.Begins(context.Features.Get<IHttpRequestFeature>()!.RawTarget, text)
                && request.Path.StartsWithSegments(prefix, StringComparison.Ordinal, out var rest))
            {
                request.Path = rest;
            }

            request.PathBase = prefix;
            return next(context);
        });
    }
}
