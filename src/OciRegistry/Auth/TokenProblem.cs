using System.Globalization;
using Microsoft.IdentityModel.Tokens;

namespace OciRegistry.Auth;

/// <summary>Why a token is refused, for the audit log: the answer says no more than that it is, for whoever forges one.</summary>
internal sealed class TokenProblem
{
    private const int MaxQuoted = 100;

    public TokenProblem(string reason) => Reason = reason;

    /// <summary>What of it somebody has put into the token is cut, and printable.</summary>
    public string Reason { get; }

    /// <summary>What the client is told; null for nothing.</summary>
    public string? Told { get; private init; }

    public static TokenProblem Expired(DateTimeOffset at, DateTimeOffset now) =>
        new($"it expired at {Text(at)}, and the clock here says {Text(now)}");

    /// <summary>Clients are told: a clock that is wrong, theirs or ours, is found in no other way.</summary>
    public static TokenProblem NotYet(DateTimeOffset from, DateTimeOffset now) =>
        new($"it is not valid before {Text(from)}, and the clock here says {Text(now)}")
        {
            Told = $"The token is not valid before {Text(from)}, and the clock here says {Text(now)}. Correct the clock that is wrong.",
        };

    public static TokenProblem UnknownIssuer(string? issuer) => new($"its issuer {Quoted(issuer)} is unknown");

    public static TokenProblem UnknownKey(string? key) => new($"its key {Quoted(key)} is unknown");

    /// <summary>What the library has found.</summary>
    public static TokenProblem Of(Exception? found, Jwt token, string audience, DateTimeOffset now) => found switch
    {
        SecurityTokenExpiredException when token.Expires is { } at => Expired(at, now),
        SecurityTokenInvalidLifetimeException when token.Expires is { } at && at <= now => Expired(at, now), // and before it began
        SecurityTokenNotYetValidException when token.NotBefore is { } from => NotYet(from, now),
        SecurityTokenNoExpirationException => new("it has no time of expiry"),
        SecurityTokenInvalidAudienceException =>
            new($"its audience {Quoted(string.Join(' ', token.Texts("aud")))} is not {Quoted(audience)}"),
        SecurityTokenInvalidIssuerException => UnknownIssuer(token.Issuer),
        SecurityTokenSignatureKeyNotFoundException => UnknownKey(token.KeyId),
        SecurityTokenInvalidSignatureException => new("its signature is wrong"),
        SecurityTokenInvalidTypeException => new("it is of another type"),
        _ => new($"it cannot be verified ({found?.GetType().Name ?? "no reason"})"), // whose message may have parts of it
    };

    private static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private static string Quoted(string? text) => text is null ? "(none)"
        : $"'{new string([.. text.Take(MaxQuoted).Select(c => c is >= ' ' and <= '~' and not '\'' ? c : '?')])}{(text.Length > MaxQuoted ? "..." : "")}'";
}

/// <param name="Caller">Whose a token is; null when it is refused.</param>
/// <param name="Problem">Why it is refused then.</param>
internal readonly record struct TokenResult(Caller? Caller, TokenProblem? Problem = null)
{
    public static implicit operator TokenResult(Caller caller) => new(caller);

    public static implicit operator TokenResult(TokenProblem problem) => new(null, problem);
}
