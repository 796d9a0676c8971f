namespace OciRegistry.Conformance.Areas;

/// <summary>
/// Other algorithms than sha256 are optional; what is taken under a sha512 digest is then addressed by it everywhere.
/// On a registry without sha512 all of these fail at the push.
/// </summary>
internal static class Sha512Area
{
    private const string Sha512 = Digest.Sha512;

    public static Area Area { get; } = new Area("Sha512")
        .May("end-6: a blob is pushed with its sha512 digest", Pushed)
        .Must("end-2: a blob pushed with sha512 is pulled with it, and says so", Pulled)
        .Must("end-4b: POST takes a sha512 digest, or answers 202", SinglePost)
        .Must("end-5: chunks make a sha512 blob, although the digest comes last", Chunked)
        .Should("end-5: a stream makes a sha512 blob, although the digest comes last", Streamed)
        .Should("end-4c: digest-algorithm=sha512 is taken", AlgorithmTold)
        .Should("end-4c: an unsupported or malformed digest-algorithm is answered 400", AlgorithmUnknown)
        .Should("end-4c: a sha256 digest after digest-algorithm=sha512 is taken or answered 400", AlgorithmChanged)
        .Must("end-6: bytes of another sha512 digest are answered 400 and nothing is stored", WrongDigest)
        .Must("end-6: the empty blob has a sha512 digest, too", EmptyBlob)
        .Must("end-7a: a manifest is pushed by its sha512 digest; Location, GET and HEAD keep to it", ManifestByDigest)
        .Must("end-7b: a tag set by parameter on a sha512 digest answers with that digest", TaggedByParameter)
        .Must("end-7a: a manifest may refer to sha512 blobs", ReferringManifest)
        .Must("end-7a: an index may refer to a manifest by sha512", ReferringIndex)
        .Must("end-11: a blob is mounted by its sha512 digest", Mounted)
        .Must("end-12a: a subject may be named by sha512", SubjectBySha512)
        .Must("end-9: a manifest is deleted by its sha512 digest", ManifestDeleted)
        .Must("end-10: a blob is deleted by its sha512 digest", BlobDeleted)
        .May("end-10: the same bytes under sha256 stay when those under sha512 are deleted", OtherAlgorithmStays);

    private static async Task<Blob> PushBlobAsync(Repository repository)
    {
        var blob = Blob.Random(1000, Sha512);
        await repository.PushAsync(blob);
        return blob;
    }

    private static async Task<Manifest> PushManifestAsync(Repository repository)
    {
        var manifest = await repository.NewManifestAsync(Sha512);
        await repository.PushAsync(manifest);
        return manifest;
    }

    private static async Task Pushed(Repository repository) => await PushBlobAsync(repository);

    private static async Task Pulled(Repository repository)
    {
        var blob = Blob.Random(1000, Sha512);
        var session = await repository.StartUploadAsync();
        var pushed = await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        var location = repository.Registry.Request("GET", pushed.Location);
        foreach (var get in new[] { repository.Get($"blobs/{blob.Digest}"), location })
        {
            (await get.Answers(200)).HasBody(blob.Bytes).HasDigest(blob.Digest);
        }

        (await repository.Head($"blobs/{blob.Digest}").Answers(200)).HasDigest(blob.Digest);
    }

    private static async Task SinglePost(Repository repository)
    {
        var blob = Blob.Random(1000, Sha512);
        var answer = await repository.Post($"blobs/uploads/?digest={blob.Digest}")
            .WithBody(blob.Bytes, "application/octet-stream").AnswersOneOf(201, 202);
        if (answer.Status == 202)
        {
            await new UploadSession(repository.Registry, answer).Complete(blob.Digest, blob.Bytes).Answers(201);
        }

        await repository.HasBlobAsync(blob);
    }

    private static Task Chunked(Repository repository) => ChunksAsync(repository, "");

    private static Task AlgorithmTold(Repository repository) => ChunksAsync(repository, "?digest-algorithm=sha512");

    private static async Task ChunksAsync(Repository repository, string query)
    {
        var session = await repository.StartUploadAsync(query);
        var blob = session.ThreeChunks(Sha512);
        var half = 2 * session.ChunkSize;
        await session.AppendAsync(0, blob.Slice(0, half));
        await session.AppendAsync(half, blob.Bytes[half..]);
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task Streamed(Repository repository)
    {
        var blob = Blob.Random(50_000, Sha512);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task AlgorithmUnknown(Repository repository)
    {
        foreach (var algorithm in new[] { "md5", "nope", "SHA512", "sha512%20", "" })
        {
            await repository.Post($"blobs/uploads/?digest-algorithm={algorithm}").Answers(400);
        }
    }

    private static async Task AlgorithmChanged(Repository repository)
    {
        var session = await repository.StartUploadAsync("?digest-algorithm=sha512");
        var blob = Blob.Random(session.ChunkSize);
        await session.AppendAsync(0, blob.Bytes);
        if ((await session.Complete(blob.Digest).AnswersOneOf(201, 400)).Status == 201)
        {
            await repository.HasBlobAsync(blob);
        }
        else
        {
            await repository.LacksBlobAsync(blob.Digest);
        }
    }

    private static async Task WrongDigest(Repository repository)
    {
        await PushBlobAsync(repository);
        var claimed = Digest.Unknown(Sha512);
        var session = await repository.StartUploadAsync();
        await session.Complete(claimed, [1, 2, 3]).Answers(400);
        await repository.LacksBlobAsync(claimed);
    }

    private static async Task EmptyBlob(Repository repository)
    {
        var empty = Blob.Of([], Sha512);
        await repository.PushAsync(empty);
        (await repository.Get($"blobs/{empty.Digest}").Answers(200)).HasLength(0);
    }

    private static async Task ManifestByDigest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync(Sha512);
        var pushed = await repository.PutManifest(manifest).Answers(201);
        pushed.HasNoOtherDigest(manifest.Digest);

        var digest = manifest.Digest.ToString();
        var location = repository.Registry.Request("GET", pushed.Location).With("Accept", MediaTypes.Any);
        foreach (var get in new[] { repository.GetManifest(digest), location })
        {
            (await get.Answers(200)).HasBody(manifest.Bytes).HasDigest(manifest.Digest);
        }

        (await repository.HeadManifest(digest).Answers(200)).HasDigest(manifest.Digest);
    }

    // A tag stores the digest it was set to: turned into sha256 somewhere, it is no longer what the client pushed.
    private static async Task TaggedByParameter(Repository repository)
    {
        var manifest = await repository.NewManifestAsync(Sha512);
        await repository.PutManifest(manifest, $"{manifest.Digest}?tag=v1&tag=v2").Answers(201);
        foreach (var tag in new[] { "v1", "v2" })
        {
            await repository.TagIsAsync(tag, manifest);
            (await repository.HeadManifest(tag).Answers(200)).HasDigest(manifest.Digest);
        }
    }

    private static async Task ReferringManifest(Repository repository)
    {
        var manifest = Manifest.Of(await repository.NewImageAsync(Sha512));
        await repository.PutManifest(manifest, "v1").Answers(201);
        await repository.TagIsAsync("v1", manifest);
    }

    private static async Task ReferringIndex(Repository repository)
    {
        var index = Manifest.Of(Documents.ImageIndex((await PushManifestAsync(repository)).Descriptor()));
        await repository.PutManifest(index, "v1").Answers(201);
        await repository.TagIsAsync("v1", index);
    }

    private static async Task Mounted(Repository repository)
    {
        var blob = await PushBlobAsync(repository.Second);
        var answer = await repository.Post($"blobs/uploads/?mount={blob.Digest}&from={repository.Second.Name}")
            .AnswersOneOf(201, 202);
        if (answer.Status == 202)
        {
            await new UploadSession(repository.Registry, answer).Complete(blob.Digest, blob.Bytes).Answers(201);
        }

        await repository.HasBlobAsync(blob);
    }

    private static async Task SubjectBySha512(Repository repository)
    {
        var subject = await PushManifestAsync(repository);
        var referrer = Manifest.Of((await repository.NewImageAsync()).WithSubject(subject), Sha512);
        (await repository.PutManifest(referrer).Answers(201)).Has("OCI-Subject", subject.Digest.ToString());
        var answer = await repository.Get($"referrers/{subject.Digest}").Answers(200);
        if (answer.Json()["manifests"] is not JsonArray { Count: 1 } manifests
            || manifests[0]?["digest"]?.ToString() != referrer.Digest.ToString())
        {
            throw answer.Failure($"one descriptor, {referrer.Digest}");
        }
    }

    private static async Task ManifestDeleted(Repository repository)
    {
        var manifest = await PushManifestAsync(repository);
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static async Task BlobDeleted(Repository repository)
    {
        var blob = await PushBlobAsync(repository);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task OtherAlgorithmStays(Repository repository)
    {
        var blob = await PushBlobAsync(repository);
        var same = Blob.Of(blob.Bytes);
        await repository.PushAsync(same);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.LacksBlobAsync(blob.Digest);
        await repository.HasBlobAsync(same);
    }
}
