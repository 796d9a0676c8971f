using System.Net;
using Microsoft.AspNetCore.Http.Features;
using OciRegistry.Endpoints;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>Refuses requests before routing: by their target, and in an open registry by the host that they name.</summary>
internal static class RequestGuard
{
    private const string Route = "/{**path}";

    /// <summary>Before what takes X-Forwarded-*: a page of a name that leads here can send these, but no other Host.</summary>
    public static void Use(WebApplication app)
    {
        var registry = app.Services.GetRequiredService<RegistryRequest>();
        var hosts = Listening.IsOpenHere(app.Configuration) ? HostsOf(ServerConfiguration.Registry(app.Configuration)) : null;
        var prefix = ServerConfiguration.Proxies(app.Configuration).PathBase ?? "";
        app.Use((context, next) =>
        {
            var error = MethodProblem(context.Request)
                ?? RequestTarget.Problem(context.Features.Get<IHttpRequestFeature>()!.RawTarget, prefix)
                ?? (hosts is null ? null : HostProblem(context, hosts));
            return error is null ? next(context) : registry.InvokeAsync(
                context, Route, RegistryAction.Pull, Access.Open, [], refused => refused.WriteErrorAsync(error));
        });
    }

    /// <summary>
    /// The error of a method in another case: to routing "HeAD" is HEAD, to Kestrel it is not, and it fails an answer without a body.
    /// Methods are case-sensitive (RFC 9110 §9.1).
    /// </summary>
    private static OciError? MethodProblem(HttpRequest request)
    {
        if (request.Method.AsSpan().IndexOfAnyInRange('a', 'z') < 0)
        {
            return null;
        }

        request.Method = HttpMethods.Get; // this answer has a body
        return OciError.Unsupported("Invalid method: methods are case-sensitive. Send it in upper case.");
    }

    /// <summary>The hosts, beside this machine's own, that an open registry answers: those that its settings name.</summary>
    public static IList<string> HostsOf(OciRegistryOptions options) =>
        [.. options.Hosts, .. options.PullThrough.Upstreams.SelectMany(upstream => upstream.MirrorHosts)];

    /// <summary>
    /// The error of a request to an open registry that only this machine reaches, when it names another host: a browser does, for a
    /// page whose name was made to lead here. A browser always names one, so a request without a host is none of its.
    /// </summary>
    private static OciError? HostProblem(HttpContext context, IList<string> hosts)
    {
        // A browser does not reach a Unix socket, which has no address.
        if (context.Connection.LocalIpAddress is not { } address || !IPAddress.IsLoopback(Plain(address)))
        {
            return null;
        }

        var host = HostName.Of(context.Request.Headers.Host.ToString());
        return host.IsEmpty || HostName.IsLoopback(host) || HostName.IsListed(hosts, host) ? null : new OciError(
            "DENIED",
            StatusCodes.Status421MisdirectedRequest,
            "Authentication is off, so this registry answers requests for localhost and loopback addresses only. Use one of them, "
            + $"or ask the operator to add this host to {Setting.Section}:{nameof(OciRegistryOptions.Hosts)}.");
    }

    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
}
