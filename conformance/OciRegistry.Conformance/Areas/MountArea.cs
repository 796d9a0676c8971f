namespace OciRegistry.Conformance.Areas;

/// <summary>end-11: a blob of another repository is linked instead of pushed; when not, a session is at hand.</summary>
internal static class MountArea
{
    public static Area Area { get; } = new Area("Mount")
        .Must("end-11: a mount is answered 201 and a Location that can be pulled, or 202 and a session", MountOrSession)
        .Should("end-11: a blob that the source has is mounted with 201", Mounted)
        .Must("end-11: Docker-Content-Digest, when sent, is the digest mounted", DigestWhenSent)
        .Should("end-11: repository and digest may be percent-encoded; other parameters are ignored", EncodedQuery)
        .Should("end-11: a blob that the source lacks is answered 202 and a session", SourceLacksBlob)
        .Should("end-11: a source that does not exist is answered 202 and a session", NoSource)
        .Should("end-11: a source with a bad name is answered 202 or 400", BadSource)
        .Should("end-11: a malformed digest is answered 202 or 400", MalformedDigest)
        .May("end-11: without from, the blob is found wherever it is", Anonymous)
        .Should("end-11: without from, an unknown blob is answered 202 and a session", AnonymousUnknown)
        .Should("end-11: a mount from the repository itself is answered 201 when the blob is there", FromItself)
        .Should("end-11: mounting twice is answered 201 twice", Twice)
        .Must("end-10: deleting a mounted blob leaves that of the source", DeleteMounted)
        .Must("end-10: deleting the source's blob leaves the mounted one", DeleteSource);

    private static Request Mount(Repository into, Digest digest, Repository from) =>
        into.Post($"blobs/uploads/?mount={digest}&from={from.Name}");

    private static async Task<Blob> InSecondAsync(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.Second.PushAsync(blob);
        return blob;
    }

    private static async Task MountOrSession(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        var answer = await MountOrPushAsync(repository, blob);
        if (answer.Status == 201)
        {
            (await repository.Registry.Request("GET", answer.Location).Answers(200)).HasBody(blob.Bytes);
        }
    }

    /// <summary>As a client does: a registry that will not mount answers 202, and the blob is pushed.</summary>
    private static async Task<Answer> MountOrPushAsync(Repository repository, Blob blob)
    {
        var answer = await Mount(repository, blob.Digest, repository.Second).AnswersOneOf(201, 202);
        if (answer.Status == 202)
        {
            await SessionTakesAsync(repository, answer, blob);
        }

        await repository.HasBlobAsync(blob);
        return answer;
    }

    private static async Task Mounted(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        await Mount(repository, blob.Digest, repository.Second).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task DigestWhenSent(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        (await MountOrPushAsync(repository, blob)).HasNoOtherDigest(blob.Digest);
    }

    private static async Task EncodedQuery(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        var from = Uri.EscapeDataString(repository.Second.Name);
        // As crane sends it.
        await repository
            .Post($"blobs/uploads/?from={from}&mount=sha256%3A{blob.Digest.Encoded}&origin=registry.example")
            .Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task SourceLacksBlob(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.Second.PushImageAsync();
        var answer = await Mount(repository, blob.Digest, repository.Second).Answers(202);
        await SessionTakesAsync(repository, answer, blob);
    }

    private static async Task NoSource(Repository repository)
    {
        var blob = Blob.Random(1000);
        var answer = await Mount(repository, blob.Digest, repository.Second).Answers(202);
        await SessionTakesAsync(repository, answer, blob);
    }

    private static async Task BadSource(Repository repository)
    {
        foreach (var from in new[] { "UPPER", "a//b", "..%2F..%2Fetc", "_x", "" })
        {
            await repository.Post($"blobs/uploads/?mount={Digest.Unknown()}&from={from}").AnswersOneOf(202, 400);
        }
    }

    private static async Task MalformedDigest(Repository repository)
    {
        await repository.Second.PushImageAsync();
        foreach (var digest in MalformedDigests.InQuery(Digest.Unknown()))
        {
            await repository.Post($"blobs/uploads/?mount={digest}&from={repository.Second.Name}")
                .AnswersOneOf(202, 400);
        }
    }

    private static async Task Anonymous(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        await repository.Post($"blobs/uploads/?mount={blob.Digest}").Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task AnonymousUnknown(Repository repository)
    {
        var blob = Blob.Random(1000);
        var answer = await repository.Post($"blobs/uploads/?mount={blob.Digest}").Answers(202);
        await SessionTakesAsync(repository, answer, blob);
    }

    private static async Task FromItself(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await Mount(repository, blob.Digest, repository).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task Twice(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        await Mount(repository, blob.Digest, repository.Second).Answers(201);
        await Mount(repository, blob.Digest, repository.Second).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task DeleteMounted(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        await MountOrPushAsync(repository, blob);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.LacksBlobAsync(blob.Digest);
        await repository.Second.HasBlobAsync(blob);
        // Reading it there must not bring it back here.
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task DeleteSource(Repository repository)
    {
        var blob = await InSecondAsync(repository);
        await MountOrPushAsync(repository, blob);
        await repository.Second.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.Second.LacksBlobAsync(blob.Digest);
        await repository.HasBlobAsync(blob);
    }

    private static async Task SessionTakesAsync(Repository repository, Answer started, Blob blob)
    {
        await new UploadSession(repository.Registry, started).Complete(blob.Digest, blob.Bytes).Answers(201);
        await repository.HasBlobAsync(blob);
    }
}
