using System.Net;
using Microsoft.Extensions.Options;

namespace OciRegistry.Auth;

/// <summary>Names and passwords: of users, and of robots.</summary>
internal sealed class Logins(
    AuthFiles files,
    RobotAccounts robots,
    FailedLogins failures,
    LoginQueue queue,
    IOptions<OciRegistryOptions> options,
    TimeProvider time)
{
    // What was right stays right until the user's line in the file changes, which is looked at each time.
    private static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);
    private static readonly TimeSpan HereFor = TimeSpan.FromDays(30);

    private readonly ExpiringCache<Verified> _verified = new(time, capacity: 20_000);
    private readonly ExpiringCache<string> _seen = new(time, capacity: 20_000); // robots: only for what is told of them

    // Who has logged in from where: a name and a network.
    private readonly ExpiringCache<string> _here = new(time, capacity: 20_000);

    /// <summary>Who it is. An empty name with an empty password is what clients send for nobody.</summary>
    public async ValueTask<LoginResult> VerifyAsync(
        string name, string password, IPAddress? address, CancellationToken cancellationToken)
    {
        if (name.Length == 0 && password.Length == 0)
        {
            return new LoginResult(LoginOutcome.Ok, Caller.Anonymous);
        }

        var credential = CredentialHash.Of($"{name}\0{password}");
        if (_verified.Find(credential) is { } known && files.Users?.Find(known.User.Name) == known.User)
        {
            NoteFrom(known, address);
            return Of(known.User, isNew: false);
        }

        if (_seen.Find(credential) is null && IsBlocked(name, address))
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
            if (WasHere(name, address))
            {
                failures.Add(address, name);
            }

            return result with { Hold = options.Value.Auth.FailedLoginDelay - time.GetElapsedTime(started) };
        }

        if (result.IsNew)
        {
            NoteHere(name, address);
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

    // Others behind the same address, whose guesses are too many, do not shut out who has logged in from there before.
    private bool IsBlocked(string name, IPAddress? address) =>
        failures.TooMany(address) && (!WasHere(name, address) || failures.TooMany(address, name));

    private bool WasHere(string name, IPAddress? address) => _here.Find(PlaceOf(name, address)) is not null;

    private void NoteHere(string name, IPAddress? address) =>
        _here.Add(PlaceOf(name, address), name, time.GetUtcNow() + HereFor);

    // With each request: the one address of a client costs no more than a comparison.
    private void NoteFrom(Verified known, IPAddress? address)
    {
        if (!Equals(known.From, address))
        {
            known.From = address;
            NoteHere(known.User.Name, address);
        }
    }

    private static CredentialHash PlaceOf(string name, IPAddress? address) =>
        CredentialHash.Of($"{name}\0{ClientNetwork.Of(address).Widest}");

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
        if (!await queue.EnterAsync(address, cancellationToken))
        {
            return new LoginResult(LoginOutcome.TooManyWaiting);
        }

        try
        {
            // Once more: many may have waited while others failed, or while another request found that it is right.
            if (_verified.Find(credential) is { } known && known.User == user)
            {
                return Of(known.User, isNew: false);
            }

            if (IsBlocked(name, address))
            {
                return new LoginResult(LoginOutcome.TooManyFailures);
            }

            var hash = (user ?? users.Nobody).Hash;
            var sent = Htpasswd.PasswordProblem(password) is null ? password : "";
            isRight = await Task.Run(() => BCrypt.Net.BCrypt.Verify(sent, hash), CancellationToken.None) && sent.Length > 0;
        }
        finally
        {
            queue.Leave();
        }

        if (!isRight || user is null)
        {
            return new LoginResult(LoginOutcome.Wrong, user is null ? null : new Caller(Caller.UserPrefix + name));
        }

        _verified.Add(credential, new Verified(user) { From = address }, time.GetUtcNow() + KeptFor);
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

    /// <summary>A user whose password was right.</summary>
    private sealed class Verified(HtpasswdUser user)
    {
        public HtpasswdUser User => user;

        /// <summary>Where the last request came from.</summary>
        public IPAddress? From { get; set; }
    }

    private static LoginResult Of(HtpasswdUser user, bool isNew) => new(
        LoginOutcome.Ok, new Caller(Caller.UserPrefix + user.Name) { Credential = user.Credential }, isNew);
}

internal enum LoginOutcome
{
    Ok,
    Wrong,
    TooManyFailures,

    /// <summary>Too many others wait for theirs to be verified.</summary>
    TooManyWaiting,
}

/// <param name="Outcome">How it ended.</param>
/// <param name="Caller">Who it is, or whom somebody tried to be; null when there is no such account.</param>
/// <param name="IsNew">Whether this is the first time in a while: what is sent with each request is one login.</param>
/// <param name="Hold">How long to hold the answer back, when it is positive.</param>
internal readonly record struct LoginResult(
    LoginOutcome Outcome, Caller? Caller = null, bool IsNew = false, TimeSpan Hold = default);
