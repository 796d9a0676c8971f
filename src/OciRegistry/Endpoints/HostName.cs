using System.Net;

namespace OciRegistry.Endpoints;

/// <summary>The host in a <c>Host</c> header, an <c>:authority</c> or an <c>Origin</c>.</summary>
internal static class HostName
{
    /// <summary>
    /// The host of <c>host</c>, <c>host:port</c>, <c>address:port</c> or <c>[address]:port</c>: without port, brackets and the dot
    /// at the end, which mean the same host.
    /// </summary>
    public static ReadOnlySpan<char> Of(ReadOnlySpan<char> authority)
    {
        if (authority.StartsWith('['))
        {
            var end = authority.IndexOf(']');
            return end < 0 ? authority : authority[1..end];
        }

        var colon = authority.IndexOf(':');
        var host = colon < 0 ? authority : authority[..colon];
        return host.EndsWith('.') ? host[..^1] : host;
    }

    /// <summary>
    /// Whether a host that <see cref="Of"/> returned is this machine, whatever a name server says: browsers ask none for names below
    /// "localhost" (RFC 6761 §6.3).
    /// </summary>
    public static bool IsLoopback(ReadOnlySpan<char> host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));

    /// <summary>Whether a list of names, as the setting <c>Hosts</c> has them, has a host that <see cref="Of"/> returned.</summary>
    public static bool IsListed(IList<string> names, ReadOnlySpan<char> host)
    {
        foreach (var name in names)
        {
            if (host.Equals(Of(name), StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }
}
