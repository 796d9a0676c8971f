using System.Net;
using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Groups 23 and 27: what proxies are said to have added, and connections that are not what they seem.</summary>
public sealed class ConnectionTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    // --- 23: proxy headers ------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Prefix: /evil")]
    [InlineData("Forwarded: for=127.0.0.1;host=evil.example;proto=https")]
    [InlineData("X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-HTTP-Method-Override: DELETE")]
    [InlineData("X-Original-Host: evil.example")]
    public async Task Headers_of_a_proxy_that_is_none_change_nothing(string headers)
    {
        var start = await AskAsync(
            $"POST /v2/{Repository}/blobs/uploads/ HTTP/1.1\r\n{headers}\r\nContent-Length: 0");
        start.Status.ShouldBe(202);
        start.Headers["Location"].ShouldHaveSingleItem().ShouldStartWith($"/v2/{Repository}/blobs/uploads/");

        var list = await AskAsync($"GET /v2/_catalog?n=1 HTTP/1.1\r\n{headers}");
        list.Status.ShouldBe(200);
        start.Headers.Concat(list.Headers).SelectMany(values => values).ShouldAllBe(value => !value.Contains("evil"));
    }

    [Theory]
    [InlineData("evil.example")]
    [InlineData("evil.example:80")]
    [InlineData("[::1]:5000")]
    public async Task A_false_host_is_told_to_nobody(string host)
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync(
            $"POST /v2/{Repository}/blobs/uploads/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");

        var answer = await raw.ReadAsync();

        answer.Status.ShouldBe(202);
        answer.Headers.SelectMany(values => values).ShouldAllBe(value => !value.Contains("evil"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Host: a\r\nHost: b\r\n")]
    [InlineData("Host: a b\r\n")]
    [InlineData("Host: a/b\r\n")]
    [InlineData("Host: a\u00e4\r\n")]
    [InlineData("Host: x\r\nX: a\0b\r\n")]
    [InlineData("Host: x\r\nX : a\r\n")]
    [InlineData("Host: x\r\n folded: a\r\n")]
    [InlineData("Host: x\r\nno colon\r\n")]
    public async Task Headers_that_HTTP_forbids_are_refused(string headers)
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync($"GET /v2/ HTTP/1.1\r\n{headers}\r\n");

        (await raw.ReadAsync()).ShouldBeRefused();
    }

    // --- 27: protocols and floods -----------------------------------------------------------------------------------

    [Fact]
    public async Task A_TLS_hello_is_answered_with_the_connections_end() // docker tries TLS on every port first
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03, 0x0d, 0x0a, 0x0d, 0x0a]);

        (await raw.ReadAsync()).ShouldBeRefused();
    }

    [Theory]
    [InlineData("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0")]
    [InlineData("GET /v2/ HTTP/0.9\r\n\r\n")]
    [InlineData("GET /v2/ HTTP/1.2\r\nHost: x\r\n\r\n")]
    [InlineData("GET /v2/\r\n\r\n")]
    [InlineData("GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("G\u00c4T /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("\r\n\r\n\0\0\0\0\r\n\r\n")]
    [InlineData("CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")]
    public async Task What_is_no_HTTP_1_1_is_refused(string bytes)
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        await raw.SendAsync(bytes);
        raw.Finish();

        var answer = await raw.ReadAsync();
        if (answer.Status != 505)
        {
            answer.ShouldBeRefused();
        }
    }

    [Theory]
    [InlineData("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings")]
    [InlineData("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13")]
    public async Task An_upgrade_is_not_taken(string headers)
    {
        var answer = await AskAsync($"GET /v2/ HTTP/1.1\r\n{headers}");

        answer.Status.ShouldBe(200);
        answer.Headers["Upgrade"].ShouldBeEmpty();
    }

    [Fact]
    public async Task More_headers_than_anybody_needs_are_refused()
    {
        var many = string.Join("\r\n", Enumerable.Range(0, 1_000).Select(i => $"X-{i}: {i}"));
        (await AskAsync($"GET /v2/ HTTP/1.1\r\n{many}")).ShouldBeRefused();
        (await AskAsync($"GET /v2/ HTTP/1.1\r\nX: {new string('x', 100_000)}")).ShouldBeRefused();
        (await AskAsync($"GET /v2/{new string('x', 20_000)} HTTP/1.1")).ShouldBeRefused();
    }

    [Fact]
    public async Task Seventy_long_tags_are_too_long_a_line() // spec end-7b: 414
    {
        var tags = string.Join('&', Enumerable.Range(0, 70).Select(i => $"tag={i}{new string('t', 120)}"));

        var answer = await AskAsync($"PUT /v2/{Repository}/manifests/{Digest.Of([])}?{tags} HTTP/1.1\r\nContent-Length: 0");

        answer.Status.ShouldBe(414);
    }

    [Fact]
    public async Task Hundreds_of_connections_that_say_nothing_keep_nobody_out()
    {
        var silent = await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => RawHttp.ConnectAsync(Url)));

        using var version = await Http.RequestAsync("GET", "/v2/");

        version.StatusCode.ShouldBe(HttpStatusCode.OK);
        foreach (var connection in silent)
        {
            await connection.DisposeAsync();
        }
    }

    [Fact]
    public async Task Requests_in_a_row_on_one_connection_are_answered_in_their_order()
    {
        await using var raw = await RawHttp.ConnectAsync(Url);
        var requests = new StringBuilder();
        for (var i = 0; i < 50; i++)
        {
            requests.Append(null, $"GET /v2/{(i % 2 == 0 ? "" : "nothing")} HTTP/1.1\r\nHost: x\r\n\r\n");
        }

        await raw.SendAsync(requests.ToString());

        for (var i = 0; i < 50; i++)
        {
            (await raw.ReadAsync()).Status.ShouldBe(i % 2 == 0 ? 200 : 404);
        }
    }
}
