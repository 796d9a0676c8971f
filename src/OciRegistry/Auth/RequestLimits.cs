using System.Net;
using System.Net.Sockets;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>How many requests of one address, and of one subject, are served: <see cref="LimitOptions"/>.</summary>
internal sealed class RequestLimits(IOptions<OciRegistryOptions> options) : IDisposable
{
    private readonly PartitionedRateLimiter<string>? _addresses = Limiter(options.Value.Limits.PerAddress);
    private readonly PartitionedRateLimiter<string>? _subjects = Limiter(options.Value.Limits.PerSubject);

    /// <summary>Null when the request may be served; else how long to wait.</summary>
    public TimeSpan? WaitOf(IPAddress? address) => _addresses is null ? null : WaitOf(_addresses, NetworkOf(address));

    /// <summary>Null when the request may be served; else how long to wait.</summary>
    public TimeSpan? WaitOf(Caller caller) => _subjects is null ? null : WaitOf(_subjects, caller.Subject);

    public void Dispose()
    {
        _addresses?.Dispose();
        _subjects?.Dispose();
    }

    /// <summary>One customer of an IPv6 provider has 2^64 addresses.</summary>
    public static string NetworkOf(IPAddress? address)
    {
        if (address is null)
        {
            return ""; // a socket of this machine
        }

        if (address.IsIPv4MappedToIPv6)
        {
            return address.MapToIPv4().ToString();
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return address.ToString();
        }

        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return new IPAddress(bytes).ToString();
    }

    private static PartitionedRateLimiter<string>? Limiter(int? perSecond) => perSecond is not { } rate
        ? null
        : PartitionedRateLimiter.Create<string, string>(who => RateLimitPartition.GetTokenBucketLimiter(
            who,
            _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = rate * LimitOptions.BurstSeconds,
                TokensPerPeriod = rate,
                ReplenishmentPeriod = TimeSpan.FromSeconds(1),
                QueueLimit = 0,
            }));

    private static TimeSpan? WaitOf(PartitionedRateLimiter<string> limiter, string who)
    {
        using var lease = limiter.AttemptAcquire(who);
        return lease.IsAcquired ? null
            : lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) && wait > TimeSpan.Zero ? wait
            : TimeSpan.FromSeconds(1);
    }
}
