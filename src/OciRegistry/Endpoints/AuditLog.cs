using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

/// <summary>
/// Who has done what: one line each for logins, denials, pushes and deletes, in the category <c>OciRegistry.Audit</c>. No line has
/// anything that a client made up, but for names that are some subject's or repository's by their form.
/// </summary>
internal sealed partial class AuditLog(ILoggerFactory logs)
{
    private readonly ILogger _log = logs.CreateLogger(AuthFilesService.AuditCategory);

    public void LoggedIn(HttpContext context, Caller caller) =>
        LogLoggedIn(_log, caller.Subject, AddressOf(context), context.TraceIdentifier);

    /// <param name="context">The request.</param>
    /// <param name="account">Null when there is no such account: the name may be a password in the wrong field.</param>
    public void LoginFailed(HttpContext context, Caller? account) =>
        LogLoginFailed(_log, account?.Subject ?? "(no account)", AddressOf(context), context.TraceIdentifier);

    public void LoginBlocked(HttpContext context) => LogLoginBlocked(_log, AddressOf(context), context.TraceIdentifier);

    public void LoginNotVerified(HttpContext context) =>
        LogLoginNotVerified(_log, AddressOf(context), context.TraceIdentifier);

    public void Denied(HttpContext context, string actions, string place) =>
        LogDenied(_log, context.Granted().Caller.Subject, AddressOf(context), actions, place, context.TraceIdentifier);

    public void Pushed(HttpContext context, RepositoryName repository, Digest digest, IEnumerable<string> tags) => LogPushed(
        _log,
        context.Granted().Caller.Subject,
        AddressOf(context),
        repository,
        digest,
        string.Join(",", tags),
        context.TraceIdentifier);

    public void Deleted(HttpContext context, RepositoryName repository, string what) =>
        LogDeleted(_log, context.Granted().Caller.Subject, AddressOf(context), repository, what, context.TraceIdentifier);

    /// <summary>What an operator has done to a robot account.</summary>
    public void RobotChanged(HttpContext context, string robot, string what) =>
        LogRobotChanged(_log, context.Granted().Caller.Subject, AddressOf(context), robot, what, context.TraceIdentifier);

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

    [LoggerMessage(LogLevel.Information, "Delete by {Subject} from {Address} of {What} in {Repository}, request {Request}")]
    private static partial void LogDeleted(
        ILogger logger, string subject, string address, RepositoryName repository, string what, string request);

    [LoggerMessage(LogLevel.Information, "{What} robot {Robot} by {Subject} from {Address}, request {Request}")]
    private static partial void LogRobotChanged(
        ILogger logger, string subject, string address, string robot, string what, string request);
}
