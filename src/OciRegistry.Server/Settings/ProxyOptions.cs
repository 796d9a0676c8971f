using System.Net;
using System.Text.RegularExpressions;

namespace OciRegistry.Server.Settings;

/// <summary>Who stands between the clients and this server.</summary>
internal sealed partial class ProxyOptions
{
    /// <summary>
    /// Addresses, or networks as 10.0.0.0/8, of proxies whose X-Forwarded-For, -Proto and -Host are believed. Nobody else's are:
    /// whoever may say where he comes from escapes every limit, and whoever may say which host he meant chooses where
    /// clients log in.
    /// </summary>
    public IList<string> Proxies { get; } = [];

    /// <summary>
    /// The path below which a proxy serves the registry, as <c>/registry</c>. Every address in a response begins with it. Requests are
    /// accepted with it and without it: a proxy may remove it, and probes need none. Container clients expect <c>/v2/</c> at the root of
    /// a host, so they need a proxy or a host name without it.
    /// </summary>
    /// <value>none</value>
    public string? PathBase { get; set => field = string.IsNullOrEmpty(value) ? null : value; }

    public IEnumerable<IPNetwork> ToNetworks() => Proxies.Select(proxy => NetworkOf(proxy)!.Value);

    internal IEnumerable<string> Problems()
    {
        foreach (var proxy in Proxies.Where(proxy => NetworkOf(proxy) is null))
        {
            yield return $"Proxies has '{proxy}'. Write addresses, as 10.0.0.7, or networks, as 10.0.0.0/8.";
        }

        if (PathBase is { } path && (!Prefix().IsMatch(path) || Own.Contains(path.Split('/')[1])))
        {
            yield return $"PathBase is '{path}'. Write a path that begins with a slash and does not end with one, of letters, digits and '._~-', as "
                + $"/registry. It cannot begin with {string.Join(", ", Own.Select(own => $"/{own}"))}.";
        }
    }

    // The first segments of the registry's own paths.
    private static readonly string[] Own = ["v2", "token", "admin", "livez", "readyz", "startupz", "metrics"];

    [GeneratedRegex(@"^(/[A-Za-z0-9][A-Za-z0-9._~-]*)+\z")]
    private static partial Regex Prefix();

    private static IPNetwork? NetworkOf(string text) =>
        IPAddress.TryParse(text, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : IPNetwork.TryParse(text, out var network) ? network
        : null;
}
