using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>
/// end-5, end-6, end-13, end-14: chunks with Content-Range. "Chunks MUST be uploaded in order … If a chunk is uploaded out
/// of order, the registry MUST respond with a 416 Requested Range Not Satisfiable code."
/// </summary>
public sealed class ChunkedPushTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>, IAsyncLifetime
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _blob = RegistryClient.RandomBytes(3_067); // the conformance suite's odd size
    private string _location = "";

    private Digest Digest => Digest.Of(_blob);

    public async ValueTask InitializeAsync() => _location = await _http.NewUploadAsync(_repository);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    // --- in order -----------------------------------------------------------------------------------------------

    [Fact]
    public async Task Chunks_in_order_make_the_blob()
    {
        using var first = await ChunkAsync(0, 1_024);
        var second = await first.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-1023");
        using var next = await _http.PatchAsync(second, _blob[1_024..2_048], "1024-2047");
        var third = await next.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-2047");
        using var last = await _http.PatchAsync(third, _blob[2_048..], "2048-3066");
        var end = await last.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-3066");

        using var put = await _http.CompleteAsync(end, Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task Content_Range_wins_over_the_offset_in_the_Location() // clients may keep to the first one
    {
        foreach (var (from, to) in new[] { (0, 1_024), (1_024, 2_048), (2_048, 3_067) })
        {
            using var chunk = await ChunkAsync(from, to);
            await chunk.ShouldBeProgressAsync(HttpStatusCode.Accepted, $"0-{to - 1}");
        }

        using var put = await _http.CompleteAsync(_location, Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("bytes 1024-3066/3067")]
    [InlineData("bytes 1024-3066/*")]
    [InlineData("Bytes 1024-3066")]
    [InlineData("1024-3066/3067")]
    public async Task A_range_as_HTTP_writes_it_is_read_too(string range)
    {
        using var first = await ChunkAsync(0, 1_024);
        using var second = await _http.PatchAsync(_location, _blob[1_024..], range);
        await second.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-3066");

        using var put = await _http.CompleteAsync(_location, Digest.ToString());

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("0-3066")]
    [InlineData("1024-3066")]
    [InlineData("bytes 0-3066/3067")]
    public async Task A_closing_PUT_without_a_body_may_say_what_was_sent(string range)
    {
        using var first = await ChunkAsync(0, 1_024);
        using var second = await ChunkAsync(1_024, 3_067);

        using var put = await _http.CompleteAsync(_location, Digest.ToString(), [], range);

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("0-3065", HttpStatusCode.RequestedRangeNotSatisfiable)]
    [InlineData("0-3067", HttpStatusCode.RequestedRangeNotSatisfiable)]
    [InlineData("3068-4000", HttpStatusCode.RequestedRangeNotSatisfiable)]
    [InlineData("3067-4000", HttpStatusCode.BadRequest)]
    public async Task A_closing_PUT_without_a_body_that_says_something_else_completes_nothing_and_ends_nothing(
        string range, HttpStatusCode status)
    {
        using var all = await ChunkAsync(0, 3_067);

        using var put = await _http.CompleteAsync(_location, Digest.ToString(), [], range);

        await put.ShouldHaveStatusAsync(status);
        using var head = await _http.HeadBlobAsync(_repository, Digest);
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        using var right = await _http.CompleteAsync(_location, Digest.ToString());
        await right.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("1024-3066")]
    [InlineData(null)]
    public async Task The_last_chunk_may_come_with_the_closing_PUT(string? range)
    {
        using var first = await ChunkAsync(0, 1_024);
        var next = await first.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-1023");

        using var put = await _http.CompleteAsync(next, Digest.ToString(), _blob[1_024..], range);

        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_chunk_may_be_sent_without_its_length()
    {
        using var first = await _http.PatchAsync(_location, _blob, "0-3066", chunked: true);
        await first.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-3066");

        using var put = await _http.CompleteAsync(_location, Digest.ToString());
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task Chunks_of_many_sessions_do_not_mix()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            var blob = RegistryClient.RandomBytes(4_000);
            var location = await _http.NewUploadAsync(_repository);
            for (var from = 0; from < blob.Length; from += 500)
            {
                using var chunk = await _http.PatchAsync(location, blob[from..(from + 500)], $"{from}-{from + 499}");
                await chunk.ShouldBeProgressAsync(HttpStatusCode.Accepted, $"0-{from + 499}");
            }

            using var put = await _http.CompleteAsync(location, Digest.Of(blob).ToString());
            await put.ShouldHaveCreatedAsync(_http, Digest.Of(blob), blob);
        }));
    }

    // --- out of order -------------------------------------------------------------------------------------------

    [Fact]
    public async Task A_chunk_out_of_order_is_answered_with_416_and_the_session_survives()
    {
        using var early = await ChunkAsync(1_024, 2_048);
        await ShouldBeOutOfOrderAsync(early, "0-0", expected: 0, received: 1_024);

        using var first = await ChunkAsync(0, 1_024);
        await first.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-1023");
        using var gap = await ChunkAsync(2_048, 3_067);
        var after = await ShouldBeOutOfOrderAsync(gap, "0-1023", expected: 1_024, received: 2_048);
        using var again = await ChunkAsync(0, 1_024);
        await ShouldBeOutOfOrderAsync(again, "0-1023", expected: 1_024, received: 0);
        using var overlap = await ChunkAsync(1_000, 2_000);
        await ShouldBeOutOfOrderAsync(overlap, "0-1023", expected: 1_024, received: 1_000);

        using var status = await _http.RequestAsync("GET", after);
        await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-1023");
        using var put = await _http.CompleteAsync(after, Digest.ToString(), _blob[1_024..], "1024-3066");
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_closing_PUT_out_of_order_is_answered_with_416_and_the_session_survives()
    {
        using var first = await ChunkAsync(0, 1_024);
        var closing = RegistryClient.WithQuery(_location, $"digest={Digest}");

        using var put = await _http.RequestAsync("PUT", closing, _blob[2_048..], ("Content-Range", "2048-3066"));
        await ShouldBeOutOfOrderAsync(put, "0-1023", expected: 1_024, received: 2_048);

        // The suite asks at the same address, with the digest still on it.
        using var status = await _http.RequestAsync("GET", closing);
        var next = await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-1023");
        using var done = await _http.CompleteAsync(next, Digest.ToString(), _blob[1_024..], "1024-3066");
        await done.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task The_order_of_a_closing_PUT_is_looked_at_before_its_digest()
    {
        var wrong = Digest.Of(RegistryClient.RandomBytes(10)).ToString();

        using var put = await _http.CompleteAsync(_location, wrong, _blob[2_048..], "2048-3066");

        await ShouldBeOutOfOrderAsync(put, "0-0", expected: 0, received: 2_048);
    }

    [Theory]
    [InlineData("5")]
    [InlineData("3068")]
    [InlineData("9223372036854775807")]
    public async Task An_offset_in_the_Location_that_is_not_ours_is_answered_with_416(string offset)
    {
        using var first = await ChunkAsync(0, 1_024);

        using var chunk = await _http.PatchAsync($"{_location.Split('?')[0]}?offset={offset}", _blob[1_024..]);

        await ShouldBeOutOfOrderAsync(chunk, "0-1023", expected: 1_024, received: long.Parse(offset, null));
    }

    // --- sizes that disagree ------------------------------------------------------------------------------------

    [Theory]
    [InlineData("0-1022")]
    [InlineData("0-1024")]
    public async Task A_range_that_disagrees_with_Content_Length_is_refused_and_nothing_is_stored(string range)
    {
        using var chunk = await _http.PatchAsync(_location, _blob[..1_024], range);
        await chunk.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "SIZE_INVALID");

        await SessionShouldBeEmptyAndUsableAsync();
    }

    [Theory]
    [InlineData("0-1022")]
    [InlineData("0-1024")]
    public async Task A_range_that_disagrees_with_a_chunked_body_is_refused_and_nothing_is_stored(string range)
    {
        using var chunk = await _http.PatchAsync(_location, _blob[..1_024], range, chunked: true);
        await chunk.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "SIZE_INVALID");

        await SessionShouldBeEmptyAndUsableAsync();
    }

    [Fact]
    public async Task Wrong_bytes_are_final() // R1.4: 400, and the session is gone
    {
        using var first = await ChunkAsync(0, 1_024);

        using var put = await _http.CompleteAsync(_location, Digest.ToString());

        await put.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
        var detail = JsonNode.Parse(await put.Content.ReadAsStringAsync())!["errors"]![0]!["detail"]!;
        ((string?)detail["computed"]).ShouldBe(Digest.Of(_blob.AsSpan(0, 1_024)).ToString());
        ((long)detail["size"]!).ShouldBe(1_024);
        await ShouldBeUnknownAsync("GET", "PATCH", "PUT", "DELETE");
        using var head = await _http.HeadBlobAsync(_repository, Digest);
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    // --- status and cancel --------------------------------------------------------------------------------------

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    public async Task Status_tells_how_far_the_upload_is(string method)
    {
        using var none = await _http.RequestAsync(method, _location);
        await none.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-0");
        using var chunk = await ChunkAsync(0, 1_024);

        using var some = await _http.RequestAsync(method, _location);
        var next = await some.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-1023");

        using var put = await _http.CompleteAsync(next, Digest.ToString(), _blob[1_024..]);
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Fact]
    public async Task A_cancelled_session_is_unknown() // end-14
    {
        using var chunk = await ChunkAsync(0, 1_024);

        using var cancelled = await _http.RequestAsync("DELETE", _location);
        cancelled.StatusCode.ShouldBe(HttpStatusCode.NoContent);

        await ShouldBeUnknownAsync("GET", "PATCH", "PUT", "DELETE");
    }

    [Fact]
    public async Task A_completed_session_is_unknown()
    {
        using var put = await _http.CompleteAsync(_location, Digest.ToString(), _blob);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);

        await ShouldBeUnknownAsync("GET", "PATCH", "DELETE");
        using var other = await _http.CompleteAsync(_location, Digest.Of("other"u8).ToString());
        await other.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    [Fact]
    public async Task A_session_belongs_to_its_repository()
    {
        var own = _location;
        _location = own.Replace(_repository, RegistryClient.NewRepository(), StringComparison.Ordinal);

        await ShouldBeUnknownAsync("GET", "PATCH", "PUT", "DELETE");

        using var put = await _http.CompleteAsync(own, Digest.ToString(), _blob);
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    [Theory]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("123e4567-e89b-12d3-a456-426614174000")]
    [InlineData("x")]
    public async Task A_session_that_never_was_is_unknown(string id)
    {
        _location = $"/v2/{_repository}/blobs/uploads/{id}";

        await ShouldBeUnknownAsync("GET", "PATCH", "PUT", "DELETE");
    }

    [Fact]
    public async Task A_repository_does_not_exist_before_its_first_blob_is_complete()
    {
        using var chunk = await ChunkAsync(0, 1_024);

        using var tags = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");

        await tags.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }

    private Task<HttpResponseMessage> ChunkAsync(int from, int to) =>
        _http.PatchAsync(_location, _blob[from..to], $"{from}-{to - 1}");

    /// <summary>R3.8: "416 carries Range, Location and detail: {expected, received}".</summary>
    private static async Task<string> ShouldBeOutOfOrderAsync(
        HttpResponseMessage response, string range, long expected, long received)
    {
        await response.ShouldBeErrorAsync(HttpStatusCode.RequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID");
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync())!["errors"]![0]!;
        ((long)error["detail"]!["expected"]!).ShouldBe(expected);
        ((long)error["detail"]!["received"]!).ShouldBe(received);
        return await response.ShouldBeProgressAsync(HttpStatusCode.RequestedRangeNotSatisfiable, range);
    }

    private async Task SessionShouldBeEmptyAndUsableAsync()
    {
        using var status = await _http.RequestAsync("GET", _location);
        await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-0");
        using var put = await _http.CompleteAsync(_location, Digest.ToString(), _blob, "0-3066");
        await put.ShouldHaveCreatedAsync(_http, Digest, _blob);
    }

    private async Task ShouldBeUnknownAsync(params string[] methods)
    {
        foreach (var method in methods)
        {
            var location = method == "PUT" ? RegistryClient.WithQuery(_location, $"digest={Digest}") : _location;
            using var response = await _http.RequestAsync(method, location, method == "PATCH" ? _blob : null);
            await response.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        }
    }
}
