using System.Text.RegularExpressions;

namespace OciRegistry.Conformance.Areas;

internal static partial class UploadStatusAndCancelArea
{
    public static Area Area { get; } = new Area("UploadStatusAndCancel")
        .Must("end-13: a fresh session is answered 204 with Location and Range", FreshStatus)
        .Must("end-13: a session with bytes is answered 204 with the Range of them", StatusAfterChunk)
        .Must("end-13: the Location of the status goes on with the session", GoOnAtStatusLocation)
        .Must("end-13: an unknown session is answered 404", UnknownStatus)
        .Should("end-14: DELETE cancels a session with 204", Cancelled)
        .Should("end-14: a cancelled session answers 404 to status, chunk and close", CancelledIsGone)
        .Should("end-14: a session with bytes is cancelled, and its bytes are not stored", CancelledWithBytes)
        .Should("end-14: a session is cancelled once; the second DELETE is 404 or 400", CancelledTwice)
        .Should("end-14: cancelling an unknown session is answered 404 or 400", UnknownCancel)
        .Should("end-14: cancelling one session leaves the others of the repository", OthersLive)
        .Must("end-5: a session is no session of another repository", OtherRepository);

    private static async Task FreshStatus(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var answer = await session.Status().Answers(204);
        answer.Header("Location");
        // What the Range of no bytes is, the spec leaves open: 0-0 and 0--1 are both in use.
        if (!AnyRange().IsMatch(answer.Header("Range")))
        {
            throw answer.Failure("Range: 0-<integer>");
        }
    }

    private static async Task StatusAfterChunk(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.AppendAsync(0, Blob.Random(session.ChunkSize).Bytes);
        var answer = await session.Status().Answers(204);
        answer.Has("Range", $"0-{session.ChunkSize - 1}").Header("Location");
    }

    private static async Task GoOnAtStatusLocation(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = Blob.Random(2 * session.ChunkSize);
        await session.AppendAsync(0, blob.Slice(0, session.ChunkSize));
        session.Follow(await session.Status().Answers(204));
        await session.AppendAsync(session.ChunkSize, blob.Bytes[session.ChunkSize..]);
        session.Follow(await session.Status().Answers(204));
        await session.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    private static async Task UnknownStatus(Repository repository)
    {
        await repository.PushImageAsync();
        await repository.Get($"blobs/uploads/{Guid.NewGuid()}").Answers(404);
    }

    private static async Task Cancelled(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        (await session.Cancel().Answers(204)).HasNoBody();
    }

    private static async Task CancelledIsGone(Repository repository)
    {
        var blob = Blob.Random(1024);
        var session = await repository.StartUploadAsync();
        await session.Cancel().Answers(204);
        await session.Status().Answers(404);
        await session.AppendAt(0, blob.Bytes).Answers(404);
        await session.Complete(blob.Digest, blob.Bytes).Answers(404);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task CancelledWithBytes(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        var blob = Blob.Random(session.ChunkSize);
        await session.AppendAsync(0, blob.Bytes);
        await session.Cancel().Answers(204);
        await session.Complete(blob.Digest).Answers(404);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task CancelledTwice(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        await session.Cancel().Answers(204);
        await session.Cancel().AnswersOneOf(404, 400);
    }

    private static async Task UnknownCancel(Repository repository)
    {
        await repository.PushImageAsync();
        await repository.Delete($"blobs/uploads/{Guid.NewGuid()}").AnswersOneOf(404, 400);
    }

    private static async Task OthersLive(Repository repository)
    {
        var (first, second) = (await repository.StartUploadAsync(), await repository.StartUploadAsync());
        var blob = Blob.Random(second.ChunkSize);
        await second.AppendAsync(0, blob.Bytes);
        await first.Cancel().Answers(204);
        await second.Complete(blob.Digest).Answers(201);
        await repository.HasBlobAsync(blob);
    }

    // Who may push to one repository must not reach the sessions of another by its path.
    private static async Task OtherRepository(Repository repository)
    {
        var blob = Blob.Random(1024);
        var session = await repository.StartUploadAsync();
        var location = session.Location.AbsoluteUri;
        var stolen = new Uri(location.Replace(repository.Name, repository.Second.Name, StringComparison.Ordinal));
        if (stolen == session.Location)
        {
            throw new CheckFailedException($"a Location below the repository, not {session.Location} (precondition)");
        }

        await repository.Second.PushImageAsync();
        await repository.Registry.Request("GET", stolen).AnswersClientError();
        await repository.Registry.Request("PATCH", stolen)
            .WithBody(blob.Bytes).WithContentRange(0, 1023).AnswersClientError();
        await repository.Registry.Request("DELETE", stolen).AnswersClientError();
        await session.HoldsAsync(0);
        await session.Complete(blob.Digest, blob.Bytes).Answers(201, "the session is untouched");
    }

    [GeneratedRegex("^0--?[0-9]+$")]
    private static partial Regex AnyRange();
}
