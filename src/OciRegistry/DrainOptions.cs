namespace OciRegistry;

/// <summary>How the registry ends, when it is told to: no request that runs is cut off before its time.</summary>
public sealed class DrainOptions
{
    internal static readonly TimeSpan MaxAnnounce = TimeSpan.FromMinutes(5);
    internal static readonly TimeSpan MaxDeadline = TimeSpan.FromHours(1);

    /// <summary>
    /// How long new requests are still accepted, while <c>/readyz</c> already says 503: until every balancer in front has
    /// noticed. Their connections are closed behind each answer.
    /// </summary>
    /// <value>0: nothing is accepted from then on</value>
    [Setting(Min = "00:00:00", Max = "00:05:00")]
    public TimeSpan Announce { get; set; }

    /// <summary>
    /// How long requests that run may go on after that. Then what has arrived of an upload is recorded, and its connection is
    /// reset: its client goes on elsewhere. The host must wait for a few seconds more: <c>HostOptions.ShutdownTimeout</c> of an
    /// application, the grace period of an orchestrator.
    /// </summary>
    /// <value>20 s</value>
    [Setting(Min = "00:00:00", Max = "01:00:00")]
    public TimeSpan Deadline { get; set; } = TimeSpan.FromSeconds(20);

    internal IEnumerable<string> Problems()
    {
        if (Announce < TimeSpan.Zero || Announce > MaxAnnounce)
        {
            yield return $"Drain:Announce is {Announce}. Set it to a time from 00:00:00 to {MaxAnnounce}.";
        }

        if (Deadline < TimeSpan.Zero || Deadline > MaxDeadline)
        {
            yield return $"Drain:Deadline is {Deadline}. Set it to a time from 00:00:00 to {MaxDeadline}.";
        }
    }
}
