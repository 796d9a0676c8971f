namespace OciRegistry.Conformance.Areas;

internal static class MonolithicPushArea
{
    public static Area Area { get; } = new Area("MonolithicPush")
        .Must("end-4a: POST starts a session: 202 and exactly one Location", StartsSession)
        .Must("end-4a: every session has a Location of its own", OwnLocation)
        .Must("end-4a: a Location stays on the host and scheme that the client uses", SameHost)
        .Must("end-6: PUT with the whole blob is answered 201 and a Location that can be pulled", PutThenPull)
        .Must("end-6: PUT takes a streamed body without Content-Length", PutStreamed)
        .Must("end-6: PUT takes a body without Content-Type", PutUntyped)
        .Should("end-6: PUT takes a body after Expect: 100-continue", PutAfterContinue)
        .Must("end-6: the digest may stand first in the query, its colon encoded", ReorderedQuery)
        .Must("end-6: PUT right after POST without a body stores the empty blob", EmptyBlob)
        .Must("end-6: Docker-Content-Digest of the 201, when sent, is the digest pushed", DigestWhenSent)
        .Should("end-6: the 201 carries Docker-Content-Digest, as the official suite's dev profile wants", DigestSent)
        .Must("end-6: a blob that is here already is pushed again with 201", PushTwice)
        .Must("end-6: a body that is not the digest is answered 400", WrongDigest)
        .Must("end-6: a body with bytes too many is answered 400", TrailingBytes)
        .Should("end-6: a malformed or unsupported digest is answered 400", MalformedDigest)
        .Should("end-6: PUT without a digest is answered 400", NoDigest)
        .Must("end-6: PUT to an unknown session is answered 404", UnknownSession)
        .Must("end-6: a completed session is gone", CompletedIsGone)
        .Must("end-4b: POST with digest and body is 201, or 202 and a session that takes the blob", SinglePost)
        .Should("end-4b: POST with the digest of the empty blob and no body stores it", SinglePostEmpty)
        .Must("end-4b: POST with a body that is not the digest stores nothing", SinglePostWrongDigest)
        .Should("end-4b: POST with a malformed digest is answered 400, or 202 with a session",
            SinglePostMalformedDigest)
        .May("end-4b: POST with digest and body is answered 201 at once", SinglePostAtOnce);

    private static async Task StartsSession(Repository repository) =>
        (await repository.Post("blobs/uploads/").Answers(202)).Header("Location");

    private static async Task OwnLocation(Repository repository)
    {
        var first = await repository.Post("blobs/uploads/").Answers(202);
        var second = await repository.Post("blobs/uploads/").Answers(202);
        if (first.Location.AbsolutePath == second.Location.AbsolutePath)
        {
            throw second.Failure("another Location than that of the first session");
        }
    }

    private static async Task SameHost(Repository repository)
    {
        var answer = await repository.Post("blobs/uploads/").Answers(202);
        if (Uri.Compare(answer.Location, repository.Registry.Url, UriComponents.SchemeAndServer, UriFormat.UriEscaped,
            StringComparison.OrdinalIgnoreCase) != 0)
        {
            throw answer.Failure($"a Location on {repository.Registry.Url}, or a relative one");
        }
    }

    private static async Task PutThenPull(Repository repository)
    {
        var blob = Blob.Random(100_000);
        var session = await repository.StartUploadAsync();
        var pushed = await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        (await repository.Registry.Request("GET", pushed.Location).Answers(200, "the Location of the 201"))
            .HasBody(blob.Bytes);
        await repository.HasBlobAsync(blob);
    }

    private static async Task PutStreamed(Repository repository)
    {
        var blob = Blob.Random(100_000);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Streamed().Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task PutUntyped(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        await repository.Registry.Request("PUT", session.LocationWith($"digest={blob.Digest}"))
            .WithBody(blob.Bytes).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task PutAfterContinue(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).ExpectingContinue().Answers(201);
        await repository.HasBlobAsync(blob);
    }

    // Go's url.Values sorts the keys and encodes the colon; the state in the query has to survive both.
    private static async Task ReorderedQuery(Repository repository)
    {
        foreach (var colon in new[] { "%3A", "%3a", ":" })
        {
            var blob = Blob.Random(1000);
            var session = await repository.StartUploadAsync();
            var state = session.Location.Query.TrimStart('?');
            var query = $"?digest=sha256{colon}{blob.Digest.Encoded}{(state.Length > 0 ? "&" : "")}{state}";
            await repository.Registry.Request("PUT", new Uri(session.Location, session.Location.AbsolutePath + query))
                .WithBody(blob.Bytes, "application/octet-stream").Answers(201);
            await repository.HasBlobAsync(blob);
        }
    }

    private static async Task EmptyBlob(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.Complete(Blob.Empty.Digest).Answers(201);
        await repository.HasBlobAsync(Blob.Empty);
    }

    private static async Task DigestWhenSent(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        var answer = await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        answer.HasNoOtherDigest(blob.Digest);
    }

    private static async Task DigestSent(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        (await session.Complete(blob.Digest, blob.Bytes).Answers(201)).HasDigest(blob.Digest);
    }

    private static async Task PushTwice(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task WrongDigest(Repository repository)
    {
        var (sent, claimed) = (Blob.Random(1000), Blob.Random(1000));
        var session = await repository.StartUploadAsync();
        await session.Complete(claimed.Digest, sent.Bytes).Answers(400);
        await repository.LacksBlobAsync(claimed.Digest);
        await repository.LacksBlobAsync(sent.Digest);
    }

    private static async Task TrailingBytes(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, [.. blob.Bytes, 0]).Answers(400);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task MalformedDigest(Repository repository)
    {
        var blob = Blob.Random(1000);
        foreach (var digest in MalformedDigests.InQuery(blob.Digest))
        {
            var session = await repository.StartUploadAsync();
            await repository.Registry.Request("PUT", session.LocationWith($"digest={digest}"))
                .WithBody(blob.Bytes, "application/octet-stream").Answers(400);
        }

        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task NoDigest(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await repository.Registry.Request("PUT", session.Location).WithBody([1, 2, 3]).Answers(400);
    }

    private static async Task UnknownSession(Repository repository)
    {
        await repository.PushImageAsync();
        var blob = Blob.Random(1000);
        await repository.Put($"blobs/uploads/{Guid.NewGuid()}?digest={blob.Digest}").WithBody(blob.Bytes).Answers(404);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task CompletedIsGone(Repository repository)
    {
        var blob = Blob.Random(1000);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        await session.Status().Answers(404);
        await session.AppendAt(0, blob.Bytes).Answers(404);
        await session.Cancel().Answers(404);
        // Another digest: the same one would be a replay, which may be answered 201.
        await session.Complete(Digest.Unknown()).Answers(404);
        await repository.HasBlobAsync(blob);
    }

    private static async Task SinglePost(Repository repository)
    {
        var blob = Blob.Random(1000);
        var answer = await SinglePostAsync(repository, blob.Digest, blob.Bytes);
        if (answer.IsOneOf(201, 202).Status == 202)
        {
            await new UploadSession(repository.Registry, answer).Complete(blob.Digest, blob.Bytes).Answers(201);
        }
        else
        {
            (await repository.Registry.Request("GET", answer.Location).Answers(200)).HasBody(blob.Bytes);
        }

        await repository.HasBlobAsync(blob);
    }

    private static async Task SinglePostEmpty(Repository repository)
    {
        var answer = await SinglePostAsync(repository, Blob.Empty.Digest, []);
        if (answer.IsOneOf(201, 202).Status == 202)
        {
            await new UploadSession(repository.Registry, answer).Complete(Blob.Empty.Digest).Answers(201);
        }

        await repository.HasBlobAsync(Blob.Empty);
    }

    private static async Task SinglePostWrongDigest(Repository repository)
    {
        var (sent, claimed) = (Blob.Random(1000), Blob.Random(1000));
        (await SinglePostAsync(repository, claimed.Digest, sent.Bytes)).IsOneOf(400, 202);
        await repository.LacksBlobAsync(claimed.Digest);
        await repository.LacksBlobAsync(sent.Digest);
    }

    private static async Task SinglePostMalformedDigest(Repository repository)
    {
        foreach (var digest in MalformedDigests.InQuery(Digest.Unknown()))
        {
            await repository.Post($"blobs/uploads/?digest={digest}").WithBody([1, 2, 3], "application/octet-stream")
                .AnswersOneOf(400, 202);
        }
    }

    private static async Task SinglePostAtOnce(Repository repository)
    {
        var blob = Blob.Random(1000);
        (await SinglePostAsync(repository, blob.Digest, blob.Bytes)).Is(201);
        await repository.HasBlobAsync(blob);
    }

    private static Task<Answer> SinglePostAsync(Repository repository, Digest digest, byte[] bytes) =>
        repository.Post($"blobs/uploads/?digest={digest}").WithBody(bytes, "application/octet-stream").SendAsync();
}
