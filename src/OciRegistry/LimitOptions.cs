namespace OciRegistry;

/// <summary>
/// How many requests are served, so that nobody takes the registry from the others. More are answered 429 with Retry-After.
/// Some clients (Jib) give up then: limits are for what goes far beyond a busy build. Whoever has used up a part of a limit has
/// all of it again when it is changed.
/// </summary>
public sealed class LimitOptions
{
    /// <summary>Requests that were saved up may come at once: this many seconds' worth.</summary>
    internal const int BurstSeconds = 10;

    /// <summary>
    /// Requests a second of one subject, anonymous being one; ten seconds' worth of them may come at once, more are answered 429.
    /// May change while the registry runs.
    /// </summary>
    /// <value>null: no limit</value>
    [Setting(MayChange = true, Min = "1", Max = "1000000")]
    public int? PerSubject { get; set; }

    /// <summary>
    /// Requests a second from one address (of IPv6, one network of 64 bits, and four times as many from one of 56 bits); ten
    /// seconds' worth may come at once, more are answered 429. May change while the registry runs.
    /// </summary>
    /// <value>null: no limit</value>
    [Setting(MayChange = true, Min = "1", Max = "1000000")]
    public int? PerAddress { get; set; }

    /// <summary>
    /// Bytes of memory for the bodies that clients send and that are held as a whole while they are checked: manifests, forms of the
    /// token service, JSON of the admin API. Each counts four times, for what is made of it. Parts of
    /// the memory are for bodies of up to 16 KiB, for forms, and for manifests that are sent. A body without room for 5 s is rejected with 503 and Retry-After.
    /// </summary>
    /// <value>64 MiB</value>
    [Setting(Min = "4194304", Max = "1073741824")]
    public int BufferedBytes { get; set; } = 64 * 1024 * 1024;

    internal IEnumerable<string> Problems()
    {
        if (BufferedBytes is < 4 * 1024 * 1024 or > 1024 * 1024 * 1024)
        {
            yield return $"Limits:BufferedBytes is {BufferedBytes}. Set it to a number from 4194304 to 1073741824, or leave it out for 67108864.";
        }

        if (PerSubject is < 1 or > 1_000_000 || PerAddress is < 1 or > 1_000_000)
        {
            yield return "Limits:PerSubject and Limits:PerAddress must be from 1 to 1000000. Leave them out for no limit.";
        }
    }
}
