using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Groups 4, 5, 7 and 8: sessions, ranges, and requests that get in each other's way.</summary>
public sealed class UploadTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    private readonly byte[] _blob = RegistryClient.RandomBytes(100);

    private string Digest => OciRegistry.Digest.Of(_blob).ToString();

    // --- 4: addresses -------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("..")]
    [InlineData("%2e%2e%2f")]
    [InlineData("..%2f..%2fetc%2fpasswd")]
    [InlineData("%00")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF")]
    [InlineData("123e4567-e89b-12d3-a456-426614174000")]
    [InlineData("*")]
    [InlineData("a%0d%0ab")]
    public async Task A_session_that_is_none_is_refused(string session)
    {
        foreach (var method in new[] { "GET", "PATCH", "PUT", "DELETE" })
        {
            (await AskAsync(
                $"{method} /v2/{Repository}/blobs/uploads/{session}?digest={Digest} HTTP/1.1\r\nContent-Length: 1", "x"))
                .ShouldBeRefused("BLOB_UPLOAD_UNKNOWN", "NAME_INVALID", "UNSUPPORTED", "DIGEST_INVALID", "UNSUPPORTED");
        }
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("1")]
    [InlineData("51")]
    [InlineData("9223372036854775807")]
    [InlineData("9223372036854775808")]
    [InlineData("18446744073709551616")]
    [InlineData("abc")]
    [InlineData("")]
    [InlineData("%2b1")]
    [InlineData("0x10")]
    [InlineData("1e1")]
    [InlineData("50&offset=50")]
    [InlineData("%00")]
    public async Task A_tampered_offset_is_refused_and_the_session_stays_as_it_was(string offset)
    {
        var location = await StartedAsync(50);
        var tampered = $"{location.Split('?')[0]}?offset={offset}";

        (await AskAsync($"PATCH {tampered} HTTP/1.1\r\nContent-Length: 50", new string('x', 50)))
            .ShouldBeRefused("BLOB_UPLOAD_INVALID");
        (await AskAsync($"PUT {tampered}&digest={Digest} HTTP/1.1\r\nContent-Length: 50", new string('x', 50)))
            .ShouldBeRefused("BLOB_UPLOAD_INVALID");

        await ShouldCompleteFromAsync(location, 50);
    }

    // --- 5: Content-Range ---------------------------------------------------------------------------------------

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData("50-")]
    [InlineData("-5")]
    [InlineData("55-54")]
    [InlineData("bytes 50-99/99")]
    [InlineData("bytes 50-99/x")]
    [InlineData("bytes 50-99/")]
    [InlineData("bytes=50-99")]
    [InlineData("bytes bytes 50-99")]
    [InlineData("50-99/100/100")]
    [InlineData("0-49")] // was there
    [InlineData("40-89")] // overlaps
    [InlineData("60-109")] // leaves a gap
    [InlineData("50-98")] // shorter than Content-Length
    [InlineData("50-100")] // longer
    [InlineData("50-9223372036854775807")]
    [InlineData("0-18446744073709551615")]
    [InlineData("9223372036854775806-9223372036854775806")]
    [InlineData("99999999999999999999-99999999999999999999")]
    [InlineData("fifty-ninety")]
    [InlineData("50-99\r\nContent-Range: 50-99")]
    public async Task A_bad_range_is_refused_and_the_session_stays_as_it_was(string range)
    {
        var location = await StartedAsync(50);

        foreach (var framing in new[] { "Content-Length: 50", "Transfer-Encoding: chunked" })
        {
            var body = framing[0] == 'C' ? new string('x', 50) : $"32\r\n{new string('x', 50)}\r\n0\r\n\r\n";
            foreach (var target in new[] { $"PATCH {location}", $"PUT {location}&digest={Digest}" })
            {
                (await AskAsync($"{target} HTTP/1.1\r\n{framing}\r\nContent-Range: {range}", body))
                    .ShouldBeRefused("BLOB_UPLOAD_INVALID", "SIZE_INVALID");
            }
        }

        await ShouldCompleteFromAsync(location, 50);
    }

    [Theory]
    [InlineData("Content-Length: 0")]
    [InlineData("Transfer-Encoding: chunked")]
    [InlineData("X-None: 0")]
    public async Task A_range_of_an_empty_body_is_refused(string framing)
    {
        var location = await StartedAsync(50);
        var body = framing[0] == 'T' ? "0\r\n\r\n" : "";

        (await AskAsync($"PATCH {location} HTTP/1.1\r\n{framing}\r\nContent-Range: 50-99", body))
            .ShouldBeRefused("SIZE_INVALID");
        (await AskAsync($"PUT {location}&digest={Digest} HTTP/1.1\r\n{framing}\r\nContent-Range: 50-99", body))
            .ShouldBeRefused("SIZE_INVALID");

        await ShouldCompleteFromAsync(location, 50);
    }

    [Fact]
    public async Task A_range_beyond_the_largest_blob_is_final()
    {
        var location = await StartedAsync(50);

        (await AskAsync(
            $"PATCH {location} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Range: 50-9223372036854775806", "1\r\nx\r\n"))
            .ShouldBeRefused("SIZE_INVALID");

        using var status = await Http.RequestAsync("GET", location);
        await status.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    // --- 7: what gets in each other's way -------------------------------------------------------------------------

    [Theory]
    [InlineData(99)]
    [InlineData(0)]
    public async Task Fewer_bytes_than_the_digest_has_are_refused(int length)
    {
        using var put = await Http.CompleteAsync(await Http.NewUploadAsync(Repository), Digest, _blob[..length]);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task More_bytes_than_the_digest_has_are_refused()
    {
        using var put = await Http.CompleteAsync(await Http.NewUploadAsync(Repository), Digest, [.. _blob, 0]);

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
    }

    [Fact]
    public async Task Closing_requests_at_once_are_all_answered_with_201()
    {
        for (var round = 0; round < 5; round++)
        {
            var location = await Http.NewUploadAsync(Repository);
            using var patch = await Http.PatchAsync(location, _blob);

            var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ =>
            {
                using var put = await Http.CompleteAsync(location, Digest);
                return put.StatusCode;
            }));

            answers.ShouldAllBe(status => status == HttpStatusCode.Created);
        }
    }

    [Fact]
    public async Task A_closing_request_while_a_chunk_is_being_sent_is_told_to_wait_and_works_afterwards()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var patch = await HalfSentAsync(location);

        using var early = await Http.CompleteAsync(location, Digest);
        await early.ShouldBeErrorAsync(HttpStatusCode.Conflict, "BLOB_UPLOAD_INVALID");
        early.Header("Retry-After").ShouldNotBeNull();

        await patch.SendAsync(_blob[50..]);
        (await patch.ReadAsync()).Status.ShouldBe(202);
        using var put = await Http.CompleteAsync(location, Digest);
        await put.ShouldHaveCreatedAsync(Http, OciRegistry.Digest.Of(_blob), _blob);
    }

    [Fact]
    public async Task The_next_chunk_while_one_is_being_sent_is_told_to_wait()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var first = await HalfSentAsync(location);

        using var second = await Http.PatchAsync(location, _blob, "100-199");

        await second.ShouldBeErrorAsync(HttpStatusCode.Conflict, "BLOB_UPLOAD_INVALID");
        await first.SendAsync(_blob[50..]);
        (await first.ReadAsync()).Status.ShouldBe(202);
    }

    [Fact]
    public async Task Cancelling_while_a_chunk_is_being_sent_ends_that_chunk()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var patch = await HalfSentAsync(location);

        using var cancelled = await Http.RequestAsync("DELETE", location);
        cancelled.StatusCode.ShouldBe(HttpStatusCode.NoContent);

        (await patch.ReadAsync()).Codes.ShouldBe(["BLOB_UPLOAD_INVALID"]); // not just a reset
        using var status = await Http.RequestAsync("GET", location);
        await status.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    [Fact]
    public async Task The_same_chunk_again_replaces_the_one_that_is_being_sent()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var first = await HalfSentAsync(location);

        using var again = await Http.PatchAsync(location, _blob);

        await again.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-99");
        var overtaken = await first.ReadAsync(); // "whose client (if still there) gets 409" (R3.7)
        overtaken.Status.ShouldBe(409);
        overtaken.Codes.ShouldBe(["BLOB_UPLOAD_INVALID"]);
        using var put = await Http.CompleteAsync(location, Digest);
        await put.ShouldHaveCreatedAsync(Http, OciRegistry.Digest.Of(_blob), _blob);
    }

    // --- 8: mounts ------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("..")]
    [InlineData("../../etc")]
    [InlineData("%2e%2e%2f%2e%2e%2fetc")]
    [InlineData("A")]
    [InlineData("_catalog")]
    [InlineData("a%00b")]
    [InlineData("a%0d%0ab")]
    [InlineData("a&from=b")]
    public async Task A_mount_from_a_bad_name_is_a_session(string from)
    {
        var answer = await AskAsync(
            $"POST /v2/{Repository}/blobs/uploads/?mount={Digest}&from={from} HTTP/1.1\r\nContent-Length: 0");

        answer.Status.ShouldBe(202, answer.Body);
    }

    [Fact]
    public async Task A_mount_that_was_answered_with_201_is_there_whatever_happens_in_its_source()
    {
        for (var round = 0; round < Counts.Of(10, 1_000); round++)
        {
            var target = RegistryClient.NewRepository();
            var digest = await Http.PushBlobAsync(Repository, _blob);

            var mounting = Http.StartUploadAsync(target, $"?mount={digest}&from={Repository}");
            using var deleted = await Http.RequestAsync("DELETE", $"/v2/{Repository}/blobs/{digest}");
            using var mounted = await mounting;

            using var head = await Http.HeadBlobAsync(target, digest);
            head.StatusCode.ShouldBe(
                mounted.StatusCode == HttpStatusCode.Created ? HttpStatusCode.OK : HttpStatusCode.NotFound);
        }
    }

    /// <summary>A session whose first bytes are there.</summary>
    private async Task<string> StartedAsync(int length)
    {
        using var patch = await Http.PatchAsync(await Http.NewUploadAsync(Repository), _blob[..length]);
        return await patch.ShouldBeProgressAsync(HttpStatusCode.Accepted, $"0-{length - 1}");
    }

    private async Task ShouldCompleteFromAsync(string location, int offset)
    {
        using var status = await Http.RequestAsync("GET", location);
        await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, $"0-{offset - 1}");
        using var put = await Http.CompleteAsync(location, Digest, _blob[offset..]);
        await put.ShouldHaveCreatedAsync(Http, OciRegistry.Digest.Of(_blob), _blob);
    }

    /// <summary>A PATCH of which the registry surely has the first half.</summary>
    private async Task<RawHttp> HalfSentAsync(string location)
    {
        var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n");
        await raw.ReadContinueAsync();
        await raw.SendAsync(_blob[..50]);
        return raw;
    }
}
