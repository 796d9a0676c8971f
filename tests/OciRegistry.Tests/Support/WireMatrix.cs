using System.Net;
using System.Text;

namespace OciRegistry.Tests.Support;

/// <summary>
/// R5.1: every operation that moves content, by many clients at once over one protocol, with each byte compared; a proxy in
/// between looks for the content on the wire.
/// </summary>
internal sealed class WireMatrix : IAsyncDisposable
{
    /// <summary>More than what goes by way of a buffer rather than from the file to the socket.</summary>
    private const int Length = 300_000;

    private const int PushedLength = 160_000;

    private static readonly byte[] Text = "the content, in plain text: "u8.ToArray();

    private readonly WireProtocol _protocol;
    private readonly WireTap _tap;
    private readonly HttpClient _http;
    private int _last;

    /// <param name="registry">Where it listens for the protocol.</param>
    /// <param name="protocol">What to speak.</param>
    public WireMatrix(Uri registry, WireProtocol protocol)
    {
        _protocol = protocol;
        _tap = new WireTap(registry, Text);
        _http = protocol.Client(_tap.Url);
    }

    /// <summary>Content that is recognized on the wire, and different for each number and at each position.</summary>
    public static byte[] Content(int number, int length)
    {
        var content = new StringBuilder(length + 64);
        for (var line = 0; content.Length < length; line++)
        {
            content.Append("the content, in plain text: ").Append(number).Append(' ').Append(line).Append('\n');
        }

        return Encoding.ASCII.GetBytes(content.ToString(0, length));
    }

    /// <summary>Has <paramref name="parallel"/> clients do everything, <paramref name="rounds"/> times each.</summary>
    public async Task RunAsync(int parallel, int rounds)
    {
        var repository = RegistryClient.NewRepository();
        var shared = Content(0, Length);
        var digest = await _http.PushBlobAsync(repository, shared);
        await Task.WhenAll(Enumerable.Range(0, parallel).Select(async _ =>
        {
            for (var round = 0; round < rounds; round++)
            {
                await PullAsync(repository, digest, shared);
                await PushAsync(repository);
            }
        }));

        // What is sent in plain text is seen: else this would say nothing about what is not.
        (_tap.Sightings > 0).ShouldBe(!_protocol.IsTls(), $"{_tap.Sightings} reads from the wire had the content in them");
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _tap.DisposeAsync();
    }

    private async Task PullAsync(string repository, Digest digest, byte[] content)
    {
        var path = $"/v2/{repository}/blobs/{digest}";
        using (var whole = await _http.GetBlobAsync(repository, digest))
        {
            await whole.ShouldBeContentAsync(digest, content);
        }

        using (var part = await _http.RequestAsync("GET", path, ("Range", "bytes=100000-249999")))
        {
            await part.ShouldHaveStatusAsync(HttpStatusCode.PartialContent);
            (await part.Content.ReadAsByteArrayAsync()).ShouldBeBytes(content[100_000..250_000]);
        }

        using (var head = await _http.HeadBlobAsync(repository, digest))
        {
            await head.ShouldHaveStatusAsync(HttpStatusCode.OK);
            head.Content.Headers.ContentLength.ShouldBe(content.Length);
            (await head.Content.ReadAsByteArrayAsync()).ShouldBeEmpty();
        }

        using (var parts = await _http.RequestAsync("GET", path, ("Range", "bytes=0-139999, 150000-289999")))
        {
            await parts.ShouldHaveStatusAsync(HttpStatusCode.PartialContent);
            var boundary = parts.Content.Headers.ContentType!.Parameters.Single(parameter => parameter.Name == "boundary").Value;
            byte[] expected =
            [
                .. PartHead(boundary, 0, 139_999), .. content.AsSpan(0, 140_000),
                .. PartHead(boundary, 150_000, 289_999), .. content.AsSpan(150_000, 140_000),
                .. Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n"),
            ];
            (await parts.Content.ReadAsByteArrayAsync()).ShouldBeBytes(expected);
        }
    }

    private async Task PushAsync(string repository)
    {
        var whole = Content(Interlocked.Increment(ref _last), PushedLength);
        var wholeDigest = await _http.PushBlobAsync(repository, whole);
        using (var pulled = await _http.GetBlobAsync(repository, wholeDigest))
        {
            await pulled.ShouldBeContentAsync(wholeDigest, whole);
        }

        var chunks = Content(Interlocked.Increment(ref _last), PushedLength);
        var location = await _http.NewUploadAsync(repository);
        foreach (var chunk in (byte[][])[chunks[..70_000], chunks[70_000..]])
        {
            using var patched = await _http.PatchAsync(location, chunk, chunked: !_protocol.IsHttp2());
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        var digest = Digest.Of(chunks);
        using (var closed = await _http.CompleteAsync(location, digest.ToString()))
        {
            await closed.ShouldHaveCreatedAsync(_http, digest, chunks);
        }

        var manifest = RegistryClient.ImageManifest(whole, [chunks]);
        var tag = $"t{Interlocked.Increment(ref _last)}";
        using (var put = await _http.PutManifestAsync(repository, tag, manifest))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        using var got = await _http.GetManifestAsync(repository, tag);
        await got.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    private static byte[] PartHead(string? boundary, int first, int last) => Encoding.ASCII.GetBytes(
        $"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {first}-{last}/{Length}\r\n\r\n");
}
