using System.Globalization;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Which manifests of a repository list a blob or a manifest: for a DELETE, which would break them. Every manifest of the
/// repository is read once by each replica; what a manifest lists never changes, so it is kept.
/// </summary>
internal sealed class ReferencingManifests(ManifestDocuments manifests, TagStore tags, IDocumentStore documents) : IDisposable
{
    /// <summary>Manifests that one answer names.</summary>
    public const int MaxFound = 10;

    private const int PageSize = 1_000;
    private const int Parallelism = 16;
    private const int MaxTags = 3;

    /// <summary>References that are kept, 8 bytes each.</summary>
    private const int MaxKept = 1_000_000;

    private readonly SemaphoreSlim _turns = new(2); // a repository may have 100,000 manifests to be read
    private readonly Lock _lock = new();
    private readonly Dictionary<Digest, ulong[]> _kept = [];
    private long _count;

    /// <summary>Manifests that are made of a blob, tagged or not; at most <see cref="MaxFound"/>.</summary>
    public async ValueTask<IReadOnlyList<ReferencingManifest>> OfBlobAsync(
        RepositoryName repository, Digest blob, CancellationToken cancellationToken)
    {
        var found = new List<ReferencingManifest>();
        foreach (var whole in WholesOf(await ReadAsync(repository, cancellationToken), blob).Take(MaxFound))
        {
            found.Add(new ReferencingManifest(whole, await TagsOfAsync(repository, whole, cancellationToken)));
        }

        return found;
    }

    /// <summary>
    /// Indexes with a tag that list a manifest, or list an index that does; at most <see cref="MaxFound"/>. An index that no tag
    /// leads to does not count: who cleans up deletes its manifests in any order.
    /// </summary>
    public async ValueTask<IReadOnlyList<ReferencingManifest>> OfManifestAsync(
        RepositoryName repository, Digest manifest, CancellationToken cancellationToken)
    {
        var lists = await ReadAsync(repository, cancellationToken);
        var found = new List<ReferencingManifest>();
        var seen = new HashSet<Digest> { manifest };
        var next = new Queue<Digest>(seen);
        while (found.Count < MaxFound && next.TryDequeue(out var part))
        {
            foreach (var index in WholesOf(lists, part).Where(seen.Add))
            {
                if (await TagsOfAsync(repository, index, cancellationToken) is { Count: > 0 } tagged)
                {
                    found.Add(new ReferencingManifest(index, tagged));
                }
                else
                {
                    next.Enqueue(index);
                }
            }
        }

        return found.Count > MaxFound ? found[..MaxFound] : found;
    }

    public void Dispose() => _turns.Dispose();

    private static IEnumerable<Digest> WholesOf(List<(Digest Manifest, ulong[] Parts)> lists, Digest part)
    {
        var key = KeyOf(part);
        return lists.Where(list => list.Parts.Contains(key)).Select(list => list.Manifest);
    }

    private async ValueTask<IReadOnlyList<Tag>> TagsOfAsync(
        RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        string? last = null;
        do
        {
            var names = await tags.NamesOfAsync(repository, digest, last, PageSize, cancellationToken);
            if (names.Tags.Where(name => name.Version is not null).Select(name => name.Tag).Take(MaxTags).ToArray() is { Length: > 0 } named)
            {
                return named;
            }

            last = names.Last;
        }
        while (last is not null);
        return [];
    }

    private async ValueTask<List<(Digest Manifest, ulong[] Parts)>> ReadAsync(
        RepositoryName repository, CancellationToken cancellationToken)
    {
        await _turns.WaitAsync(cancellationToken);
        try
        {
            var lists = new List<(Digest, ulong[])>();
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken };
            IReadOnlyList<string> names;
            string? last = null;
            do
            {
                names = await documents.ListFreshAsync(RegistryLayout.Manifests(repository), last, PageSize, cancellationToken);
                await Parallel.ForEachAsync(names, parallel, async (name, cancellation) =>
                {
                    if (Digest.TryParse(name, out var digest) && await PartsOfAsync(repository, digest, cancellation) is { } parts)
                    {
                        lock (lists)
                        {
                            lists.Add((digest, parts));
                        }
                    }
                });
                last = names.Count < PageSize ? null : names[^1];
            }
            while (last is not null);
            return lists;
        }
        finally
        {
            _turns.Release();
        }
    }

    /// <summary>Null for a manifest that is gone or damaged, which nobody can pull.</summary>
    private async ValueTask<ulong[]?> PartsOfAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_kept.TryGetValue(digest, out var kept))
            {
                return kept;
            }
        }

        if (await manifests.ReadAsync(repository, digest, cancellationToken) is not { } stored)
        {
            return null;
        }

        var manifest = Manifest.Read(stored.Content, stored.MediaType);
        ulong[] parts = [.. manifest.Blobs.Concat(manifest.Manifests).Select(part => KeyOf(part.Digest)).Distinct()];
        lock (_lock)
        {
            // What is beyond is read each time. To begin anew would have all of it read again.
            if (_count + parts.Length < MaxKept && _kept.TryAdd(digest, parts))
            {
                _count += parts.Length + 1;
            }
        }

        return parts;
    }

    // Of a hash, any part is as good as the whole to tell a few million apart.
    private static ulong KeyOf(Digest digest) =>
        ulong.Parse(digest.Hex.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

/// <param name="Digest">Of the manifest.</param>
/// <param name="Tags">Some of the tags that name it.</param>
internal sealed record ReferencingManifest(Digest Digest, IReadOnlyList<Tag> Tags)
{
    public override string ToString() => Tags.Count == 0 ? Digest.ToString() : $"{Digest} ({string.Join(", ", Tags)})";
}
