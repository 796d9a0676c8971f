namespace OciRegistry.PullThrough;

/// <summary>The account of this registry at an upstream: name and password, a refresh token, or a token. Without any it is anonymous.</summary>
internal sealed record UpstreamAccount(string? Username, string? Password, string? RefreshToken, string? Token)
{
    public bool IsAnonymous => Username is null && RefreshToken is null && Token is null;

    /// <summary>Without secrets: records are logged as text.</summary>
    public override string ToString() => Username ?? (IsAnonymous ? "anonymous" : "token");
}

/// <summary>There is no account to show to the upstream; the message is for the client and has no secrets.</summary>
internal sealed class UpstreamAccountException(string message) : Exception(message);
