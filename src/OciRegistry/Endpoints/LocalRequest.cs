using System.Net;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// Whether a request comes from this machine: by its address, by the name that it was sent to (a page in a browser can have
/// another name lead here), and not through a proxy, which would make everybody local.
/// </summary>
internal static class LocalRequest
{
    private static readonly string[] Forwarding =
        ["Forwarded", "X-Forwarded-For", "X-Original-For", "X-Real-IP", "Via"];

    public static bool IsFromHere(HttpContext context) =>
        context.Connection.RemoteIpAddress is { } address
        && IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address)
        && IsLoopbackName(new HostString(context.Request.Headers.Host.ToString()).Host)
        && !Forwarding.Any(context.Request.Headers.ContainsKey);

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
