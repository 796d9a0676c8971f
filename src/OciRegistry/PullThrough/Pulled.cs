namespace OciRegistry.PullThrough;

/// <summary>What was asked for, or what to answer instead.</summary>
/// <param name="Value">What was asked for; null when there is an error.</param>
/// <param name="Error">Why there is none; null when there is.</param>
/// <param name="RetryAfter">When to ask again; null where that is no help.</param>
internal readonly record struct Pulled<T>(T? Value, OciError? Error, TimeSpan? RetryAfter = null)
    where T : class
{
    public static Pulled<T> Of(T value) => new(value, null);

    public static Pulled<T> Failed(OciError error) => new(null, error);
}

/// <summary>Why an upstream did not give what it was asked for.</summary>
internal sealed record UpstreamFailure(UpstreamOutcome Outcome, string Problem, TimeSpan? RetryAfter)
{
    /// <summary>It did not have it a moment ago.</summary>
    public static UpstreamFailure Unknown { get; } = new(UpstreamOutcome.Unknown, "", null);

    public static UpstreamFailure Of(UpstreamAnswer answer) =>
        new(answer.Outcome, answer.Problem ?? "", answer.RetryAfter) { IsAccountRefused = answer.IsAccountRefused };

    /// <summary>Whether it is a matter of this registry's account there.</summary>
    public bool IsAccountRefused { get; private init; }

    /// <summary>The upstream has answered, but not with what it was asked for.</summary>
    /// <param name="upstream">Which.</param>
    /// <param name="what">What it does, as in "breaks off".</param>
    public static UpstreamFailure Wrong(Upstream upstream, string what) =>
        Here($"The upstream '{upstream.Options.Prefix}' {what}");

    /// <summary>It is not the upstream's fault.</summary>
    public static UpstreamFailure Here(string problem) => new(UpstreamOutcome.Down, problem, null);

    /// <summary>What a client is told.</summary>
    public Pulled<T> For<T>(OciError unknown)
        where T : class => Outcome switch
        {
            UpstreamOutcome.Unknown => new(null, unknown),
            UpstreamOutcome.Denied when IsAccountRefused => new(null, OciError.Denied(
                $"The upstream refused the account of this registry. Ask its operator to renew the credentials. {Problem}")),
            UpstreamOutcome.Denied => new(null, OciError.Denied(
                $"Where the content comes from it does not exist, or may not be pulled by this registry. {Problem}")),
            UpstreamOutcome.Limited => new(
                null,
                OciError.TooManyRequests($"This registry does not have the content yet, and may not fetch it for now. {Problem}"),
                RetryAfter ?? TimeSpan.FromSeconds(30)),
            _ => new(
                null,
                OciError.Unavailable($"This registry does not have the content yet, and could not fetch it. {Problem}"),
                RetryAfter ?? TimeSpan.FromSeconds(5)),
        };
}
