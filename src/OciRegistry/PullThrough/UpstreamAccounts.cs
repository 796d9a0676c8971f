namespace OciRegistry.PullThrough;

/// <summary>The account at one upstream as it is now: of the settings, of files that are watched, or of a credential helper.</summary>
internal sealed class UpstreamAccounts
{
    private readonly UpstreamOptions _options;
    private readonly Func<UpstreamOptions> _current;
    private readonly WatchedFile<string>? _file;
    private readonly CredentialProgram? _helper;
    private volatile Built? _built;

    /// <param name="options">Of the upstream.</param>
    /// <param name="current">Its options as they are now: account and password may change while the registry runs.</param>
    /// <param name="time">For the life of what a credential helper says.</param>
    /// <exception cref="UnusableFileException">The file of the password or token cannot be used.</exception>
    public UpstreamAccounts(UpstreamOptions options, Func<UpstreamOptions> current, TimeProvider time)
    {
        (_options, _current) = (options, current);
        _file = options.TokenFile is { } token ? SecretFile.OpenToken(token)
            : options.PasswordFile is { } password ? SecretFile.Open(password)
            : null;
        _helper = options.CredentialHelper is null ? null : new CredentialProgram(options, time);
    }

    /// <summary>Whether there may be another account after a refusal at once, without a change of files or settings.</summary>
    public bool IsRenewable => _helper is not null;

    /// <summary>The account; other than the rejected one where a credential helper has another.</summary>
    /// <exception cref="UpstreamAccountException">The credential helper has failed.</exception>
    public ValueTask<UpstreamAccount> GetAsync(UpstreamAccount? rejected, CancellationToken cancellationToken)
    {
        if (_helper is not null)
        {
            return _helper.GetAsync(rejected, cancellationToken);
        }

        var (now, secret) = (_current(), _file?.Value);
        if (_built is not { } built || built.Of != now || built.Secret != secret)
        {
            var account = new UpstreamAccount(
                now.Username,
                _options.PasswordFile is null ? now.Password : secret,
                now.RefreshToken,
                _options.TokenFile is null ? now.Token : secret);
            _built = built = new Built(now, secret, account);
        }

        return new(built.Account);
    }

    /// <summary>Reads the file once more; its path when it has changed. One caller at a time.</summary>
    /// <exception cref="UnusableFileException">It cannot be used, which is said once: the secret stays what it was.</exception>
    public string? Refresh() => _file?.Refresh() == true ? _file.Path : null;

    private sealed record Built(UpstreamOptions Of, string? Secret, UpstreamAccount Account);
}
