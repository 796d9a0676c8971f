namespace OciRegistry.Storage;

/// <summary>
/// Every path of the registry, drawn once. Repository names have no component that starts with '_', so those segments
/// are ours.
/// <code>
/// documents (IDocumentStore: folder, name)
///   _uploads                                      session            an upload session
///   _catalog                                      repository         the repository exists
///   _links/{algorithm}/{hex}                      repository         who holds a blob: mounts, garbage collection
///   _condemned                                    digest             no repository links this content: a sweep removes it
///   _auth/robots                                  robot              a robot account
///   _auth                                         signing-keys       the keys that tokens are signed with
///   repositories/{repository}/_blobs              digest             the repository serves this blob; its size
///   repositories/{repository}/_manifests          digest             media type and exact bytes
///   repositories/{repository}/_tags               tag                the digest that it names
///   repositories/{repository}/_tagged/{alg}/{hex} tag                this tag has named that digest: deletes
///   repositories/{repository}/_referrers/{alg}/{hex}  digest         a descriptor that refers to that subject
///   _pulled/{prefix of an upstream}               repository         it has content that was pulled through
///   repositories/{repository}/_pulled             digest             such content: its size, when it was last pulled
///   repositories/{repository}/_pushed             digest             such a repository's content that is not to be removed
///   repositories/{repository}/_resolved           tag                what the upstream said that it names, and when
///   repositories/{repository}/_parts/{alg}/{hex}  digest             a manifest pulled through that is made of that content
///   repositories/{repository}/_referred           digest             which referrers of it the upstream listed, and when
///
/// content
///   blobs/{algorithm}/{first two of hex}/{hex}                       immutable (IBlobStore)
///   _data/{session}                                                  staged bytes (IUploadStore), and in
///   _data/{session}+/{generation}                                    the rare case of more than one generation
///
/// (in a store that stages in blocks blobs/ has pointers, and the staged blob in _data/ becomes the content)
/// </code>
/// </summary>
internal static class RegistryLayout
{
    public const string Uploads = "_uploads";
    public const string Catalog = "_catalog";
    public const string Condemned = "_condemned";
    public const string Robots = "_auth/robots";
    public const string StagedFolder = "_data";
    public const string BlobFolder = "blobs";
    public const char LaterSuffix = '+';

    public static DocumentKey Upload(UploadSessionId session) => new(Uploads, session.ToString());

    public static DocumentKey CatalogEntry(RepositoryName repository) => new(Catalog, repository.ToString());

    public static DocumentKey Robot(string name) => new(Robots, name);

    public static DocumentKey SigningKeys { get; } = new("_auth", "signing-keys");

    public static string Links(Digest digest) => $"_links/{Split(digest)}";

    public static DocumentKey Link(Digest digest, RepositoryName repository) => new(Links(digest), repository.ToString());

    public static DocumentKey Condemnation(Digest digest) => new(Condemned, digest.ToString());

    public static string RepositoryBlobs(RepositoryName repository) => $"repositories/{repository}/_blobs";

    public static DocumentKey RepositoryBlob(RepositoryName repository, Digest digest) =>
        new(RepositoryBlobs(repository), digest.ToString());

    public static string Manifests(RepositoryName repository) => $"repositories/{repository}/_manifests";

    public static DocumentKey Manifest(RepositoryName repository, Digest digest) =>
        new(Manifests(repository), digest.ToString());

    public static string Tags(RepositoryName repository) => $"repositories/{repository}/_tags";

    public static DocumentKey Tag(RepositoryName repository, Tag tag) => new(Tags(repository), tag.ToString());

    public static string Tagged(RepositoryName repository, Digest digest) =>
        $"repositories/{repository}/_tagged/{Split(digest)}";

    public static DocumentKey Tagged(RepositoryName repository, Digest digest, Tag tag) =>
        new(Tagged(repository, digest), tag.ToString());

    public static string Referrers(RepositoryName repository, Digest subject) =>
        $"repositories/{repository}/_referrers/{Split(subject)}";

    public static DocumentKey Referrer(RepositoryName repository, Digest subject, Digest referrer) =>
        new(Referrers(repository, subject), referrer.ToString());

    public static string PulledRepositories(RepositoryName prefix) => $"_pulled/{prefix}";

    public static DocumentKey PulledRepository(RepositoryName prefix, RepositoryName repository) =>
        new(PulledRepositories(prefix), repository.ToString());

    public static string PulledContent(RepositoryName repository) => $"repositories/{repository}/_pulled";

    public static DocumentKey PulledContent(RepositoryName repository, Digest digest) =>
        new(PulledContent(repository), digest.ToString());

    public static DocumentKey PushedContent(RepositoryName repository, Digest digest) =>
        new($"repositories/{repository}/_pushed", digest.ToString());

    public static string ResolvedTags(RepositoryName repository) => $"repositories/{repository}/_resolved";

    public static DocumentKey ResolvedTag(RepositoryName repository, Tag tag) => new(ResolvedTags(repository), tag.ToString());

    public static string Parts(RepositoryName repository, Digest part) => $"repositories/{repository}/_parts/{Split(part)}";

    public static DocumentKey Part(RepositoryName repository, Digest part, Digest whole) =>
        new(Parts(repository, part), whole.ToString());

    public static string ReferredSubjects(RepositoryName repository) => $"repositories/{repository}/_referred";

    public static DocumentKey ReferredSubject(RepositoryName repository, Digest subject) =>
        new(ReferredSubjects(repository), subject.ToString());

    // Two hex digits of fan-out: 256 folders, so that a folder of a million blobs has 4,000 entries.
    public static string Blob(Digest digest) => $"{BlobFolder}/{digest.Algorithm.Name()}/{digest.Hex[..2]}/{digest.Hex}";

    public static string Staged(StagedKey key) => key.Generation == 0
        ? $"{StagedFolder}/{key.Session}"
        : $"{StagedLater(key.Session)}/{key.Generation}";

    /// <summary>The folder of the generations after the first: most sessions have none, and need no folder.</summary>
    public static string StagedLater(UploadSessionId session) => $"{StagedFolder}/{session}{LaterSuffix}";

    private static string Split(Digest digest) => $"{digest.Algorithm.Name()}/{digest.Hex}";
}
