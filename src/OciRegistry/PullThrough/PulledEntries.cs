using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// What was pulled through, and when it was last asked for: one document each, beside the content, which is stored like any
/// other. Content without such a document was pushed, and is never removed. So is content of which a second document says
/// that it was pushed: a fetch that was under way may have noted it since.
/// </summary>
internal sealed partial class PulledEntries(
    IDocumentStore documents, PulledRepositories repositories, StoreClock clock, ILogger<PulledEntries> log) : IDisposable
{
    // What a replica has noted lately: a pull costs no write most of the time.
    private readonly MemoryCache _noted = new(new MemoryCacheOptions { SizeLimit = 100_000 });

    /// <summary>
    /// Notes content that is about to be stored. Before it is: content without a note would stay for ever, a note without
    /// content goes with the next sweep.
    /// </summary>
    /// <returns>The version of a new note; null when there was a note of this content already.</returns>
    public async ValueTask<string?> AddAsync(
        RepositoryName repository, Digest digest, PulledKind kind, long size, CancellationToken cancellationToken)
    {
        string? written;
        Document? found;
        do
        {
            found = await documents.ReadAsync(RegistryLayout.PulledContent(repository, digest), cancellationToken);
            written = await WriteAsync(
                repository,
                digest,
                new PulledEntry(kind, size, clock.Now),
                found is null ? WriteCondition.Absent : WriteCondition.Unchanged(found.Version),
                cancellationToken);
        }
        while (written is null);

        await repositories.AddAsync(repository, cancellationToken);
        return found is null ? written : null;
    }

    /// <summary>
    /// Notes that content was pushed, whether it is there or not: from now on no sweep removes it. Repeatable, also after a call
    /// that has failed.
    /// </summary>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="renew">
    /// To give content that was noted as cached another version: a sweep that has looked for this note too early deletes by the
    /// version that it has read.
    /// </param>
    /// <param name="isAnew">
    /// Whether a note that is there is written again: a delete takes the version that it has read before it deleted the content.
    /// </param>
    /// <param name="cancellationToken">Of the call.</param>
    public async ValueTask SetPushedAsync(
        RepositoryName repository,
        Digest digest,
        Func<CancellationToken, ValueTask> renew,
        bool isAnew,
        CancellationToken cancellationToken)
    {
        if (isAnew || await PushedVersionAsync(repository, digest, cancellationToken) is null)
        {
            await documents.WriteAsync(
                RegistryLayout.PushedContent(repository, digest),
                ReadOnlyMemory<byte>.Empty,
                WriteCondition.None,
                Durability.Synced,
                cancellationToken);
        }

        while (await documents.ReadAsync(RegistryLayout.PulledContent(repository, digest), cancellationToken) is { } cached)
        {
            await renew(cancellationToken);
            await TakeAsync(repository, digest, cached.Version, cancellationToken);
        }
    }

    /// <summary>The version of the note that content was pushed; null when there is none.</summary>
    public async ValueTask<string?> PushedVersionAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        (await documents.ReadAsync(RegistryLayout.PushedContent(repository, digest), cancellationToken))?.Version;

    /// <summary>Takes that note away, with the content.</summary>
    public async ValueTask TakePushedAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken) =>
        await documents.DeleteAsync(
            RegistryLayout.PushedContent(repository, digest), WriteCondition.Unchanged(version), Durability.Synced, cancellationToken);

    /// <summary>Whether content is cached: noted as such, and not as pushed.</summary>
    public async ValueTask<bool> IsCachedAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        await ReadAsync(repository, digest, cancellationToken) is not null
        && await PushedVersionAsync(repository, digest, cancellationToken) is null;

    /// <summary>Notes that content was asked for, now and then; a failure to is nobody's concern.</summary>
    public async ValueTask TouchAsync(Upstream upstream, RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var now = clock.Now;
        if (_noted.TryGetValue((repository, digest), out DateTimeOffset noted) && now - noted < Precision(upstream))
        {
            return;
        }

        Note(repository, digest, now);
        try
        {
            if (await ReadAsync(repository, digest, cancellationToken) is { } found
                && !found.Entry.IsGoing
                && now - found.Entry.Pulled >= Precision(upstream))
            {
                await WriteAsync(
                    repository, digest, found.Entry with { Pulled = now }, WriteCondition.Unchanged(found.Version), cancellationToken);
            }
        }
        catch (StorageException e)
        {
            LogNotNoted(log, e, digest, repository);
        }
    }

    /// <summary>How far off the time of the last pull may be.</summary>
    public static TimeSpan Precision(Upstream upstream) =>
        TimeSpan.FromTicks(Math.Min(TimeSpan.TicksPerHour, upstream.Options.ContentTtl.Ticks / 10));

    public async ValueTask<VersionedEntry?> ReadAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.PulledContent(repository, digest), cancellationToken) is { } document
        && Deserialize(document.Content.Span) is { } entry
            ? new VersionedEntry(entry, document.Version)
            : null;

    /// <summary>Marks content that is about to be removed: the note's new version, or null when it was pulled meanwhile.</summary>
    public async ValueTask<string?> MarkAsync(
        RepositoryName repository, Digest digest, VersionedEntry found, CancellationToken cancellationToken)
    {
        _noted.Remove((repository, digest));
        return await documents.WriteAsync(
            RegistryLayout.PulledContent(repository, digest),
            JsonSerializer.SerializeToUtf8Bytes(found.Entry with { IsGoing = true }, PulledJson.Default.PulledEntry),
            WriteCondition.Unchanged(found.Version),
            Durability.Synced,
            cancellationToken);
    }

    /// <summary>
    /// Whether the content may be removed, of which a version was read before: the note is still the one that
    /// <see cref="MarkAsync"/> has written, and nobody has pushed the content.
    /// </summary>
    public async ValueTask<bool> IsMarkedAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken)
    {
        if ((await documents.ReadAsync(RegistryLayout.PulledContent(repository, digest), cancellationToken))?.Version != version)
        {
            return false;
        }

        if (await PushedVersionAsync(repository, digest, cancellationToken) is null)
        {
            return true;
        }

        await TakeAsync(repository, digest, version, cancellationToken); // a fetch has noted it after the push
        return false;
    }

    /// <summary>Takes the note of removed content away; false when it was written again meanwhile.</summary>
    public ValueTask<bool> TakeAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken) =>
        documents.DeleteAsync(
            RegistryLayout.PulledContent(repository, digest), WriteCondition.Unchanged(version), Durability.Synced, cancellationToken);

    public ValueTask<IReadOnlyList<string>> ListAsync(
        RepositoryName repository, string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(RegistryLayout.PulledContent(repository), after, limit, cancellationToken);

    public void Dispose() => _noted.Dispose();

    private async ValueTask<string?> WriteAsync(
        RepositoryName repository, Digest digest, PulledEntry entry, WriteCondition condition, CancellationToken cancellationToken)
    {
        var version = await documents.WriteAsync(
            RegistryLayout.PulledContent(repository, digest),
            JsonSerializer.SerializeToUtf8Bytes(entry, PulledJson.Default.PulledEntry),
            condition,
            Durability.Synced,
            cancellationToken);
        Note(repository, digest, entry.Pulled);
        return version;
    }

    private void Note(RepositoryName repository, Digest digest, DateTimeOffset at) =>
        _noted.Set((repository, digest), at, new MemoryCacheEntryOptions { Size = 1 });

    private static PulledEntry? Deserialize(ReadOnlySpan<byte> content)
    {
        try
        {
            return JsonSerializer.Deserialize(content, PulledJson.Default.PulledEntry);
        }
        catch (JsonException)
        {
            return null; // another release's, or a damaged one: its content stays
        }
    }

    [LoggerMessage(LogLevel.Warning, "That {Digest} of {Repository} was pulled could not be noted.")]
    private static partial void LogNotNoted(ILogger logger, Exception exception, Digest digest, RepositoryName repository);
}

internal enum PulledKind
{
    Blob,
    Manifest,
}

/// <param name="Kind">What it is.</param>
/// <param name="Size">In bytes.</param>
/// <param name="Pulled">When it was last asked for, give or take <see cref="PulledEntries.Precision"/>.</param>
internal sealed record PulledEntry(PulledKind Kind, long Size, DateTimeOffset Pulled)
{
    /// <summary>A sweep is removing it.</summary>
    public bool IsGoing { get; init; }
}

internal readonly record struct VersionedEntry(PulledEntry Entry, string Version);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true,
    Converters = [typeof(ParsableJsonConverter<Digest>)])]
[JsonSerializable(typeof(PulledEntry))]
[JsonSerializable(typeof(ResolvedTag))]
internal sealed partial class PulledJson : JsonSerializerContext;
