using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

/// <summary>
/// Who has done what: one line each for logins, refused tokens, denials, pushes and deletes, in the category
/// <c>OciRegistry.Audit</c>; for pulls where that is asked for. No line has anything that a client made up, but for names that are
/// some subject's or repository's by their form, and what a refused token claims, cut and printable.
/// </summary>
internal sealed partial class AuditLog(ILoggerFactory logs, IOptions<OciRegistryOptions> options)
{
    private const string DigestHeader = "Docker-Content-Digest";

    // Of a request that came before a change of the settings the next one makes others: both are right.
    private volatile AuditedPulls _audited = new([], []);
    private readonly ILogger _log = logs.CreateLogger(AuthFilesService.AuditCategory);

    public void LoggedIn(HttpContext context, Caller caller) =>
        LogLoggedIn(_log, caller.Subject, AddressOf(context), context.TraceIdentifier);

    /// <param name="context">The request.</param>
    /// <param name="account">Null when there is no such account: the name may be a password in the wrong field.</param>
    public void LoginFailed(HttpContext context, Caller? account) =>
        LogLoginFailed(_log, account?.Subject ?? "(no account)", AddressOf(context), context.TraceIdentifier);

    public void TokenRefused(HttpContext context, TokenProblem problem) =>
        TokenRefused(context, LogLevel.Warning, problem);

    /// <summary>A good token that has ended: clients get a new one, again and again.</summary>
    public void TokenExpired(HttpContext context, Caller caller, DateTimeOffset now) =>
        TokenRefused(context, LogLevel.Information, TokenProblem.Expired(caller.Expires!.Value, now));

    public void LoginBlocked(HttpContext context) => LogLoginBlocked(_log, AddressOf(context), context.TraceIdentifier);

    public void LoginNotVerified(HttpContext context) =>
        LogLoginNotVerified(_log, AddressOf(context), context.TraceIdentifier);

    public void Denied(HttpContext context, string actions, string place) =>
        LogDenied(_log, context.Granted().Caller.Subject, AddressOf(context), actions, place, context.TraceIdentifier);

    /// <summary>Whether pushes and deletes are logged, so that what a push changes is worth looking up.</summary>
    public bool IsOfChanges => _log.IsEnabled(LogLevel.Information);

    /// <param name="context">The request.</param>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What was pushed.</param>
    /// <param name="tags">What the tags named before.</param>
    public void Pushed(HttpContext context, RepositoryName repository, Digest digest, IEnumerable<TagBefore> tags) => LogPushed(
        _log,
        context.Granted().Caller.Subject,
        AddressOf(context),
        repository,
        digest,
        string.Join(", ", tags.Select(tag => tag.Became(digest))),
        context.TraceIdentifier);

    /// <param name="context">The request.</param>
    /// <param name="repository">Where.</param>
    /// <param name="what">A tag or a digest.</param>
    /// <param name="tags">The tags that were deleted, with what they named.</param>
    public void Deleted(HttpContext context, RepositoryName repository, string what, IEnumerable<TagBefore> tags) => LogDeleted(
        _log,
        context.Granted().Caller.Subject,
        AddressOf(context),
        repository,
        what,
        string.Join(", ", tags.Select(tag => tag.Became(null))),
        context.TraceIdentifier);

    /// <summary>What a delete has broken: <see cref="DeleteOptions.Referenced"/>.</summary>
    public void Broken(HttpContext context, RepositoryName repository, Reference what, string broken) => LogBroken(
        _log, context.Granted().Caller.Subject, AddressOf(context), repository, what, broken, context.TraceIdentifier);

    /// <summary>Content that was sent, of a repository whose pulls are audited: <see cref="AuthOptions.AuditPulls"/>.</summary>
    public void Pulled(HttpContext context, RepositoryName repository)
    {
        var patterns = options.Value.Auth.AuditPulls;
        if (patterns.Count == 0 || !IsPull(context.Response) || !IsAudited(patterns, repository.ToString()))
        {
            return;
        }

        var path = context.Request.Path.Value!;
        LogPulled(
            _log,
            context.Granted().Caller.Subject,
            AddressOf(context),
            repository,
            path[(path.LastIndexOf('/') + 1)..], // a tag or a digest, for there was one
            context.Response.Headers[DigestHeader].ToString(),
            context.TraceIdentifier);
    }

    /// <summary>What an operator has done to a robot account.</summary>
    public void RobotChanged(HttpContext context, string robot, string what) =>
        LogRobotChanged(_log, context.Granted().Caller.Subject, AddressOf(context), robot, what, context.TraceIdentifier);

    private void TokenRefused(HttpContext context, LogLevel level, TokenProblem problem)
    {
        var (address, reason) = (AddressOf(context), problem.Reason);
        LogTokenRefused(_log, level, address, reason, context.TraceIdentifier);
    }

    // Manifests and blobs have a digest; lists have none.
    private static bool IsPull(HttpResponse response) =>
        response.StatusCode is StatusCodes.Status200OK or StatusCodes.Status206PartialContent
        && response.Headers.ContainsKey(DigestHeader);

    private bool IsAudited(IList<string> patterns, string repository)
    {
        var known = _audited;
        if (known.Texts != patterns)
        {
            _audited = known = new AuditedPulls(patterns, [.. patterns.Select(pattern => new NamePattern(pattern))]);
        }

        return Array.Exists(known.Patterns, pattern => pattern.Matches(repository));
    }

    private static string AddressOf(HttpContext context) => context.Connection.RemoteIpAddress?.ToString() ?? "local";

    [LoggerMessage(LogLevel.Information, "Login of {Subject} from {Address}, request {Request}")]
    private static partial void LogLoggedIn(ILogger logger, string subject, string address, string request);

    [LoggerMessage(LogLevel.Warning, "Failed login of {Subject} from {Address}, request {Request}")]
    private static partial void LogLoginFailed(ILogger logger, string subject, string address, string request);

    [LoggerMessage(LogLevel.Warning, "Login not looked at, too many have failed from {Address}, request {Request}")]
    private static partial void LogLoginBlocked(ILogger logger, string address, string request);

    [LoggerMessage(LogLevel.Warning, "Login from {Address} not verified, too many others wait, request {Request}")]
    private static partial void LogLoginNotVerified(ILogger logger, string address, string request);

    [LoggerMessage(LogLevel.Warning, "Denied {Subject} from {Address} to {Actions} in {Repository}, request {Request}")]
    private static partial void LogDenied(
        ILogger logger, string subject, string address, string actions, string repository, string request);

    [LoggerMessage(LogLevel.Information, "Push by {Subject} from {Address} of {Repository}@{Digest} tags [{Tags}], request {Request}")]
    private static partial void LogPushed(
        ILogger logger, string subject, string address, RepositoryName repository, Digest digest, string tags, string request);

    [LoggerMessage(LogLevel.Information, "Delete by {Subject} from {Address} of {Repository} {What} tags [{Tags}], request {Request}")]
    private static partial void LogDeleted(
        ILogger logger, string subject, string address, RepositoryName repository, string what, string tags, string request);

    [LoggerMessage(LogLevel.Warning, "Delete by {Subject} from {Address} of {Repository}@{What} broke [{Broken}], request {Request}")]
    private static partial void LogBroken(
        ILogger logger, string subject, string address, RepositoryName repository, Reference what, string broken, string request);

    [LoggerMessage(LogLevel.Information, "Pull by {Subject} from {Address} of {Repository} {Reference} {Digest}, request {Request}")]
    private static partial void LogPulled(
        ILogger logger, string subject, string address, RepositoryName repository, string reference, string digest, string request);

    [LoggerMessage("Token refused from {Address}: {Reason}, request {Request}")]
    private static partial void LogTokenRefused(ILogger logger, LogLevel level, string address, string reason, string request);

    [LoggerMessage(LogLevel.Information, "{What} robot {Robot} by {Subject} from {Address}, request {Request}")]
    private static partial void LogRobotChanged(
        ILogger logger, string subject, string address, string robot, string what, string request);

    private sealed record AuditedPulls(IList<string> Texts, NamePattern[] Patterns);
}

/// <summary>What a tag named before a push or a delete began.</summary>
/// <param name="Tag">Which.</param>
/// <param name="Digest">Null when there was no such tag.</param>
/// <param name="IsKnown">Whether it could be read.</param>
internal readonly record struct TagBefore(Tag Tag, Digest? Digest, bool IsKnown = true)
{
    private const string None = "none";

    /// <summary>As the audit log has it: <c>v1: sha256:... -> none</c>.</summary>
    public string Became(Digest? digest) =>
        $"{Tag}: {(IsKnown ? Digest?.ToString() ?? None : "unknown")} -> {digest?.ToString() ?? None}";
}
