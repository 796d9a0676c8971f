using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;

namespace OciRegistry.Auth;

/// <summary>What a provider says of itself: its name and its keys.</summary>
/// <remarks>
/// The library's own manager renews the keys while a request goes on with the former ones, so that the first token that is
/// signed with a new key fails. Here whoever has such a token waits for the new keys, and nobody else does. However many
/// tokens somebody makes up, the provider is asked once in <see cref="LeastFreshness"/>.
/// </remarks>
internal sealed partial class IssuerConfiguration(
    IssuerOptions issuer, IDocumentRetriever documents, TimeProvider time, ILogger<IssuerConfiguration> log)
    : IConfigurationManager<OpenIdConnectConfiguration>
{
    /// <summary>After so long a key does not count any more that the provider has withdrawn.</summary>
    internal static readonly TimeSpan Freshness = TimeSpan.FromHours(1);

    internal static readonly TimeSpan LeastFreshness = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private volatile OpenIdConnectConfiguration? _known;
    private Task _reading = Task.CompletedTask;
    private DateTimeOffset? _asked;
    private long? _read; // the time that a clock on the wall cannot turn back
    private volatile bool _isFailing;

    /// <summary>Since the keys were read; null before the first time.</summary>
    public TimeSpan? Age
    {
        get
        {
            lock (_lock)
            {
                return _read is { } read ? time.GetElapsedTime(read) : null;
            }
        }
    }

    /// <summary>Whether they could not be read the last time. They are read for a token that comes when they are old, not by themselves.</summary>
    public bool IsFailing => _isFailing;

    /// <exception cref="IssuerDownException">The provider has never answered.</exception>
    public async Task<OpenIdConnectConfiguration> GetConfigurationAsync(CancellationToken cancel)
    {
        var reading = ReadAsync(_known is null ? LeastFreshness : Freshness);
        if (_known is null)
        {
            await reading.WaitAsync(cancel);
        }

        return _known ?? throw new IssuerDownException(issuer.Name);
    }

    /// <summary>For a token with a key that is not known: asks the provider whether there are others since.</summary>
    public Task RefreshAsync(CancellationToken cancellationToken) => ReadAsync(LeastFreshness).WaitAsync(cancellationToken);

    // The handler cannot wait for it.
    public void RequestRefresh()
    {
    }

    private Task ReadAsync(TimeSpan freshness)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            if (_reading.IsCompleted && !(now - _asked < freshness))
            {
                _asked = now;
                _reading = Task.Run(ReadAsync);
            }

            return _reading;
        }
    }

    // For all who wait, whichever of them goes away; the retriever's client has a time-out.
    private async Task ReadAsync()
    {
        try
        {
            var read = await OpenIdConnectConfigurationRetriever.GetAsync(
                $"{issuer.Authority.TrimEnd('/')}/.well-known/openid-configuration", documents, CancellationToken.None);
            if (string.IsNullOrEmpty(read.Issuer) || read.SigningKeys.Count == 0)
            {
                throw new InvalidDataException("The answer names no issuer, or no keys.");
            }

            _known = read;
            _isFailing = false;
            lock (_lock)
            {
                _read = time.GetTimestamp();
            }
        }
        catch (Exception e) // whatever the library makes of whatever the provider answers
        {
            _isFailing = true;
            LogNotRead(log, issuer.Name, issuer.Authority, e);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The keys of the issuer '{Issuer}' cannot be read from {Authority}; those that were read before go on to be used.")]
    private static partial void LogNotRead(ILogger logger, string issuer, string authority, Exception exception);
}

/// <summary>A provider's keys have never been read, so none of its tokens can be verified now.</summary>
internal sealed class IssuerDownException(string issuer) : Exception(
    $"The issuer '{issuer}' does not answer, so that its tokens cannot be verified. Try again in a few seconds.");
