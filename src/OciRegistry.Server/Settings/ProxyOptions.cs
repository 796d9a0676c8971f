using System.Net;

namespace OciRegistry.Server.Settings;

/// <summary>Who stands between the clients and this server.</summary>
internal sealed class ProxyOptions
{
    /// <summary>
    /// Addresses, or networks as 10.0.0.0/8, of proxies whose X-Forwarded-For, -Proto and -Host are believed. Nobody else's are:
    /// whoever may say where he comes from escapes every limit, and whoever may say which host he meant chooses where
    /// clients log in.
    /// </summary>
    public IList<string> Proxies { get; } = [];

    public IEnumerable<IPNetwork> ToNetworks() => Proxies.Select(proxy => NetworkOf(proxy)!.Value);

    internal IEnumerable<string> Problems() =>
        from proxy in Proxies
        where NetworkOf(proxy) is null
        select $"Proxies has '{proxy}'. Write addresses, as 10.0.0.7, or networks, as 10.0.0.0/8.";

    private static IPNetwork? NetworkOf(string text) =>
        IPAddress.TryParse(text, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : IPNetwork.TryParse(text, out var network) ? network
        : null;
}
