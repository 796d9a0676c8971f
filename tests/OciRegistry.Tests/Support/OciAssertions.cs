using System.Net;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Support;

/// <summary>What the spec says of answers, so that no test has to repeat it.</summary>
internal static class OciAssertions
{
    /// <summary>Status, envelope, and exactly these codes in this order.</summary>
    public static async Task ShouldBeErrorAsync(
        this HttpResponseMessage response, HttpStatusCode status, params string[] codes)
    {
        var body = await response.Content.ReadAsStringAsync();
        response.StatusCode.ShouldBe(status, body);
        response.Header("Content-Type").ShouldBe("application/json");
        (await response.ErrorCodesAsync()).ShouldBe(codes, body);
    }

    /// <summary>The status; the body is in the message when it is another one.</summary>
    public static async Task ShouldHaveStatusAsync(this HttpResponseMessage response, HttpStatusCode status) =>
        response.StatusCode.ShouldBe(status, response.StatusCode == status ? null : await response.Content.ReadAsStringAsync());

    /// <summary>201 with an address at which the content can be pulled, byte for byte.</summary>
    public static async Task ShouldHaveCreatedAsync(
        this HttpResponseMessage response, HttpClient http, Digest digest, byte[] content)
    {
        await response.ShouldHaveStatusAsync(HttpStatusCode.Created);
        response.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        using var pulled = await http.GetAsync(response.Headers.Location);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    public static async Task ShouldBeContentAsync(this HttpResponseMessage response, Digest digest, byte[] content)
    {
        await response.ShouldHaveStatusAsync(HttpStatusCode.OK);
        response.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        response.Content.Headers.ContentLength.ShouldBe(content.Length);
        await using var body = await response.Content.ReadAsStreamAsync();
        var buffer = new byte[64 * 1024];
        var same = 0;
        for (int read; (read = await body.ReadAsync(buffer)) > 0; same += read)
        {
            buffer.AsSpan(0, read).SequenceEqual(content.AsSpan(same, read)).ShouldBeTrue($"other bytes than expected from {same} on");
        }

        same.ShouldBe(content.Length);
    }

    /// <summary>Shouldly compares lists item by item, which takes seconds for megabytes.</summary>
    public static void ShouldBeBytes(this byte[] actual, byte[] expected) =>
        actual.AsSpan().SequenceEqual(expected).ShouldBeTrue($"other bytes than expected; {actual.Length} and {expected.Length}");

    /// <summary>Where an upload stands: one relative Location, and the Range of what is there.</summary>
    public static async Task<string> ShouldBeProgressAsync(
        this HttpResponseMessage response, HttpStatusCode status, string range)
    {
        await response.ShouldHaveStatusAsync(status);
        response.Header("Range").ShouldBe(range);
        var location = response.Headers.GetValues("Location").ShouldHaveSingleItem();
        location.ShouldStartWith("/v2/");
        location.ShouldContain(response.Header("Docker-Upload-UUID")!);
        return location;
    }

    public static async Task<JsonNode> JsonAsync(this HttpResponseMessage response)
    {
        await response.ShouldHaveStatusAsync(HttpStatusCode.OK);
        response.Content.Headers.ContentLength.ShouldNotBeNull("clients want to know it, and no length means chunked");
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
    }

    public static string[] Texts(this JsonNode node, string property) =>
        [.. node[property]!.AsArray().Select(item => (string)item!)];
}
