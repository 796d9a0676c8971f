using System.Net;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>How many requests of one address, and of one subject, are served: <see cref="LimitOptions"/>.</summary>
/// <remarks>A bucket belongs to its rate, so that one that changes begins with full buckets, and one that stays keeps them.</remarks>
internal sealed class RequestLimits(IOptions<OciRegistryOptions> options) : IDisposable
{
    private readonly PartitionedRateLimiter<(string Who, int Rate)> _addresses = Limiter();
    private readonly PartitionedRateLimiter<(string Who, int Rate)> _subjects = Limiter();

    /// <summary>Null when the request may be served; else how long to wait.</summary>
    public TimeSpan? WaitOf(IPAddress? address) =>
        options.Value.Limits.PerAddress is { } rate ? WaitOf(ClientNetwork.Of(address), rate) : null;

    /// <summary>Null when the request may be served; else how long to wait.</summary>
    public TimeSpan? WaitOf(Caller caller) =>
        options.Value.Limits.PerSubject is { } rate ? WaitOf(_subjects, caller.Subject, rate) : null;

    private TimeSpan? WaitOf(ClientNetwork network, int rate) =>
        WaitOf(_addresses, network.Own, rate)
        ?? (network.Wide is { } wide ? WaitOf(_addresses, wide, rate * ClientNetwork.WideFactor) : null);

    public void Dispose()
    {
        _addresses.Dispose();
        _subjects.Dispose();
    }

    private static PartitionedRateLimiter<(string Who, int Rate)> Limiter() =>
        PartitionedRateLimiter.Create<(string Who, int Rate), (string, int)>(bucket => RateLimitPartition.GetTokenBucketLimiter(
            bucket,
            _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = bucket.Rate * LimitOptions.BurstSeconds,
                TokensPerPeriod = bucket.Rate,
                ReplenishmentPeriod = TimeSpan.FromSeconds(1),
                QueueLimit = 0,
            }));

    private static TimeSpan? WaitOf(PartitionedRateLimiter<(string Who, int Rate)> limiter, string who, int rate)
    {
        using var lease = limiter.AttemptAcquire((who, rate));
        return lease.IsAcquired ? null
            : lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) && wait > TimeSpan.Zero ? wait
            : TimeSpan.FromSeconds(1);
    }
}
