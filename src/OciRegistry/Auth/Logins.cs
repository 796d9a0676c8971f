using System.Net;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>Names and passwords: of users, and of robots.</summary>
internal sealed class Logins(
    AuthFiles files,
    RobotAccounts robots,
    FailedLogins failures,
    IOptions<OciRegistryOptions> options,
    TimeProvider time) : IDisposable
{
    // What was right stays right until the user's line in the file changes, which is looked at each time.
    private static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);

    private readonly ExpiringCache<HtpasswdUser> _verified = new(time, capacity: 20_000);
    private readonly ExpiringCache<string> _seen = new(time, capacity: 20_000); // robots: only for what is told of them

    // bcrypt is meant to be slow: requests that need none must not wait for the processors.
    private readonly SemaphoreSlim _computing = new(Math.Max(1, Environment.ProcessorCount / 2));

    public void Dispose() => _computing.Dispose();

    /// <summary>Who it is. An empty name with an empty password is what clients send for nobody.</summary>
    public async ValueTask<LoginResult> VerifyAsync(
        string name, string password, IPAddress? address, CancellationToken cancellationToken)
    {
        if (name.Length == 0 && password.Length == 0)
        {
            return new LoginResult(LoginOutcome.Ok, Caller.Anonymous);
        }

        var credential = CredentialHash.Of($"{name}\0{password}");
        if (_verified.Find(credential) is { } known && files.Users?.Find(known.Name) == known)
        {
            return Of(known, isNew: false);
        }

        if (failures.TooMany(address))
        {
            return new LoginResult(LoginOutcome.TooManyFailures);
        }

        var started = time.GetTimestamp();
        var result = options.Value.Auth.Robots && name.StartsWith(RobotAccounts.LoginPrefix, StringComparison.Ordinal)
            ? await VerifyRobotAsync(name[RobotAccounts.LoginPrefix.Length..], password, credential, cancellationToken)
            : await VerifyUserAsync(name, password, credential, address, cancellationToken);
        if (result.Outcome == LoginOutcome.Wrong)
        {
            // From the beginning on: how long it took to find out tells whether there is such an account.
            failures.Add(address);
            return result with { Hold = options.Value.Auth.FailedLoginDelay - time.GetElapsedTime(started) };
        }

        return result;
    }

    /// <summary>
    /// The caller of a token as its subject is now: null when it is gone, has another password or secret since, or is of an
    /// issuer that is no longer trusted.
    /// </summary>
    public async ValueTask<Caller?> RecheckAsync(Caller caller, CancellationToken cancellationToken)
    {
        var subject = caller.Subject;
        if (caller.IsAnonymous)
        {
            return caller;
        }

        if (subject.StartsWith(Caller.UserPrefix, StringComparison.Ordinal))
        {
            return files.Users?.Find(subject[Caller.UserPrefix.Length..]) is { } user && user.Credential == caller.Credential
                ? caller
                : null;
        }

        if (subject.StartsWith(Caller.RobotPrefix, StringComparison.Ordinal))
        {
            return options.Value.Auth.Robots
                && await robots.FindAsync(subject[Caller.RobotPrefix.Length..], cancellationToken) is { } robot
                && robot.Credential == caller.Credential
                && !robot.HasExpired(time.GetUtcNow())
                ? caller with { Own = robot.Rule, AccountExpires = robot.Expires }
                : null;
        }

        if (subject.StartsWith(Caller.CertificatePrefix, StringComparison.Ordinal))
        {
            return files.ClientAuthorities is null ? null : caller;
        }

        return options.Value.Auth.Issuers.Any(issuer => subject.StartsWith($"{issuer.Name}:", StringComparison.Ordinal))
            ? caller
            : null;
    }

    private async ValueTask<LoginResult> VerifyUserAsync(
        string name,
        string password,
        CredentialHash credential,
        IPAddress? address,
        CancellationToken cancellationToken)
    {
        if (files.Users is not { } users)
        {
            return new LoginResult(LoginOutcome.Wrong);
        }

        var user = users.Find(name);
        bool isRight;
        await _computing.WaitAsync(cancellationToken);
        try
        {
            // Once more: many may have waited while others failed.
            if (failures.TooMany(address))
            {
                return new LoginResult(LoginOutcome.TooManyFailures);
            }

            var hash = (user ?? users.Nobody).Hash;
            var sent = Htpasswd.PasswordProblem(password) is null ? password : "";
            isRight = await Task.Run(() => BCrypt.Net.BCrypt.Verify(sent, hash), CancellationToken.None) && sent.Length > 0;
        }
        finally
        {
            _computing.Release();
        }

        if (!isRight || user is null)
        {
            return new LoginResult(LoginOutcome.Wrong, user is null ? null : new Caller(Caller.UserPrefix + name));
        }

        _verified.Add(credential, user, time.GetUtcNow() + KeptFor);
        return Of(user, isNew: true);
    }

    private async ValueTask<LoginResult> VerifyRobotAsync(
        string name, string secret, CredentialHash credential, CancellationToken cancellationToken)
    {
        if (await robots.VerifyAsync(name, secret, cancellationToken) is not { } robot)
        {
            var known = await robots.FindAsync(name, cancellationToken);
            return new LoginResult(LoginOutcome.Wrong, known is null ? null : new Caller(known.Subject));
        }

        var isNew = _seen.Find(credential) is null;
        if (isNew)
        {
            _seen.Add(credential, robot.Name, time.GetUtcNow() + KeptFor);
        }

        return new LoginResult(
            LoginOutcome.Ok,
            new Caller(robot.Subject) { Credential = robot.Credential, Own = robot.Rule, AccountExpires = robot.Expires },
            isNew);
    }

    private static LoginResult Of(HtpasswdUser user, bool isNew) => new(
        LoginOutcome.Ok, new Caller(Caller.UserPrefix + user.Name) { Credential = user.Credential }, isNew);
}

internal enum LoginOutcome
{
    Ok,
    Wrong,
    TooManyFailures,
}

/// <param name="Outcome">How it ended.</param>
/// <param name="Caller">Who it is, or whom somebody tried to be; null when there is no such account.</param>
/// <param name="IsNew">Whether this is the first time in a while: what is sent with each request is one login.</param>
/// <param name="Hold">How long to hold the answer back, when it is positive.</param>
internal readonly record struct LoginResult(
    LoginOutcome Outcome, Caller? Caller = null, bool IsNew = false, TimeSpan Hold = default);
