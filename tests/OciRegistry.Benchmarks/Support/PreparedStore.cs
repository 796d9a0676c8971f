using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Benchmarks.Support;

/// <summary>
/// Fills the storage of a server that does not run yet, by the library's own rules but without waiting for the disk,
/// which would take minutes.
/// </summary>
internal sealed class PreparedStore : IDisposable
{
    private static readonly Digest Anything = Digest.Of("{}"u8);
    private static readonly byte[] Content = ArtifactManifest.Of(Anything, 2, Anything, 2);
    private static readonly Digest ContentDigest = Digest.Of(Content);

    private readonly ServiceProvider _services;
    private readonly ManifestStore _manifests;
    private readonly Manifest _manifest;

    public PreparedStore(string folder)
    {
        var services = new ServiceCollection().AddLogging();
        services.AddOciRegistry(registry => registry.UseFileSystem(folder));
        services.Configure<OciRegistryOptions>(options => options.Manifests.References = ManifestReferences.Off);
        services.AddSingleton<FileSystemDocumentStore>();
        services.Replace(ServiceDescriptor.Singleton<IDocumentStore, UnsyncedDocuments>());
        _services = services.BuildServiceProvider();
        _manifests = _services.GetRequiredService<ManifestStore>();

        var root = _services.GetRequiredService<FileSystemRoot>();
        Directory.CreateDirectory(root.Temporary);
        Directory.CreateDirectory(root.Locks);
        if (!Manifest.TryParse(Content, ArtifactManifest.MediaType, out _manifest!, out var error))
        {
            throw new InvalidOperationException(error.Message);
        }
    }

    /// <summary>Stores one manifest in a repository, with tags 000000, 000001 and so on.</summary>
    public async Task AddAsync(string repository, int tags)
    {
        var name = RepositoryName.Parse(repository);
        const int tagsAtATime = 10;
        for (var first = 0; first < tags; first += tagsAtATime)
        {
            var more = Enumerable.Range(first, Math.Min(tagsAtATime, tags - first)).Select(TagOf).ToList();
            var push = new ManifestPush(name, ContentDigest, _manifest, Content, ContentDigest, more, default, MayMoveTags: true);
            await _manifests.PutAsync(push, default);
        }
    }

    public static string TagName(int index) => $"{index:d6}";

    private static Tag TagOf(int index) =>
        Tag.TryParse(TagName(index), out var tag) ? tag : throw new InvalidOperationException("Not a tag.");

    public void Dispose() => _services.Dispose();

    private sealed class UnsyncedDocuments(FileSystemDocumentStore documents, FileSystemRoot root) : IDocumentStore
    {
        public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) =>
            documents.ReadAsync(key, cancellationToken);

        public async ValueTask<string?> WriteAsync(
            DocumentKey key,
            ReadOnlyMemory<byte> content,
            WriteCondition condition,
            Durability durability,
            CancellationToken cancellationToken)
        {
            var version = Guid.NewGuid();
            Directory.CreateDirectory(root.Folder(key.Folder));
            await File.WriteAllBytesAsync(
                root.Document(key), FileSystemDocumentStore.Encode(version, content.Span), cancellationToken);
            return version.ToString("n");
        }

        public ValueTask<bool> DeleteAsync(
            DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
            documents.DeleteAsync(key, condition, Durability.Atomic, cancellationToken);

        public ValueTask<IReadOnlyList<string>> ListAsync(
            string folder, string? after, int limit, CancellationToken cancellationToken) =>
            documents.ListAsync(folder, after, limit, cancellationToken);

        public ValueTask<IReadOnlyList<string>> ListFreshAsync(
            string folder, string? after, int limit, CancellationToken cancellationToken) =>
            documents.ListFreshAsync(folder, after, limit, cancellationToken);

        public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) =>
            documents.ExistsAsync(key, cancellationToken);

        public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) =>
            documents.AnyAsync(folder, cancellationToken);
    }
}
