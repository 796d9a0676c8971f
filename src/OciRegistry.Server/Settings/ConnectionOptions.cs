namespace OciRegistry.Server.Settings;

/// <summary>How many connections are served; in the section <c>Limits</c>, beside the library's limits of requests.</summary>
internal sealed class ConnectionOptions
{
    /// <summary>
    /// Connections at once; more are closed without an answer. By default as many as the memory that the process may use has
    /// room for, one for each 32 KiB (64 KiB where it listens with TLS), and at most half as many as it may open files: --check shows the number.
    /// </summary>
    /// <value>null: what the memory has room for</value>
    [Setting(Min = "1", Max = "10000000")]
    public int? Connections { get; set; }

    /// <summary>
    /// Connections at once from one address (of IPv6, one network of 64 bits, and four times as many from one of 56 bits); more
    /// are closed without an answer. Without it one address can take all of <c>Limits:Connections</c>, and lock out clients that have no
    /// connection yet. Addresses in Proxies are not counted: many clients come from there.
    /// </summary>
    /// <value>null: no limit</value>
    [Setting(Min = "1", Max = "10000000")]
    public int? ConnectionsPerAddress { get; set; }

    internal IEnumerable<string> Problems()
    {
        if (Connections is < 1 or > 10_000_000 || ConnectionsPerAddress is < 1 or > 10_000_000)
        {
            yield return "Limits:Connections and Limits:ConnectionsPerAddress must be from 1 to 10000000. Leave them out for the defaults.";
        }
    }
}
