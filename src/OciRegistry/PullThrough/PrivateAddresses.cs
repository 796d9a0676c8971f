using System.Net;

namespace OciRegistry.PullThrough;

/// <summary>Addresses behind which there is no registry of the public, but what only this machine and its neighbours reach.</summary>
internal static class PrivateAddresses
{
    private static readonly IPNetwork[] Networks =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32", // what Azure serves each of its machines is at a public address
            "::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
            "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", // an IPv4 address within, which a router takes out
        }.Select(network => IPNetwork.Parse(network)),
    ];

    public static bool Contain(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return Networks.Any(network => network.Contains(plain));
    }
}
