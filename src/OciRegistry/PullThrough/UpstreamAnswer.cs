namespace OciRegistry.PullThrough;

/// <summary>What an upstream's answer means, or that there was none.</summary>
internal enum UpstreamOutcome
{
    /// <summary>2xx, or 304 to a condition: the answer's body is open.</summary>
    Found,

    /// <summary>404 or 410: there is no such thing, which is the one answer that proves a cache wrong.</summary>
    Unknown,

    /// <summary>401 or 403: the upstream does not let us; nothing is concluded from it.</summary>
    Denied,

    /// <summary>429: too many requests.</summary>
    Limited,

    /// <summary>No answer, or one that says nothing: 5xx, a time-out, TLS, DNS, a redirect or realm that is not followed.</summary>
    Down,
}

/// <summary>An upstream's answer to one request.</summary>
internal sealed class UpstreamAnswer : IDisposable
{
    public required UpstreamOutcome Outcome { get; init; }

    /// <summary>Its head, and its body to be read, when <see cref="UpstreamOutcome.Found"/>; else null.</summary>
    public HttpResponseMessage? Response { get; init; }

    /// <summary>Its status; null when there was no answer, or it was not asked.</summary>
    public int? Status { get; init; }

    /// <summary>
    /// Whether it is an answer to a HEAD that says nothing of a GET: the server, or a proxy before it, has no HEAD there.
    /// </summary>
    public bool IsOfHeadAlone => Status is 400 or 405 or 501;

    /// <summary>Whether the upstream refused this registry's account, or there is none to show: nothing that the client can change.</summary>
    public bool IsAccountRefused { get; init; }

    /// <summary>What is wrong, in a sentence for whoever asked; without credentials. Null when found.</summary>
    public string? Problem { get; init; }

    /// <summary>How long the upstream is left alone; null when it is not.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>Whether the upstream itself is at fault: no answer, or one of a broken server. So many in a row open the breaker.</summary>
    public bool IsFailure { get; init; }

    public void Dispose() => Response?.Dispose();
}
