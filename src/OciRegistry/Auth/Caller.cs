namespace OciRegistry.Auth;

/// <summary>Who sends a request.</summary>
/// <param name="Subject">A stable id, the same whichever way it was proved: <c>user:alice</c>, or <c>anonymous</c>.</param>
internal sealed record Caller(string Subject)
{
    public const string AnonymousSubject = "anonymous";
    public const string UserPrefix = "user:";
    public const string RobotPrefix = "robot:";
    public const string CertificatePrefix = "cert:";

    /// <summary>What the common name of a certificate begins with, after <see cref="CertificatePrefix"/>; no URI does.</summary>
    public const string CommonNamePrefix = "cn:";

    public static Caller Anonymous { get; } = new(AnonymousSubject);

    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>What it may do beside what the policies say: a robot's own policy.</summary>
    public PolicyRule? Own { get; init; }

    /// <summary>What its token is limited to; null when it has none, or one that limits nothing.</summary>
    public IReadOnlyList<Scope>? Scopes { get; init; }

    /// <summary>When its token ends; null when it has none.</summary>
    public DateTimeOffset? Expires { get; init; }

    /// <summary>When its account ends: a robot's; null when it does not.</summary>
    public DateTimeOffset? AccountExpires { get; init; }

    /// <summary>
    /// Which secret it has proved to know, for users and robots: a token dies when that is changed. Tells nothing of it.
    /// </summary>
    public string? Credential { get; init; }

    public bool IsAnonymous => Subject == AnonymousSubject;

    /// <summary>The subject that an operator means: <c>alice</c> is short for <c>user:alice</c>.</summary>
    public static string SubjectOf(string text) =>
        text == AnonymousSubject || text.Contains(':', StringComparison.Ordinal) ? text : UserPrefix + text;
}
