namespace OciRegistry.Conformance.Areas;

/// <summary>
/// spec end-5: "Chunks MUST be uploaded in order … If a chunk is uploaded out of order, the registry MUST respond with
/// a 416 Requested Range Not Satisfiable code."
/// </summary>
internal static class ChunkedPushArea
{
    public static Area Area { get; } = new Area("ChunkedPush")
        .Must("end-5: chunks in order are answered 202 with Location and the Range so far", ChunksInOrder)
        .Must("end-6: the closing PUT may carry the last chunk", LastChunkInPut)
        .Must("end-6: the closing PUT may carry the only chunk", OnlyChunkInPut)
        .Must("end-5: a last chunk of one byte is taken", OneByteChunk)
        .Should("end-5: a chunk may come with Transfer-Encoding: chunked and no Content-Length", StreamedChunk)
        .Must("end-5: ten chunks make one blob", TenChunks)
        .Must("end-5: a first chunk that does not begin at 0 is answered 416 and the session lives on", FirstOutOfOrder)
        .Must("end-5: a chunk out of order is answered 416 and the session lives on", Gap)
        .Must("end-5: a chunk that was taken already is answered 416 and the session lives on", Repeated)
        .Must("end-5: a chunk that overlaps the bytes there is answered 416 and the session lives on", Overlap)
        .Must("end-6: a last chunk out of order is answered 416 whatever its digest, and the session lives on",
            LastOutOfOrder)
        .Should("end-5: a Content-Range that is none is answered 400 or 416 and the session lives on", MalformedRange)
        .Should("end-5: a Content-Range of another length than the body is answered 400 or 416", RangeLength)
        .Should("end-5: a chunk of no bytes does not hurt the session", NoBytes)
        .Must("end-6: a wrong digest after chunks is answered 400 and nothing is stored", WrongDigest)
        .Must("end-5: nothing can be pulled before the session is closed", InvisibleBeforeClose)
        .Must("end-5: PATCH to an unknown session is answered 404", UnknownSession)
        .Should("end-4a: OCI-Chunk-Min-Length, when sent, is a number", MinimumLength);

    private static async Task ChunksInOrder(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        for (var offset = 0; offset < blob.Bytes.Length; offset += size)
        {
            var length = Math.Min(size, blob.Bytes.Length - offset);
            var answer = await session.AppendAt(offset, blob.Slice(offset, length)).Answers(202);
            answer.Has("Range", $"0-{offset + length - 1}");
            session.Follow(answer);
        }

        var pushed = await session.Complete(blob.Digest).Answers(201);
        (await repository.Registry.Request("GET", pushed.Location).Answers(200)).HasBody(blob.Bytes);
    }

    private static async Task LastChunkInPut(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        await session.AppendAsync(size, blob.Slice(size, size));
        await session.Complete(blob.Digest, blob.Bytes[(2 * size)..])
            .WithContentRange(2 * size, blob.Bytes.Length - 1).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task OnlyChunkInPut(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = session.ThreeChunks();
        await session.Complete(blob.Digest, blob.Bytes).WithContentRange(0, blob.Bytes.Length - 1).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task OneByteChunk(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = Blob.Random(session.ChunkSize + 1);
        await session.AppendAsync(0, blob.Slice(0, session.ChunkSize));
        await session.AppendAsync(session.ChunkSize, blob.Bytes[^1..]);
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task StreamedChunk(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (Blob.Random(2 * session.ChunkSize), session.ChunkSize);
        session.Follow(await session.AppendAt(0, blob.Slice(0, size)).Streamed().Answers(202));
        session.Follow(await session.AppendAt(size, blob.Slice(size, size)).Streamed().Answers(202));
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task TenChunks(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = Blob.Random(10 * session.ChunkSize);
        foreach (var (index, chunk) in blob.Bytes.Chunk(session.ChunkSize).Index())
        {
            await session.AppendAsync((long)index * session.ChunkSize, chunk);
        }

        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task FirstOutOfOrder(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAt(size, blob.Slice(size, size)).Answers(416);
        await session.HoldsAsync(0);
        await FinishAsync(repository, session, blob, 0);
    }

    private static async Task Gap(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        await session.AppendAt(2 * size, blob.Bytes[(2 * size)..]).Answers(416);
        await session.HoldsAsync(size);
        await FinishAsync(repository, session, blob, size);
    }

    private static async Task Repeated(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        await session.AppendAt(0, blob.Slice(0, size)).Answers(416);
        await session.HoldsAsync(size);
        await FinishAsync(repository, session, blob, size);
    }

    private static async Task Overlap(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        await session.AppendAt(size - 1, blob.Slice(size - 1, size)).Answers(416);
        await session.HoldsAsync(size);
        await FinishAsync(repository, session, blob, size);
    }

    private static async Task LastOutOfOrder(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        await session.Complete(blob.Digest, blob.Bytes[(2 * size)..])
            .WithContentRange(2 * size, blob.Bytes.Length - 1).Answers(416);
        // The official suite asks for the status at the URL that still has the digest on it.
        await repository.Registry.Request("GET", session.LocationWith($"digest={blob.Digest}"))
            .Answers(204, "the session lives on");
        await session.HoldsAsync(size);
        await FinishAsync(repository, session, blob, size);
    }

    private static async Task MalformedRange(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = session.ThreeChunks();
        await session.AppendAsync(0, blob.Slice(0, session.ChunkSize));
        var chunk = blob.Slice(session.ChunkSize, session.ChunkSize);
        foreach (var range in new[]
        {
            $"bytes={session.ChunkSize}-{(2 * session.ChunkSize) - 1}", "abc", "-5", "0-", "5-4", "1-2-3",
            "0x400-0x7ff", "0-18446744073709551615", "99999999999999999999-99999999999999999999",
        })
        {
            (await session.Append(chunk).With("Content-Range", range).OverTcp().SendAsync()).IsOneOf(400, 416);
        }

        await session.HoldsAsync(session.ChunkSize);
        await FinishAsync(repository, session, blob, session.ChunkSize);
    }

    private static async Task RangeLength(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var chunk = Blob.Random(session.ChunkSize).Bytes;
        await session.Append(chunk).WithContentRange(0, chunk.Length).AnswersOneOf(400, 416);
        await session.Append(chunk).WithContentRange(0, chunk.Length - 2).AnswersOneOf(400, 416);
    }

    private static async Task NoBytes(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var (blob, size) = (session.ThreeChunks(), session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, size));
        var answer = await session.Append([]).AnswersOneOf(202, 400, 416);
        if (answer.Status == 202)
        {
            answer.Has("Range", $"0-{size - 1}");
            session.Follow(answer);
        }

        await FinishAsync(repository, session, blob, size);
    }

    private static async Task WrongDigest(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = session.ThreeChunks();
        var claimed = Digest.Unknown();
        await session.AppendAsync(0, blob.Slice(0, session.ChunkSize));
        await session.Complete(claimed).Answers(400);
        await repository.LacksBlobAsync(claimed);
        await repository.LacksBlobAsync(Digest.Of(blob.Slice(0, session.ChunkSize)));
    }

    private static async Task InvisibleBeforeClose(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = Blob.Random(session.ChunkSize);
        await session.AppendAsync(0, blob.Bytes);
        await repository.LacksBlobAsync(blob.Digest);
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task UnknownSession(Repository repository)
    {
        await repository.PushImageAsync();
        await repository.Patch($"blobs/uploads/{Guid.NewGuid()}").WithBody([1, 2, 3], "application/octet-stream")
            .WithContentRange(0, 2).Answers(404);
    }

    private static async Task MinimumLength(Repository repository)
    {
        var answer = await repository.Post("blobs/uploads/").Answers(202);
        if (answer.Optional("OCI-Chunk-Min-Length") is { } minimum && !minimum.All(char.IsAsciiDigit))
        {
            throw answer.Failure("OCI-Chunk-Min-Length as a number of bytes");
        }
    }

    private static async Task FinishAsync(Repository repository, UploadSession session, Blob blob, int offset)
    {
        session.Follow(await session.AppendAt(offset, blob.Bytes[offset..]).Answers(202, "the session lives on"));
        await session.Complete(blob.Digest).Answers(201, "the session lives on");
        await repository.HasBlobAsync(blob);
    }
}
