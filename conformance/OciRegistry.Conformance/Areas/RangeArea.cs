namespace OciRegistry.Conformance.Areas;

/// <summary>end-2: "A registry SHOULD support the Range request header in accordance with RFC 9110."</summary>
internal static class RangeArea
{
    private const int Size = 2048;

    public static Area Area { get; } = new Area("Range")
        .Should("end-2: bytes=0-99 is answered with the first 100 bytes", r => Part(r, "bytes=0-99", 0, 100))
        .Should("end-2: bytes=0-0 is answered with one byte", r => Part(r, "bytes=0-0", 0, 1))
        .Should("end-2: bytes=500-999 is answered with the middle", r => Part(r, "bytes=500-999", 500, 500))
        .Should("end-2: bytes=2000- is answered with the rest", r => Part(r, "bytes=2000-", 2000, 48))
        .Should("end-2: bytes=0- is answered with all of it", r => Part(r, "bytes=0-", 0, Size))
        .Should("end-2: bytes=-100 is answered with the last 100 bytes", r => Part(r, "bytes=-100", Size - 100, 100))
        .Should("end-2: a suffix longer than the blob is all of it", r => Part(r, "bytes=-99999", 0, Size))
        .Should("end-2: an end beyond the blob is cut to it", r => Part(r, "bytes=2000-5000", 2000, 48))
        .Should("end-2: an end beyond 64 bits is cut to the blob", LongEnd)
        .Should("end-2: a start beyond the blob is answered 416 with its size", r => Unsatisfiable(r, "bytes=2048-"))
        .Should("end-2: a suffix of no bytes is answered 416", r => Unsatisfiable(r, "bytes=-0"))
        .May("end-2: an end before the start is answered 416, the answer that the official suite counts", Backwards)
        .Must("end-2: an end before the start is refused or ignored", BackwardsAtAll)
        .Must("end-2: a range that cannot be read is refused or ignored", Malformed)
        .Must("end-2: a range in an unknown unit is ignored", UnknownUnit)
        .Must("end-2: several ranges are answered with the whole or with multipart/byteranges", SeveralRanges)
        .Must("end-2: a thousand ranges are no attack", ThousandRanges)
        .Should("end-2: Range is ignored on HEAD", RangeOnHead)
        .Should("end-2: If-Range with the ETag of the blob brings the part", IfRangeMatches)
        .Should("end-2: If-Range with another ETag brings the whole", IfRangeDiffers)
        .May("end-2: Accept-Ranges says that ranges are served", AcceptRanges);

    private static async Task<(Blob Blob, Request Get)> PushedAsync(Repository repository)
    {
        var blob = Blob.Random(Size);
        await repository.PushAsync(blob);
        return (blob, repository.Get($"blobs/{blob.Digest}"));
    }

    private static async Task Part(Repository repository, string range, int first, int length)
    {
        var (blob, get) = await PushedAsync(repository);
        var answer = await get.With("Range", range).Answers(206);
        answer.HasBody(blob.Slice(first, length))
            .HasLength(length)
            .Has("Content-Range", $"bytes {first}-{first + length - 1}/{Size}");
    }

    private static async Task LongEnd(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        var answer = await get.With("Range", "bytes=2000-99999999999999999999").OverTcp().AnswersOneOf(200, 206, 416);
        if (answer.Status == 206)
        {
            answer.HasBody(blob.Slice(2000, 48));
        }
    }

    private static async Task Unsatisfiable(Repository repository, string range)
    {
        var (_, get) = await PushedAsync(repository);
        (await get.With("Range", range).OverTcp().Answers(416)).Has("Content-Range", $"bytes */{Size}");
    }

    private static async Task Backwards(Repository repository)
    {
        var (_, get) = await PushedAsync(repository);
        await get.With("Range", "bytes=500-0").OverTcp().Answers(416);
    }

    private static async Task BackwardsAtAll(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        WholeOrRefused(await get.With("Range", "bytes=500-0").OverTcp().SendAsync(), blob);
    }

    private static async Task Malformed(Repository repository)
    {
        var (blob, _) = await PushedAsync(repository);
        foreach (var range in new[] { "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0x0-9", "bytes=--5", "0-9" })
        {
            var get = repository.Get($"blobs/{blob.Digest}").With("Range", range).OverTcp();
            WholeOrRefused(await get.SendAsync(), blob);
        }
    }

    private static void WholeOrRefused(Answer answer, Blob blob)
    {
        if (answer.IsOneOf(200, 400, 416).Status == 200)
        {
            answer.HasBody(blob.Bytes);
        }
    }

    // RFC 9110 14.2: a server MUST ignore a Range whose unit it does not understand.
    private static async Task UnknownUnit(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        (await get.With("Range", "lines=0-9").OverTcp().Answers(200)).HasBody(blob.Bytes);
    }

    private static async Task SeveralRanges(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        var answer = await get.With("Range", "bytes=0-1,100-101").AnswersOneOf(200, 206);
        if (answer.Status == 200)
        {
            answer.HasBody(blob.Bytes);
        }
        else if (!answer.Header("Content-Type").StartsWith("multipart/byteranges", StringComparison.Ordinal))
        {
            throw answer.Failure("Content-Type: multipart/byteranges");
        }
    }

    private static async Task ThousandRanges(Repository repository)
    {
        var (_, get) = await PushedAsync(repository);
        var ranges = string.Join(',', Enumerable.Range(0, 1000).Select(i => $"{2 * i}-{2 * i}"));
        await get.With("Range", "bytes=" + ranges).AnswersOneOf(200, 206, 400, 416, 431);
        await get.AnswersOneOf(200, 206, 400, 416, 431);
    }

    // RFC 9110 14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized
    // or for which range handling is not defined. For this specification, GET is the only method".
    private static async Task RangeOnHead(Repository repository)
    {
        var (blob, _) = await PushedAsync(repository);
        (await repository.Head($"blobs/{blob.Digest}").With("Range", "bytes=0-99").Answers(200)).HasLength(Size);
    }

    private static async Task IfRangeMatches(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        var entityTag = (await get.Answers(200)).Header("ETag");
        var answer = await repository.Get($"blobs/{blob.Digest}")
            .With("Range", "bytes=0-99").With("If-Range", entityTag).Answers(206);
        answer.HasBody(blob.Slice(0, 100));
    }

    private static async Task IfRangeDiffers(Repository repository)
    {
        var (blob, get) = await PushedAsync(repository);
        var answer = await get.With("Range", "bytes=0-99").With("If-Range", "\"another\"").Answers(200);
        answer.HasBody(blob.Bytes);
    }

    private static async Task AcceptRanges(Repository repository)
    {
        var (_, get) = await PushedAsync(repository);
        (await get.Answers(200)).Has("Accept-Ranges", "bytes");
    }
}
