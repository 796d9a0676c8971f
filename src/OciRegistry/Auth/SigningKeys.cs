using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Storage;

namespace OciRegistry.Auth;

/// <summary>
/// The keys that tokens are signed with, the same on all replicas: those of a file, or one document in the storage, which
/// whoever finds a key too old replaces by compare-and-swap.
/// </summary>
/// <remarks>
///   made        a key is written, and not used yet, so that every replica has read it before it sees a token of it
///   signs       after <see cref="Notice"/>, until another one does
///   retired     verifies until the last of its tokens is dead: that of a refresh, or of an upload that it has started
///   forgotten   with the next key that is made
/// </remarks>
internal sealed partial class SigningKeys(
    IDocumentStore documents,
    AuthFiles files,
    IOptions<OciRegistryOptions> options,
    StoreClock clock,
    TimeProvider time,
    ILogger<SigningKeys> log) : IDisposable
{
    /// <summary>How long an upload may go on with the token that it was started with.</summary>
    internal static readonly TimeSpan UploadGrace = TimeSpan.FromHours(24);

    internal static readonly TimeSpan Notice = TimeSpan.FromMinutes(5);
    internal static readonly TimeSpan Freshness = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LeastFreshness = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _reading = new(1);
    private volatile Read? _read;

    private TokenOptions Options => options.Value.Auth.Tokens;

    public void Dispose() => _reading.Dispose();

    /// <summary>The key to sign with now.</summary>
    public async ValueTask<SigningKey> CurrentAsync(CancellationToken cancellationToken)
    {
        if (files.SigningKeys is { } fixedKeys)
        {
            return fixedKeys[0];
        }

        var now = clock.Now;
        var keys = await ReadAsync(Freshness, cancellationToken);
        if (keys.Count == 0 || (now - keys[^1].SignsFrom > Options.RotateEvery && !HasJustFailed(_read)))
        {
            try
            {
                keys = await RotateAsync(cancellationToken);
            }
            catch (StorageException e) when (keys.Count > 0)
            {
                // A storage that is full can still be pulled from, with tokens of the former key.
                _read = _read! with { Failed = time.GetTimestamp() };
                LogNotMade(log, e);
            }
        }

        return keys.LastOrDefault(key => key.SignsFrom <= now) ?? keys[0];
    }

    /// <summary>The key of this id, when what it has signed may still be good; else null.</summary>
    public async ValueTask<SigningKey?> FindAsync(string id, CancellationToken cancellationToken)
    {
        if (files.SigningKeys is { } fixedKeys)
        {
            return fixedKeys.FirstOrDefault(key => key.Id == id);
        }

        // One that is not known may have been made a moment ago; but not with each token that somebody makes up.
        return Find(await ReadAsync(Freshness, cancellationToken))
            ?? Find(await ReadAsync(LeastFreshness, cancellationToken));

        SigningKey? Find(IReadOnlyList<SigningKey> keys) => keys.FirstOrDefault(key => key.Id == id);
    }

    /// <summary>All keys that verify, and those that will sign soon.</summary>
    public async ValueTask<IReadOnlyList<SigningKey>> AllAsync(CancellationToken cancellationToken) =>
        files.SigningKeys ?? await ReadAsync(Freshness, cancellationToken);

    private async ValueTask<IReadOnlyList<SigningKey>> ReadAsync(TimeSpan freshness, CancellationToken cancellationToken)
    {
        if (IsFresh(_read))
        {
            return Living(_read!.Keys);
        }

        await _reading.WaitAsync(cancellationToken);
        try
        {
            if (!IsFresh(_read))
            {
                _read = await ReadAsync(cancellationToken);
            }
        }
        catch (StorageException e) when (_read is { Keys.Count: > 0 })
        {
            // What was read before is still true.
            _read = _read with { Failed = time.GetTimestamp() };
            LogNotRead(log, e);
        }
        finally
        {
            _reading.Release();
        }

        return Living(_read!.Keys);

        bool IsFresh(Read? read) =>
            read is not null && (time.GetElapsedTime(read.At) < freshness || HasJustFailed(read));
    }

    private bool HasJustFailed(Read? read) => read?.Failed is { } failed && time.GetElapsedTime(failed) < LeastFreshness;

    private async ValueTask<Read> ReadAsync(CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        var document = await documents.ReadAsync(RegistryLayout.SigningKeys, cancellationToken);
        if (document is null)
        {
            return new Read([], null, now);
        }

        try
        {
            var stored = JsonSerializer.Deserialize(document.Content.Span, SigningKeysJson.Default.StoredKeys)?.Keys;
            if (stored is null || stored.Contains(null!))
            {
                throw new JsonException("It has no keys.");
            }

            var keys = stored.Select(key => _read?.Keys.FirstOrDefault(known => known.Id == key.Id)
                ?? SigningKey.FromPkcs8(key.Pkcs8, key.SignsFrom));
            return new Read([.. keys], document.Version, now);
        }
        catch (Exception e) when (e is JsonException or CryptographicException)
        {
            throw new StorageException("The document with the signing keys is damaged. Delete it, and new ones are made.", e);
        }
    }

    /// <summary>Those whose tokens may still be good; the last is the newest.</summary>
    private IReadOnlyList<SigningKey> Living(IReadOnlyList<SigningKey> keys) => Living(keys, clock.Now);

    private IReadOnlyList<SigningKey> Living(IReadOnlyList<SigningKey> keys, DateTimeOffset now)
    {
        var longest = Options.RefreshLifetime > UploadGrace + TokenOptions.MaxLifetime
            ? Options.RefreshLifetime
            : UploadGrace + TokenOptions.MaxLifetime;
        var dead = 0;
        while (dead + 1 < keys.Count && keys[dead + 1].SignsFrom + longest < now)
        {
            dead++;
        }

        return dead == 0 ? keys : [.. keys.Skip(dead)];
    }

    private async ValueTask<IReadOnlyList<SigningKey>> RotateAsync(CancellationToken cancellationToken)
    {
        var now = await clock.MeasureAsync(cancellationToken); // it removes keys that replicas with other clocks may need
        while (true)
        {
            var read = await ReadAsync(cancellationToken);
            if (read.Keys.Count > 0 && now - read.Keys[^1].SignsFrom <= Options.RotateEvery)
            {
                _read = read; // somebody else has made one
                return Living(read.Keys, now);
            }

            // Without any, nobody can have a token of another one: the first signs at once.
            var made = SigningKey.Create(read.Keys.Count == 0 ? now : now + Notice);
            SigningKey[] keys = [.. Living(read.Keys, now), made];
            var content = JsonSerializer.SerializeToUtf8Bytes(
                new StoredKeys([.. keys.Select(key => new StoredKey(key.Id, key.SignsFrom, key.ToPkcs8()))]),
                SigningKeysJson.Default.StoredKeys);
            var condition = read.Version is { } version ? WriteCondition.Unchanged(version) : WriteCondition.Absent;
            if (await documents.WriteAsync(
                    RegistryLayout.SigningKeys, content, condition, Durability.Synced, cancellationToken) is { } written)
            {
                _read = new Read(keys, written, time.GetTimestamp());
                LogMade(log, made.Id, made.SignsFrom);
                return keys;
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "Made the signing key {Key}, which signs tokens from {SignsFrom:u} on.")]
    private static partial void LogMade(ILogger logger, string key, DateTimeOffset signsFrom);

    [LoggerMessage(LogLevel.Warning, "The signing keys cannot be read again; those that were read before go on to be used.")]
    private static partial void LogNotRead(ILogger logger, Exception exception);

    [LoggerMessage(LogLevel.Warning, "A new signing key cannot be written; the former one goes on to sign.")]
    private static partial void LogNotMade(ILogger logger, Exception exception);

    /// <param name="Keys">The oldest first.</param>
    /// <param name="Version">The document's; null when there is none.</param>
    /// <param name="At">When it was read, by the monotonic clock.</param>
    /// <param name="Failed">When the storage failed since: it is let alone for a moment.</param>
    private sealed record Read(
        IReadOnlyList<SigningKey> Keys, string? Version, long At, long? Failed = null);
}

/// <summary>
/// Makes the first key before anybody asks for a token: a replica that has just seen that there is none would take the first
/// token of another one for a forged one, for as long as it does not look again.
/// </summary>
internal sealed partial class SigningKeysService(
    SigningKeys keys, IOptions<OciRegistryOptions> options, ILogger<SigningKeysService> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            if (options.Value.Auth.IssuesTokens)
            {
                await keys.CurrentAsync(stoppingToken);
            }
        }
        catch (StorageException e)
        {
            LogNotMade(log, e);
        }
    }

    [LoggerMessage(LogLevel.Warning, "There is no signing key yet; the first request for a token tries again to make one.")]
    private static partial void LogNotMade(ILogger logger, Exception exception);
}

/// <summary>The document of the signing keys: the oldest first.</summary>
internal sealed record StoredKeys(IReadOnlyList<StoredKey> Keys);

internal sealed record StoredKey(string Id, DateTimeOffset SignsFrom, byte[] Pkcs8);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StoredKeys))]
internal sealed partial class SigningKeysJson : JsonSerializerContext;
