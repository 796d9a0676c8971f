using System.Net;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>Who fails to log in again and again is not listened to for a while: <see cref="AuthOptions.MaxFailedLogins"/>.</summary>
/// <remarks>
/// By address, not by name: whoever wants to shut somebody out would only have to fail in his name.
/// </remarks>
internal sealed class FailedLogins(IOptions<OciRegistryOptions> options) : IDisposable
{
    /// <summary>After so long the failures are forgotten.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    // Not a bucket of tokens: a part of one is there again after 100 ms, which is enough for who asks whether any is left.
    private readonly PartitionedRateLimiter<(IPAddress? Address, int Max)> _left =
        PartitionedRateLimiter.Create<(IPAddress? Address, int Max), (string, int)>(who => RateLimitPartition.GetFixedWindowLimiter(
            (RequestLimits.NetworkOf(who.Address), who.Max),
            _ => new FixedWindowRateLimiterOptions
            {
                PermitLimit = who.Max,
                Window = Window,
                QueueLimit = 0,
            }));

    private int Max => options.Value.Auth.MaxFailedLogins;

    public bool TooMany(IPAddress? address)
    {
        using var lease = _left.AttemptAcquire((address, Max), permitCount: 0);
        return !lease.IsAcquired;
    }

    public void Add(IPAddress? address) => _left.AttemptAcquire((address, Max)).Dispose();

    public void Dispose() => _left.Dispose();
}
