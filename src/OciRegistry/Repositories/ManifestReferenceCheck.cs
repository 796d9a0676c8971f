using System.Collections.Concurrent;
using Microsoft.Extensions.Options;

namespace OciRegistry.Repositories;

/// <summary>
/// Whether what a manifest refers to is in its repository, by the same rules as a HEAD of it: a link without its content and
/// a damaged manifest are missing, so that the client pushes them again. spec end-7: "A registry MAY reject a manifest … [that]
/// references blobs or manifests that do not exist in the registry", with one MANIFEST_BLOB_UNKNOWN for each.
/// </summary>
internal sealed class ManifestReferenceCheck(
    ManifestDocuments documents, RepositoryBlobs blobs, IOptions<OciRegistryOptions> options)
{
    private const int Parallelism = 16;

    /// <summary>Errors in one answer; a manifest with more missing references is told of the first.</summary>
    private const int MaxProblems = 1_000;

    /// <summary>Empty when all is there. The subject is never looked for: it may come later, or not at all.</summary>
    public async ValueTask<IReadOnlyList<ReferenceProblem>> FindProblemsAsync(
        RepositoryName repository, Manifest manifest, CancellationToken cancellationToken)
    {
        var problems = new ConcurrentDictionary<Digest, ReferenceProblem>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(manifest.Blobs, parallel, async (blob, cancellation) =>
        {
            var size = await blobs.StatHeldAsync(repository, blob.Digest, cancellation);
            if (size is null)
            {
                problems[blob.Digest] = ReferenceProblem.Missing(blob);
            }
            else if (size != blob.Size)
            {
                problems[blob.Digest] = ReferenceProblem.OtherSize(blob, size.Value);
            }
        });

        var isSparse = options.Value.Manifests.References == ManifestReferences.SparseIndexes;
        await Parallel.ForEachAsync(manifest.Manifests, parallel, async (child, cancellation) =>
        {
            if (await FindProblemAsync(repository, child, cancellation) is { } problem && !(isSparse && problem.IsMissing))
            {
                problems[child.Digest] = problem;
            }
        });

        // In the manifest's own order, whatever order they were looked up in.
        return [.. manifest.Blobs.Concat(manifest.Manifests)
            .Select(part => part.Digest)
            .Distinct()
            .Where(problems.ContainsKey)
            .Select(digest => problems[digest])
            .Take(MaxProblems)];
    }

    private async ValueTask<ReferenceProblem?> FindProblemAsync(
        RepositoryName repository, Descriptor child, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(repository, child.Digest, cancellationToken) is { } manifest)
        {
            // containerd reads as many bytes as the index says, and reads them as the type that the index says.
            return manifest.Content.Length != child.Size ? ReferenceProblem.OtherSize(child, manifest.Content.Length)
                : !manifest.MediaType.Equals(child.MediaType, StringComparison.OrdinalIgnoreCase)
                    ? ReferenceProblem.OtherType(child, manifest.MediaType)
                : null;
        }

        // An index may list anything; build caches list layers.
        return MediaTypes.IsManifest(child.MediaType)
            || await blobs.StatHeldAsync(repository, child.Digest, cancellationToken) is not { } size ? ReferenceProblem.Missing(child)
            : size != child.Size ? ReferenceProblem.OtherSize(child, size)
            : null;
    }
}

/// <param name="Of">What the manifest refers to.</param>
/// <param name="IsMissing">It is not in the repository.</param>
/// <param name="Error">For the client.</param>
internal sealed record ReferenceProblem(Descriptor Of, bool IsMissing, OciError Error)
{
    public static ReferenceProblem OtherSize(Descriptor part, long size) => new(part, false, OciError.ManifestInvalid(
        $"The manifest says that {part.Digest} has {part.Size} bytes; it has {size}."));

    public static ReferenceProblem OtherType(Descriptor part, string mediaType) => new(part, false, OciError.ManifestInvalid(
        $"The manifest says that {part.Digest} is of type '{JsonMember.Shortened(part.MediaType)}'; it is of type '{mediaType}'."));

    public static ReferenceProblem Missing(Descriptor part) => new(part, true, OciError.ManifestBlobUnknown(part.Digest));
}
