using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>Which manifests of a repository name another one as their subject (spec end-12a): one document each.</summary>
internal sealed class ReferrerIndex(IDocumentStore documents, ReferredSubjects subjects)
{
    // It is served as it is stored: a plus in a media type stays one.
    private static readonly ReferrerJson Readable =
        new(new JsonSerializerOptions(ReferrerJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    private const int BatchSize = 64;

    /// <summary>Bytes of descriptors in one answer; clients refuse indexes beyond 4 MiB or so.</summary>
    private const int MaxPageBytes = 2 * 1024 * 1024;

    /// <summary>Entries that one request reads at most, whether its filter takes them or not.</summary>
    private const int MaxScanned = 10_000;

    /// <summary>Writes an entry, also over one that is there: each write gives it a new version.</summary>
    public async ValueTask AddAsync(
        RepositoryName repository, Digest subject, Descriptor referrer, CancellationToken cancellationToken) =>
        await documents.WriteAsync(
            RegistryLayout.Referrer(repository, subject, referrer.Digest),
            JsonSerializer.SerializeToUtf8Bytes(referrer, Readable.Descriptor),
            WriteCondition.None,
            Durability.Synced,
            cancellationToken);

    /// <summary>The version of an entry, for <see cref="RemoveAsync"/>; null when there is none.</summary>
    public async ValueTask<string?> VersionAsync(
        RepositoryName repository, Digest subject, Digest referrer, CancellationToken cancellationToken) =>
        (await documents.ReadAsync(RegistryLayout.Referrer(repository, subject, referrer), cancellationToken))?.Version;

    public async ValueTask RemoveAsync(
        RepositoryName repository, Digest subject, Digest referrer, string version, CancellationToken cancellationToken) =>
        await documents.DeleteAsync(
            RegistryLayout.Referrer(repository, subject, referrer),
            WriteCondition.Unchanged(version),
            Durability.Synced,
            cancellationToken);

    /// <summary>
    /// The same for an entry whose manifest is missing, unless an upstream may list it; also where this replica has no settings by
    /// which the repository is an upstream's, because another may have them.
    /// </summary>
    public async ValueTask RemoveUnlistedAsync(
        RepositoryName repository, Digest subject, Digest referrer, string version, CancellationToken cancellationToken)
    {
        if ((await subjects.FindAsync(repository, subject, cancellationToken))?.MayList(referrer) != true)
        {
            await RemoveAsync(repository, subject, referrer, version, cancellationToken);
        }
    }

    /// <summary>
    /// Referrers in the order of their digests, strictly after <paramref name="after"/>, of one artifact type when it is
    /// not null. A page ends at <paramref name="limit"/> entries or at a size that clients take; its last digest is where
    /// the next one starts.
    /// </summary>
    /// <param name="repository">The repository of the subject.</param>
    /// <param name="subject">What they refer to.</param>
    /// <param name="artifactType">The only one that is wanted; null for all.</param>
    /// <param name="after">The last digest of the page before; null for the first page.</param>
    /// <param name="limit">The most entries.</param>
    /// <param name="mustBeHere">Whether entries that only an upstream has listed are left out.</param>
    /// <param name="cancellationToken">Of the call.</param>
    /// <remarks>
    /// An entry is right while its manifest is here, or an upstream's note has it. A process that dies within a push beside a
    /// delete, or within a sweep or a refresh, leaves an entry that is not: it is not listed, and is removed by the version that
    /// was read before both were looked for. Whoever stores the manifest or the note writes the entry anew after that, so that an
    /// entry that is about to become right has another version.
    /// </remarks>
    /// <exception cref="StorageException">An entry cannot be read: a list without it would hide a signature.</exception>
    public async ValueTask<ReferrerPage> ListAsync(
        RepositoryName repository,
        Digest subject,
        string? artifactType,
        string? after,
        int limit,
        bool mustBeHere,
        CancellationToken cancellationToken)
    {
        var found = new List<ReadOnlyMemory<byte>>();
        var bytes = 0;
        var names = await documents.ListAsync(
            RegistryLayout.Referrers(repository, subject), after, MaxScanned + 1, cancellationToken);
        for (var start = 0; start < names.Count; start += BatchSize)
        {
            var batch = names.Skip(start).Take(BatchSize).ToArray();
            var entries = await Task.WhenAll(
                batch.Select(name => ReadAsync(repository, subject, name, artifactType, cancellationToken).AsTask()));

            // After the entries.
            var noted = mustBeHere ? null : await subjects.FindAsync(repository, subject, cancellationToken);
            var read = await Task.WhenAll(entries.Select(entry => entry is null
                ? Task.FromResult<ReadOnlyMemory<byte>>(default)
                : ListedAsync(repository, subject, entry, noted, cancellationToken)));
            for (var i = 0; i < read.Length; i++)
            {
                var isFull = found.Count == limit || (found.Count > 0 && bytes + read[i].Length > MaxPageBytes);
                if (isFull || start + i == MaxScanned)
                {
                    return new ReferrerPage(found.ToArray(), start + i == 0 ? after : names[start + i - 1]);
                }

                if (!read[i].IsEmpty)
                {
                    found.Add(read[i]);
                    bytes += read[i].Length;
                }
            }
        }

        return new ReferrerPage(found.ToArray(), null);
    }

    private static bool IsWanted(ReadOnlyMemory<byte> descriptor, string? artifactType, string name)
    {
        try
        {
            var read = JsonSerializer.Deserialize(descriptor.Span, ReferrerJson.Default.Descriptor) ?? throw new JsonException();
            return artifactType is null || read.ArtifactType == artifactType;
        }
        catch (JsonException e)
        {
            throw new StorageException(
                $"The referrer entry of {name} is damaged in the registry's storage. Push that manifest again, or delete the entry's document.", e)
            {
                IsDamaged = true,
            };
        }
    }

    /// <summary>Null when it is not wanted, or was deleted since it was listed.</summary>
    private async ValueTask<Entry?> ReadAsync(
        RepositoryName repository, Digest subject, string name, string? artifactType, CancellationToken cancellationToken) =>
        Digest.TryParse(name, out var digest)
        && await documents.ReadAsync(RegistryLayout.Referrer(repository, subject, digest), cancellationToken) is { } document
        && IsWanted(document.Content, artifactType, name)
            ? new Entry(digest, document)
            : null;

    /// <summary>The descriptor; empty when the entry is not to be listed.</summary>
    private async Task<ReadOnlyMemory<byte>> ListedAsync(
        RepositoryName repository,
        Digest subject,
        Entry entry,
        FoundSubject? noted,
        CancellationToken cancellationToken)
    {
        var (digest, document) = entry;
        if (noted?.MayList(digest) == true
            || await documents.ExistsAsync(RegistryLayout.Manifest(repository, digest), cancellationToken))
        {
            return document.Content;
        }

        await TryRemoveAsync(repository, subject, digest, document.Version);
        return default;
    }

    private async ValueTask TryRemoveAsync(RepositoryName repository, Digest subject, Digest referrer, string version)
    {
        try
        {
            await RemoveUnlistedAsync(repository, subject, referrer, version, CancellationToken.None);
        }
        catch (StorageException)
        {
            // The list is right without it; the next one tries again.
        }
    }

    private sealed record Entry(Digest Referrer, Document Document);
}

/// <param name="Descriptors">The entries of this page, as JSON.</param>
/// <param name="Last">Where the next page starts after; null when this is the last one.</param>
internal sealed record ReferrerPage(ReadOnlyMemory<byte>[] Descriptors, string? Last);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(ParsableJsonConverter<Digest>)])]
[JsonSerializable(typeof(Descriptor))]
[JsonSerializable(typeof(ReferredSubject))]
internal sealed partial class ReferrerJson : JsonSerializerContext;
