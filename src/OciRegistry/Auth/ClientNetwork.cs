using System.Net;
using System.Net.Sockets;

namespace OciRegistry.Auth;

/// <summary>
/// What counts as one client for limits: an IPv4 address; of IPv6 a network of 64 bits, which one machine has, and the network
/// of 56 bits around it, which one customer of a provider has.
/// </summary>
/// <param name="Own">The address, or the network of 64 bits; empty for a socket of this machine.</param>
/// <param name="Wide">The network of 56 bits; null for IPv4.</param>
internal readonly record struct ClientNetwork(string Own, string? Wide)
{
    /// <summary>How many times as much as one network of 64 bits a network of 56 bits may do.</summary>
    public const int WideFactor = 4;

    /// <summary>Who waits in turn with others: a customer with many networks is one.</summary>
    public string Widest => Wide ?? Own;

    public static ClientNetwork Of(IPAddress? address)
    {
        if (address is null)
        {
            return new ClientNetwork("", null);
        }

        if (address.IsIPv4MappedToIPv6)
        {
            return new ClientNetwork(address.MapToIPv4().ToString(), null);
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return new ClientNetwork(address.ToString(), null);
        }

        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        bytes[8..].Clear();
        var own = new IPAddress(bytes).ToString();
        bytes[7] = 0;
        return new ClientNetwork(own, $"{new IPAddress(bytes)}/56");
    }
}
