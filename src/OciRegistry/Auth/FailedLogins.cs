using System.Net;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>Who fails to log in again and again is not listened to for a while: <see cref="AuthOptions.MaxFailedLogins"/>.</summary>
/// <remarks>
/// By address, not by name: whoever wants to shut somebody out would only have to fail in his name. Who shares an address with
/// a guesser and has logged in from there before is counted apart.
/// </remarks>
internal sealed class FailedLogins(IOptions<OciRegistryOptions> options) : IDisposable
{
    /// <summary>After so long the failures are forgotten.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    // Not a bucket of tokens: a part of one is there again after 100 ms, which is enough for who asks whether any is left.
    private readonly PartitionedRateLimiter<(string Who, int Max)> _left =
        PartitionedRateLimiter.Create<(string Who, int Max), (string, int)>(who => RateLimitPartition.GetFixedWindowLimiter(
            who,
            who => new FixedWindowRateLimiterOptions
            {
                PermitLimit = who.Item2,
                Window = Window,
                QueueLimit = 0,
            }));

    private int Max => options.Value.Auth.MaxFailedLogins;

    public bool TooMany(IPAddress? address)
    {
        var network = ClientNetwork.Of(address);
        return IsUsedUp(network.Own, Max) || (network.Wide is { } wide && IsUsedUp(wide, WideMax));
    }

    /// <summary>The same for one user, who has logged in from there before: others there must not shut that user out.</summary>
    public bool TooMany(IPAddress? address, string user) => IsUsedUp(KeyOf(address, user), Max);

    /// <summary>Whether any login from there has failed in the window.</summary>
    public bool Any(ClientNetwork network) =>
        network.Wide is { } wide ? IsUsed(wide, WideMax) : IsUsed(network.Own, Max);

    public void Add(IPAddress? address)
    {
        var network = ClientNetwork.Of(address);
        Use(network.Own, Max);
        if (network.Wide is { } wide)
        {
            Use(wide, WideMax);
        }
    }

    public void Add(IPAddress? address, string user) => Use(KeyOf(address, user), Max);

    public void Dispose() => _left.Dispose();

    private int WideMax => (int)Math.Min((long)Max * ClientNetwork.WideFactor, int.MaxValue);

    private static string KeyOf(IPAddress? address, string user) => $"{user}\0{ClientNetwork.Of(address).Widest}";

    private bool IsUsedUp(string who, int max)
    {
        using var lease = _left.AttemptAcquire((who, max), permitCount: 0);
        return !lease.IsAcquired;
    }

    private bool IsUsed(string who, int max) => _left.GetStatistics((who, max))!.CurrentAvailablePermits < max;

    private void Use(string who, int max) => _left.AttemptAcquire((who, max)).Dispose();
}
