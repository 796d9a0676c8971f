using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Group 6: bodies that are not what their headers say, and clients that do not go on.</summary>
public sealed class BodyTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    private readonly byte[] _blob = RegistryClient.RandomBytes(100);

    private string Digest => OciRegistry.Digest.Of(_blob).ToString();

    [Theory]
    [InlineData("Content-Length: -1", "x")]
    [InlineData("Content-Length: x", "x")]
    [InlineData("Content-Length: 1,1", "x")]
    [InlineData("Content-Length: 1\r\nContent-Length: 2", "xx")]
    [InlineData("Content-Length: 99999999999999999999", "x")]
    [InlineData("Content-Length: 0x1", "x")]
    [InlineData("Transfer-Encoding: gzip", "x")]
    [InlineData("Transfer-Encoding: chunked, gzip", "1\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: xchunked", "1\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "z\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "-1\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "0x1\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "80000000\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\r\nxx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\nx\n0\n\n")]
    [InlineData("Transfer-Encoding: chunked", "1;a\nb\r\nx\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\nX: \u00ff\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\nX: \0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\nno trailer\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked", "1\r\nx\r\nGET /v2/ HTTP/1.1\r\n\r\n")]
    public async Task A_body_of_broken_framing_is_refused(string framing, string body)
    {
        var location = await Http.NewUploadAsync(Repository);

        foreach (var target in new[]
        {
            $"PATCH {location}", $"PUT {location}&digest={Digest}", $"PUT /v2/{Repository}/manifests/v1",
        })
        {
            await using var raw = await RawHttp.ConnectAsync(Url);
            await raw.SendAsync($"{target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{body}");
            raw.Finish();
            (await raw.ReadAsync()).ShouldBeRefused();
        }

        using var tags = await Http.RequestAsync("GET", $"/v2/{Repository}/tags/list");
        await tags.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }

    [Fact]
    public async Task Both_length_and_chunks_are_never_two_requests() // RFC 9112 §6.1
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var raw = await RawHttp.ConnectAsync(Url);

        await raw.SendAsync(
            $"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + $"GET /v2/{Repository}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n");

        var first = await raw.ReadAsync();
        first.Status.ShouldBeLessThan(500);
        var second = await raw.ReadAsync();
        (second.IsClosed || second.Status == 400).ShouldBeTrue("the bytes after it were taken for a request");
        using var status = await Http.RequestAsync("GET", location);
        await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-0");
    }

    [Theory]
    [InlineData("Content-Length: 100", 0, "")]
    [InlineData("Content-Length: 100", 40, "")]
    [InlineData("Content-Length: 100\r\nContent-Range: 0-99", 40, "")]
    [InlineData("Transfer-Encoding: chunked", 40, "28\r\n{0}\r\n")]
    public async Task A_chunk_that_breaks_off_leaves_a_session_to_go_on_with(string framing, int sent, string format)
    {
        var location = await Http.NewUploadAsync(Repository);
        var bytes = System.Text.Encoding.Latin1.GetString(_blob, 0, sent);
        await using (var raw = await RawHttp.ConnectAsync(Url))
        {
            await raw.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
            await raw.ReadContinueAsync();
            await raw.SendAsync(format.Length == 0 ? bytes : format.Replace("{0}", bytes, StringComparison.Ordinal));
            raw.Finish();
            (await raw.ReadAsync()).ShouldBeRefused();
        }

        // R1.3: what arrived is there or not, but the session is, and tells.
        using var status = await Http.RequestAsync("GET", location);
        status.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        status.Header("Range").ShouldBeOneOf("0-0", $"0-{Math.Max(0, sent - 1)}");
        using var again = await Http.PatchAsync(location, _blob);
        await again.ShouldBeProgressAsync(HttpStatusCode.Accepted, "0-99");
        using var put = await Http.CompleteAsync(location, Digest);
        await put.ShouldHaveCreatedAsync(Http, OciRegistry.Digest.Of(_blob), _blob);
    }

    [Fact]
    public async Task A_closing_request_that_breaks_off_completes_nothing()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using (var raw = await RawHttp.ConnectAsync(Url))
        {
            await raw.SendAsync($"PUT {location}&digest={Digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
            await raw.SendAsync(_blob[..99]);
            raw.Finish();
            (await raw.ReadAsync()).ShouldBeRefused();
        }

        using var head = await Http.HeadBlobAsync(Repository, OciRegistry.Digest.Of(_blob));
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_manifest_that_breaks_off_is_not_stored()
    {
        var manifest = RegistryClient.EmptyIndex();
        await using (var raw = await RawHttp.ConnectAsync(Url))
        {
            // All of the JSON is there, but not all of what was announced.
            await raw.SendAsync(
                $"PUT /v2/{Repository}/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {manifest.Length + 1}\r\n\r\n");
            await raw.SendAsync(manifest);
            raw.Finish();
            (await raw.ReadAsync()).ShouldBeRefused();
        }

        using var get = await Http.GetManifestAsync(Repository, "v1");
        await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task More_bytes_than_announced_are_the_next_request_and_a_bad_one()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var raw = await RawHttp.ConnectAsync(Url);

        await raw.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcdef\r\n\r\n");

        (await raw.ReadAsync()).Status.ShouldBe(202);
        (await raw.ReadAsync()).ShouldBeRefused();
        using var status = await Http.RequestAsync("GET", location);
        await status.ShouldBeProgressAsync(HttpStatusCode.NoContent, "0-2");
    }

    [Fact]
    public async Task A_blob_beyond_the_largest_is_refused_before_its_first_byte()
    {
        var location = await Http.NewUploadAsync(Repository);
        foreach (var target in new[]
        {
            $"PATCH {location}", $"PUT {await Http.NewUploadAsync(Repository)}&digest={Digest}",
            $"POST /v2/{Repository}/blobs/uploads/?digest={Digest}",
        })
        {
            var answer = await AskAsync($"{target} HTTP/1.1\r\nContent-Length: 10737418240");
            answer.Status.ShouldBe(413, answer.Body);
            answer.Codes.ShouldBe(["SIZE_INVALID"]);
        }
    }

    [Fact]
    public async Task A_manifest_beyond_the_largest_is_refused_before_its_first_byte()
    {
        var answer = await AskAsync(
            $"PUT /v2/{Repository}/manifests/v1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10737418240");

        answer.Status.ShouldBe(413, answer.Body);
        answer.Codes.ShouldBe(["MANIFEST_INVALID"]);
    }

    [Fact]
    public async Task A_client_that_waits_for_100_Continue_and_leaves_costs_nothing()
    {
        for (var i = 0; i < 5; i++)
        {
            var location = await Http.NewUploadAsync(Repository);
            await using (var raw = await RawHttp.ConnectAsync(Url))
            {
                await raw.SendAsync(
                    $"PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n");
                await raw.ReadContinueAsync();
            }

            using var put = await Http.CompleteAsync(location, Digest, _blob);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }
    }

    [Fact]
    public async Task Headers_that_never_end_are_cut_off()
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync("GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ");

        (await raw.ReadAsync()).ShouldBeRefused();
    }

    [Fact]
    public async Task A_manifest_that_never_ends_is_cut_off_but_a_blob_may_pause()
    {
        var location = await Http.NewUploadAsync(Repository);
        await using var blob = await RawHttp.ConnectAsync(Url);
        await blob.SendAsync($"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
        await blob.SendAsync(_blob[..50]);
        await using var manifest = await RawHttp.ConnectAsync(Url);
        await manifest.SendAsync($"PUT /v2/{Repository}/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{");

        (await manifest.ReadAsync()).ShouldBeRefused("UNSUPPORTED");

        await blob.SendAsync(_blob[50..]);
        (await blob.ReadAsync()).Status.ShouldBe(202);
    }

    [Fact]
    public async Task Hundreds_of_sessions_that_nobody_goes_on_with_cost_nothing()
    {
        var locations = await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => Http.NewUploadAsync(Repository)));

        using var put = await Http.CompleteAsync(locations[150], Digest, _blob);

        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }
}
