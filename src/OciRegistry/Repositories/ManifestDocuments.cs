using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// The documents of manifests: the media type in a first line, then the manifest's bytes as they were pushed. Every read
/// from the storage verifies the digest.
/// </summary>
internal sealed partial class ManifestDocuments(
    IDocumentStore documents, RegistryMetrics metrics, ILogger<ManifestDocuments> log)
{
    // As long as a store returns the same document instance, it has not read the document again.
    private readonly ConditionalWeakTable<Document, StoredManifest> _verified = [];

    /// <summary>The manifest; null when it is missing or damaged.</summary>
    public async ValueTask<StoredManifest?> ReadAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        (await FindAsync(repository, digest, cancellationToken))?.Manifest;

    /// <summary>The manifest with the version of its document, also when it is damaged; null when it is missing.</summary>
    public async ValueTask<FoundManifest?> FindAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.Manifest(repository, digest), cancellationToken) is { } document
            ? new FoundManifest(Verify(repository, digest, document), document)
            : null;

    /// <summary>
    /// Fills <paramref name="buffer"/> with bytes of a manifest that was read before, as far as it goes; how many. They are not verified.
    /// </summary>
    /// <param name="repository">The repository of the manifest.</param>
    /// <param name="digest">Its digest.</param>
    /// <param name="mediaType">Its media type when it was read, which precedes its bytes in the storage.</param>
    /// <param name="offset">The first byte of the manifest.</param>
    /// <param name="buffer">Receives the bytes.</param>
    /// <param name="cancellationToken">Cancels the call.</param>
    public ValueTask<int> ReadPartAsync(
        RepositoryName repository,
        Digest digest,
        string mediaType,
        int offset,
        Memory<byte> buffer,
        CancellationToken cancellationToken) =>
        documents.ReadPartAsync(
            RegistryLayout.Manifest(repository, digest), Encoding.UTF8.GetByteCount(mediaType) + 1 + offset, buffer, cancellationToken);

    /// <summary>Whether there is a document, intact or not.</summary>
    public async ValueTask<bool> ExistsAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        await documents.ExistsAsync(RegistryLayout.Manifest(repository, digest), cancellationToken);

    /// <summary>Returns once a manifest that was found missing stays missing after a power cut.</summary>
    public ValueTask ConfirmAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken) =>
        documents.ConfirmAsync(RegistryLayout.Manifest(repository, digest), cancellationToken);

    /// <summary>Stores a manifest, also over one that is there: each write gives it a new version.</summary>
    /// <param name="repository">The repository of the manifest.</param>
    /// <param name="digest">The digest of <paramref name="content"/>.</param>
    /// <param name="mediaType">The media type to serve it with.</param>
    /// <param name="content">The manifest as it was pushed.</param>
    /// <param name="mayReplace">Whether another media type may replace that of an intact manifest.</param>
    /// <param name="cancellationToken">Of the call.</param>
    /// <remarks>
    /// A DELETE or the cleanup of the cache may have read the version that is there, and its delete may arrive late. It is
    /// refused once the version has changed, so this push is not undone after its 201.
    /// </remarks>
    public async ValueTask WriteAsync(
        RepositoryName repository,
        Digest digest,
        string mediaType,
        ReadOnlyMemory<byte> content,
        bool mayReplace,
        CancellationToken cancellationToken)
    {
        var key = RegistryLayout.Manifest(repository, digest);
        var (condition, type) = (WriteCondition.Absent, mediaType);
        while (await documents.WriteAsync(key, Compose(type, content), condition, Durability.Synced, cancellationToken) is null)
        {
            var found = await FindAsync(repository, digest, cancellationToken);
            condition = found is { } present ? WriteCondition.Unchanged(present.Version) : WriteCondition.Absent;
            type = !mayReplace && found?.Manifest is { } intact ? intact.MediaType : mediaType;
        }
    }

    /// <summary>Stores a manifest unless an intact one is there; whether it was stored.</summary>
    public async ValueTask<bool> AddAsync(
        RepositoryName repository,
        Digest digest,
        string mediaType,
        ReadOnlyMemory<byte> content,
        CancellationToken cancellationToken)
    {
        var key = RegistryLayout.Manifest(repository, digest);
        var document = Compose(mediaType, content);
        var condition = WriteCondition.Absent;
        while (await documents.WriteAsync(key, document, condition, Durability.Synced, cancellationToken) is null)
        {
            var found = await FindAsync(repository, digest, cancellationToken);
            if (found is { Manifest: not null })
            {
                return false;
            }

            condition = found is { } damaged ? WriteCondition.Unchanged(damaged.Version) : WriteCondition.Absent;
        }

        return true;
    }

    /// <summary>Gives an intact manifest a new version, so that a delete of the former one is refused. Nothing where there is none.</summary>
    public async ValueTask RenewAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        while (await FindAsync(repository, digest, cancellationToken) is { Manifest: { } intact } found
            && await documents.WriteAsync(
                RegistryLayout.Manifest(repository, digest),
                Compose(intact.MediaType, intact.Content),
                WriteCondition.Unchanged(found.Version),
                Durability.Synced,
                cancellationToken) is null)
        {
        }
    }

    /// <summary>Deletes the manifest of one version; false when it is gone or was written again.</summary>
    public ValueTask<bool> DeleteAsync(
        RepositoryName repository, Digest digest, string version, CancellationToken cancellationToken) =>
        documents.DeleteAsync(
            RegistryLayout.Manifest(repository, digest), WriteCondition.Unchanged(version), Durability.Synced, cancellationToken);

    private static byte[] Compose(string mediaType, ReadOnlyMemory<byte> content)
    {
        var document = new byte[Encoding.UTF8.GetByteCount(mediaType) + 1 + content.Length];
        var end = Encoding.UTF8.GetBytes(mediaType, document);
        document[end] = (byte)'\n';
        content.CopyTo(document.AsMemory(end + 1));
        return document;
    }

    private StoredManifest? Verify(RepositoryName repository, Digest digest, Document document)
    {
        if (_verified.TryGetValue(document, out var verified))
        {
            return verified;
        }

        var end = document.Content.Span.IndexOf((byte)'\n');
        var content = document.Content[(end + 1)..];
        if (end > 0 && Digest.Of(content.Span, digest.Algorithm) == digest)
        {
            var manifest = new StoredManifest(digest, Encoding.UTF8.GetString(document.Content.Span[..end]), content);
            _verified.AddOrUpdate(document, manifest);
            return manifest;
        }

        metrics.IntegrityEvent("manifest");
        LogDamaged(log, digest, repository);
        return null;
    }

    [LoggerMessage(LogLevel.Error, "Manifest {Digest} of {Repository} is damaged in the storage. It is answered as unknown; pushing it again repairs it.")]
    private static partial void LogDamaged(ILogger logger, Digest digest, RepositoryName repository);
}

/// <summary>A manifest as it was pushed.</summary>
internal sealed record StoredManifest(Digest Digest, string MediaType, ReadOnlyMemory<byte> Content);

/// <param name="Manifest">Null when the document is damaged.</param>
/// <param name="Document">As it was read.</param>
internal readonly record struct FoundManifest(StoredManifest? Manifest, Document Document)
{
    public string Version => Document.Version;

    /// <summary>
    /// The manifest's subject. Of a damaged document what can still be read in it: good enough to look for its referrer entry.
    /// </summary>
    public Digest? Subject()
    {
        var content = Document.Content;
        var end = content.Span.IndexOf((byte)'\n');
        return end > 0
            ? OciRegistry.Repositories.Manifest.Read(content[(end + 1)..], Encoding.UTF8.GetString(content.Span[..end])).Subject
            : null;
    }
}
