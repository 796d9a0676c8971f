namespace OciRegistry.Conformance.Areas;

/// <summary>
/// PATCH without Content-Range. The spec does not mention it; most clients push so, and the official suite tests it.
/// </summary>
internal static class StreamedPushArea
{
    private const int Size = 50_000;

    public static Area Area { get; } = new Area("StreamedPush")
        .Should("end-5: a streamed body without length or range is taken as it comes (docker, podman, Jib)", Streamed)
        .Should("end-5: a whole body with a length and no range is taken (crane, skopeo)", WholeBody)
        .Should("end-5: a body without Content-Type is taken (docker)", Untyped)
        .Should("end-5: bodies without ranges are appended at the Location of the last answer (.NET SDK)", Appended)
        .Should("end-5: a chunk with Content-Range may follow a stream", RangeAfterStream)
        .Should("end-6: the closing PUT may carry the rest of a stream", RestInPut)
        .Should("end-6: a wrong digest after a stream is answered 400 and nothing is stored", WrongDigest)
        .Should("end-5: an empty Accept header is no obstacle (Jib)", EmptyAccept)
        .Should("end-13: a client that hung up in the middle finds its session and goes on", HungUp);

    private static async Task Streamed(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        var answer = await session.Append(blob.Bytes).Streamed().Answers(202);
        answer.Has("Range", $"0-{Size - 1}");
        await FinishAsync(repository, session, answer, blob);
    }

    private static async Task WholeBody(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        var answer = await session.Append(blob.Bytes).Answers(202);
        answer.Has("Range", $"0-{Size - 1}");
        await FinishAsync(repository, session, answer, blob);
    }

    private static async Task Untyped(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        var patch = repository.Registry.Request("PATCH", session.Location).WithBody(blob.Bytes).Streamed();
        await FinishAsync(repository, session, await patch.Answers(202), blob);
    }

    private static async Task Appended(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        var sent = 0;
        foreach (var chunk in blob.Bytes.Chunk(Size / 5))
        {
            var answer = await session.Append(chunk).Answers(202);
            sent += chunk.Length;
            answer.Has("Range", $"0-{sent - 1}");
            session.Follow(answer);
        }

        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task RangeAfterStream(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Slice(0, 20_000)).Streamed().Answers(202));
        await FinishAsync(repository, session, await session.AppendAt(20_000, blob.Bytes[20_000..]).Answers(202), blob);
    }

    private static async Task RestInPut(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Slice(0, 20_000)).Streamed().Answers(202));
        await session.Complete(blob.Digest, blob.Bytes[20_000..]).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task WrongDigest(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        session.Follow(await session.Append(blob.Bytes).Streamed().Answers(202));
        await session.Complete(Digest.Unknown()).Answers(400);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task EmptyAccept(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = new UploadSession(
            repository.Registry, await repository.Post("blobs/uploads/").With("Accept", "").OverTcp().Answers(202));
        session.Follow(await session.Append(blob.Bytes).Streamed().With("Accept", "").OverTcp().Answers(202));
        await session.Complete(blob.Digest).With("Accept", "").OverTcp().Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task HungUp(Repository repository)
    {
        var blob = Blob.Random(Size);
        var session = await repository.StartUploadAsync();
        await using (var half = await HalfSentRequest.SendAsync(session.Append(blob.Bytes), Size / 2))
        {
            half.HangUp();
        }

        // How much arrived is the server's to say; it may still be noticing that the client has gone.
        await Task.Delay(200);
        var status = await session.Status().Answers(204, "the session outlives its client");
        var received = HeldBytes(status);
        if (received > Size / 2)
        {
            throw status.Failure($"a Range of at most the {Size / 2} bytes sent");
        }

        session.Follow(status);
        var answer = await session.AppendAt(received, blob.Bytes[received..]).Answers(202);
        await FinishAsync(repository, session, answer, blob);
    }

    // The Range of no bytes is undefined: 0-0 and 0--1 are both in use, and one byte is never what is there here.
    private static int HeldBytes(Answer status)
    {
        var range = status.Header("Range");
        return range.StartsWith("0-", StringComparison.Ordinal) && int.TryParse(range[2..], out var last)
            ? (last <= 0 ? 0 : last + 1)
            : throw status.Failure("Range: 0-<last>");
    }

    private static async Task FinishAsync(Repository repository, UploadSession session, Answer accepted, Blob blob)
    {
        session.Follow(accepted);
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }
}
