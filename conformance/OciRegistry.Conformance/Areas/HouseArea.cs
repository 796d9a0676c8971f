namespace OciRegistry.Conformance.Areas;

/// <summary>What this project's registry promises beyond the spec: its upload sessions and its errors.</summary>
internal static class HouseArea
{
    private const int Size = 50_000;

    public static Area Area { get; } = new Area("House")
        .Must("errors: each has the request id in its detail, and X-Request-Id is the same", RequestId)
        .Must("uploads: Locations are relative", RelativeLocations)
        .Must("uploads: a 416 carries Range, Location and {expected, received}", OffsetMismatch)
        .Must("uploads: so does a 416 of the closing PUT, whatever its digest", OffsetMismatchAtClose)
        .Must("uploads: whatever the offset, the answer is 416 and the session lives on", AnyMismatch)
        .Must("uploads: a PATCH replayed to its Location is 202 with the same Range, time and again", ReplayedPatch)
        .Must("uploads: a PATCH replayed at a later Location replaces that part only", ReplayedLaterPatch)
        .Must("uploads: a PATCH whose client hung up is replayed and answered 202", ReplayAfterHangUp)
        .Must("uploads: a replay takes over from a PATCH that still runs, and its end does no harm", ReplayTakesOver)
        .Must("uploads: a replay that breaks off leaves the bytes that were acknowledged", BrokenReplay)
        .Must("uploads: a body cut short keeps the session and what arrived", CutShort)
        .Must("uploads: a closing PUT replayed is 201 with the same Location and digest", ReplayedPut)
        .Must("uploads: a closing PUT of another digest after the end is 404", OtherDigestAfterEnd)
        .Must("uploads: a closing PUT is not replayed once the blob is deleted: 404", ReplayAfterDelete)
        .Must("uploads: a wrong digest ends the session", WrongDigestEnds)
        .Must("uploads: the second DELETE of a session is 404 BLOB_UPLOAD_UNKNOWN", SecondCancel)
        .Must("uploads: DELETE ends a session whose PATCH still runs", CancelRunning)
        .Must("manifests: each missing blob is a MANIFEST_BLOB_UNKNOWN of the 404, and the tag stays", MissingBlobs)
        .Must("manifests: the images of an index are checked like blobs", MissingImages)
        .Must("manifests: a blob of another repository is missing here", BlobElsewhere)
        .Must("names: more than 255 characters are 400 NAME_INVALID", LongName)
        .Must("connections: a TLS hello on a plain port is refused, and the server goes on", TlsHello);

    private static async Task RequestId(Repository repository)
    {
        await repository.PushImageAsync("v1");
        foreach (var request in new[]
        {
            repository.GetManifest("none"),
            repository.GetManifest("sha256:bad"),
            repository.Get($"blobs/{Digest.Unknown()}"),
            repository.Get($"blobs/uploads/{Guid.NewGuid()}"),
            repository.Below("/UPPER").Get("tags/list"),
            repository.Put("tags/list").WithBody([]),
        })
        {
            var answer = await request.AnswersClientError();
            var id = answer.Header("X-Request-Id");
            if (string.IsNullOrEmpty(id) || answer.Json()["errors"]!.AsArray().Any(error => error!["detail"]?["requestId"]?.ToString() != id))
            {
                throw answer.Failure("requestId in the detail of each error, and the same in X-Request-Id");
            }
        }
    }

    // Behind TLS, or two names, only a relative Location is right for every client.
    private static async Task RelativeLocations(Repository repository)
    {
        var blob = Blob.Random(Size);
        var started = await repository.Post("blobs/uploads/").Answers(202);
        var session = new UploadSession(repository.Registry, started);
        var appended = await session.Append(blob.Bytes).Answers(202);
        session.Follow(appended);
        var closed = await session.Complete(blob.Digest).Answers(201);
        var manifest = await repository.PutManifest(await repository.NewManifestAsync(), "v1").Answers(201);
        foreach (var answer in new[] { started, appended, closed, manifest })
        {
            if (!answer.Header("Location").StartsWith("/v2/", StringComparison.Ordinal))
            {
                throw answer.Failure("Location: /v2/…");
            }
        }
    }

    private static void Explains(Answer mismatch, long expected, long received)
    {
        mismatch.Has("Range", $"0-{expected - 1}").Header("Location");
        var detail = mismatch.Json()["errors"]?[0]?["detail"] as JsonObject;
        if (detail?["expected"]?.ToString().Contains($"{expected}", StringComparison.Ordinal) != true
            || detail["received"]?.ToString().Contains($"{received}", StringComparison.Ordinal) != true)
        {
            throw mismatch.Failure($"detail with expected {expected} and received {received}");
        }
    }

    private static async Task OffsetMismatch(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.AppendAsync(0, Blob.Random(1024).Bytes);
        var mismatch = await session.AppendAt(2048, Blob.Random(1024).Bytes).Answers(416);
        Explains(mismatch, 1024, 2048);
        session.Follow(mismatch);
        await session.HoldsAsync(1024);
    }

    private static async Task OffsetMismatchAtClose(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.AppendAsync(0, Blob.Random(1024).Bytes);
        var mismatch = await session.Complete(Digest.Unknown(), [1, 2]).WithContentRange(2048, 2049).Answers(416);
        Explains(mismatch, 1024, 2048);
        await session.HoldsAsync(1024);
    }

    private static async Task AnyMismatch(Repository repository)
    {
        var blob = Blob.Random(4096);
        var session = await repository.StartUploadAsync();
        await session.AppendAsync(0, blob.Slice(0, 1024));
        foreach (var offset in new[] { 0L, 1, 1023, 1025, 4096, 1L << 40, long.MaxValue - 5000 })
        {
            await session.AppendAt(offset, blob.Slice(0, 512)).Answers(416);
            await session.HoldsAsync(1024);
        }

        await session.AppendAsync(1024, blob.Bytes[1024..]);
        await session.Complete(blob.Digest).Answers(201);
    }

    private static async Task ReplayedPatch(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        Answer? last = null;
        for (var i = 0; i < 4; i++)
        {
            last = await session.Append(blob.Bytes).Streamed().Answers(202);
            last.Has("Range", $"0-{Size - 1}");
        }

        session.Follow(last!);
        await FinishAsync(repository, session, blob);
    }

    private static async Task ReplayedLaterPatch(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Slice(0, 20_000)).Answers(202));
        await session.Append(blob.Bytes[20_000..]).Answers(202);
        var replayed = await session.Append(blob.Bytes[20_000..]).Answers(202);
        session.Follow(replayed.Has("Range", $"0-{Size - 1}"));
        await FinishAsync(repository, session, blob);
    }

    private static async Task ReplayAfterHangUp(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await using (var first = await HalfSentRequest.SendAsync(session.Append(blob.Bytes), Size / 2))
        {
            first.HangUp();
        }

        session.Follow((await session.Append(blob.Bytes).Streamed().Answers(202)).Has("Range", $"0-{Size - 1}"));
        await FinishAsync(repository, session, blob);
    }

    private static async Task ReplayTakesOver(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await using var first = await HalfSentRequest.SendAsync(session.Append(blob.Bytes), Size / 2);
        await Task.Delay(200);
        session.Follow((await session.Append(blob.Bytes).Streamed().Answers(202)).Has("Range", $"0-{Size - 1}"));
        first.HangUp();
        await FinishAsync(repository, session, blob);
    }

    private static async Task BrokenReplay(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        var acknowledged = await session.Append(blob.Bytes).Answers(202);
        await using (var replay = await HalfSentRequest.SendAsync(session.Append(blob.Bytes), Size / 2))
        {
            await Task.Delay(100);
            replay.HangUp();
        }

        session.Follow(acknowledged);
        await FinishAsync(repository, session, blob);
    }

    private static async Task CutShort(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await session.AppendAsync(0, blob.Slice(0, 1024));
        await using (var half = await HalfSentRequest.SendAsync(session.AppendAt(1024, blob.Bytes[1024..]), 10_000))
        {
            half.HangUp();
        }

        // However much of it is kept, the acknowledged bytes are, and the client goes on from what Range says.
        await Task.Delay(200);
        var status = await session.Status().Answers(204);
        var held = int.Parse(status.Header("Range")[2..]) + 1;
        if (held is < 1024 or > 11_024)
        {
            throw status.Failure("a Range between 0-1023 and 0-11023");
        }

        session.Follow(status);
        await session.AppendAsync(held, blob.Bytes[held..]);
        await FinishAsync(repository, session, blob);
    }

    private static async Task ReplayedPut(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
        var first = await session.Complete(blob.Digest).Answers(201);
        var replayed = await session.Complete(blob.Digest).Answers(201);
        replayed.Has("Location", first.Header("Location")).HasDigest(blob.Digest);
    }

    private static async Task OtherDigestAfterEnd(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        (await session.Complete(Digest.Unknown()).Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
    }

    private static async Task ReplayAfterDelete(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await session.Complete(blob.Digest, blob.Bytes).Answers(201);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        (await session.Complete(blob.Digest).Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task WrongDigestEnds(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.Complete(Digest.Unknown(), Blob.Random(Size).Bytes).Answers(400);
        await session.Status().Answers(404);
    }

    private static async Task SecondCancel(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.Cancel().Answers(204);
        (await session.Cancel().Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
    }

    private static async Task CancelRunning(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await using var patch = await HalfSentRequest.SendAsync(session.Append(blob.Bytes), Size / 2);
        await Task.Delay(200);
        await session.Cancel().Answers(204);
        (await patch.FinishAsync()).IsOneOf(404, 409);
        await session.Status().Answers(404);
    }

    private static async Task MissingBlobs(Repository repository)
    {
        var before = await repository.PushImageAsync("v1");
        var document = await repository.NewImageAsync();
        Blob[] missing = [Blob.Random(10), Blob.Random(20), Blob.Random(30)];
        foreach (var blob in missing)
        {
            ((JsonArray)document["layers"]!).Add(blob.Descriptor(MediaTypes.Layer));
        }

        var manifest = Manifest.Of(document);
        var refused = await repository.PutManifest(manifest, "v1").Answers(404);
        NamesMissing(refused, [.. missing.Select(blob => blob.Digest)]);
        await repository.TagIsAsync("v1", before);
        await repository.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static async Task MissingImages(Repository repository)
    {
        var missing = Manifest.Of(Documents.ImageIndex().Annotated("example.missing", repository.Name));
        var present = await repository.PushImageAsync();
        var index = Manifest.Of(Documents.ImageIndex(present.Descriptor(), missing.Descriptor()));
        NamesMissing(await repository.PutManifest(index, "v1").Answers(404), missing.Digest);
        await repository.LacksManifestAsync("v1");
    }

    private static async Task BlobElsewhere(Repository repository)
    {
        var blob = Blob.Random(100);
        await repository.Second.PushAsync(blob);
        var manifest = Manifest.Of(Documents.Image(blob.Descriptor(MediaTypes.ImageConfig)));
        NamesMissing(await repository.PutManifest(manifest, "v1").Answers(404), blob.Digest);
    }

    private static void NamesMissing(Answer refused, params Digest[] missing)
    {
        var errors = (refused.Json()["errors"] as JsonArray ?? []).Select(error => $"{error?.ToJsonString()}").ToList();
        bool IsNamed(Digest digest) =>
            errors.Count(error => error.Contains(digest.Encoded, StringComparison.Ordinal)) == 1;
        if (errors.Count != missing.Length
            || refused.ErrorCodes().Any(code => code != "MANIFEST_BLOB_UNKNOWN")
            || !missing.All(IsNamed))
        {
            throw refused.Failure($"one MANIFEST_BLOB_UNKNOWN for each of {string.Join(", ", missing)}");
        }
    }

    private static async Task LongName(Repository repository)
    {
        var name = repository.Below("/" + new string('n', 255 - repository.Name.Length));
        (await name.Post("blobs/uploads/").Answers(400)).HasErrorCode("NAME_INVALID");
    }

    // docker, podman and crane try TLS first, and go on in plain text when that is refused.
    private static async Task TlsHello(Repository repository)
    {
        if (repository.Registry.Url.Scheme == Uri.UriSchemeHttps)
        {
            throw new CheckFailedException("precondition: a registry on plain HTTP");
        }

        await using (var connection = await RawConnection.OpenAsync(repository.Registry.Url, TimeSpan.FromSeconds(5)))
        {
            // A record and handshake header, TLS 1.2, and what counts as random.
            byte[] header = [0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x03, 0x03];
            await connection.WriteAsync((byte[])[.. header, .. Enumerable.Range(0, 41).Select(i => (byte)i)]);
            var answer = await connection.ReadToEndAsync();
            if (answer.Length > 0 && !answer.AsSpan().StartsWith("HTTP/1.1 400"u8))
            {
                throw new CheckFailedException("400 or a closed connection");
            }
        }

        await repository.Registry.Request("GET", "/v2/").Answers(200);
    }

    private static async Task FinishAsync(Repository repository, UploadSession session, Blob blob)
    {
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }
}
