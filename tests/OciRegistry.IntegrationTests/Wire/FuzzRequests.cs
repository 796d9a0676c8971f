using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Wire;

/// <summary>Valid requests of every route, and what becomes of them when some of their bytes change.</summary>
internal sealed class FuzzRequests
{
    private const string Repository = "team/fuzz";

    private static readonly string[] Numbers =
        ["0", "-1", "+3", "1", "00", "0x10", "1e9", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "99999999999999999999", "ffffffffffffffff", ""];

    private static readonly string[] Tokens =
    [
        "\r\n", "\n", "\r", "\r\n\r\n", "\0", " ", "\t", ":", "/", "//", "/../", "%", "%00", "%2e%2e", "%2F", "%zz", "?", "&", "=", ",", ";", "\"", "\\", "\u00ff", "\u00c0\u0080",
        "Transfer-Encoding: chunked\r\n", "Content-Length: 3\r\n", "Content-Length: 4\r\n", "Host: evil.example\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n",
        "Upgrade: h2c\r\n", "Range: bytes=0-0,-1,5-\r\n", "Content-Range: 0-9\r\n", "Authorization: Bearer a.b.c\r\n", "Authorization: Basic !\r\n", "If-None-Match: *\r\n",
        "HTTP/1.0", "HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];

    private readonly List<(string Method, string Path, string[] Headers, string Body)> _requests = [];
    private readonly string? _authorization;

    private FuzzRequests(string? authorization) => _authorization = authorization;

    /// <summary>Pushes what the requests are about.</summary>
    public static async Task<FuzzRequests> OfAsync(HttpClient http, string? authorization)
    {
        var layer = RegistryClient.RandomBytes(3_000);
        var manifest = await http.PushImageAsync(Repository, "v1", layer);
        var (blob, digest) = (Digest.Of(layer), Digest.Of(manifest));
        var session = (await http.NewUploadAsync(Repository)).Split('?')[0];
        var image = Encoding.UTF8.GetString(manifest);
        var requests = new FuzzRequests(authorization);
        var all = requests._requests;
        foreach (var path in (string[])
        [
            "/v2/", "/v2/_catalog?n=10&last=a", $"/v2/{Repository}/tags/list?n=5&last=v0", $"/v2/{Repository}/manifests/v1", $"/v2/{Repository}/manifests/{digest}",
            $"/v2/{Repository}/blobs/{blob}", $"/v2/{Repository}/referrers/{digest}?artifactType=a", session, "/token?service=a&scope=repository:team/fuzz:pull",
            "/token/keys", "/livez", "/readyz", "/metrics", "/admin/uploads?n=5", "/admin/robots", "/admin/explain?subject=a&repository=b&action=pull", "/admin/upstreams",
        ])
        {
            all.Add(("GET", path, ["Accept: application/vnd.oci.image.manifest.v1+json", "If-None-Match: \"sha256:00\""], ""));
            all.Add(("HEAD", path, [], ""));
        }

        all.Add(("GET", $"/v2/{Repository}/blobs/{blob}", ["Range: bytes=0-9,20-29,-5"], ""));
        all.Add(("GET", $"/v2/{Repository}/blobs/{blob}", ["Range: bytes=100-", $"If-Range: \"{blob}\""], ""));
        all.Add(("POST", $"/v2/{Repository}/blobs/uploads/", ["Content-Length: 0"], ""));
        all.Add(("POST", $"/v2/{Repository}/blobs/uploads/?mount={blob}&from={Repository}", ["Content-Length: 0"], ""));
        all.Add(("POST", $"/v2/{Repository}/blobs/uploads/?digest={Digest.Of("abc"u8)}", ["Content-Length: 3"], "abc"));
        all.Add(("POST", $"/v2/{Repository}/blobs/uploads/?digest-algorithm=sha512", ["Content-Length: 0"], ""));
        all.Add(("PATCH", session, ["Content-Type: application/octet-stream", "Content-Range: 0-9", "Content-Length: 10"], "0123456789"));
        all.Add(("PATCH", session, ["Transfer-Encoding: chunked"], "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: a\r\n\r\n"));
        all.Add(("PUT", $"{session}?digest={Digest.Of("xyz"u8)}", ["Content-Length: 3"], "xyz"));
        all.Add(("PUT", $"/v2/{Repository}/manifests/v2?tag=a&tag=b", [$"Content-Type: {MediaTypes.ImageManifest}", "If-Match: *", $"Content-Length: {image.Length}"], image));
        all.Add(("PUT", $"/v2/{Repository}/manifests/v3", [$"Content-Type: {MediaTypes.ImageManifest}", "Transfer-Encoding: chunked"], $"{image.Length:x}\r\n{image}\r\n0\r\n\r\n"));
        all.Add(("DELETE", $"/v2/{Repository}/manifests/unknown", [], ""));
        all.Add(("DELETE", $"/v2/{Repository}/blobs/{Digest.Of([1])}", [], ""));
        all.Add(("POST", "/token", ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 39"], "grant_type=password&username=a&password="));
        all.Add(("POST", "/admin/robots", ["Content-Type: application/json", "Content-Length: 50"], "{\"name\":\"a\",\"repositories\":[\"a\"],\"actions\":[\"pul\"]}"));
        all.Add(("POST", "/admin/prefetch", ["Content-Type: application/json", "Content-Length: 23"], "{\"references\":[\"a/b:c\"]}"));
        return requests;
    }

    /// <summary>One or two requests, changed.</summary>
    public byte[] NextHttp1(Random random)
    {
        var text = string.Concat(Enumerable.Range(0, random.Next(1, 3)).Select(_ => Http1(random)));
        var bytes = Encoding.Latin1.GetBytes(text).ToList();
        for (var changes = random.Next(1, 5); changes > 0; changes--)
        {
            Change(bytes, random);
        }

        return [.. bytes];
    }

    /// <summary>A connection with a few requests, changed.</summary>
    public byte[] NextHttp2(Random random)
    {
        var frames = new FuzzFrames();
        for (var stream = 1; stream <= 5; stream += 2)
        {
            var (method, path, headers, body) = _requests[random.Next(_requests.Count)];
            frames.Request(stream, method, path, [.. WithAuthorization(headers).Where(header => !header.StartsWith("Transfer-Encoding", StringComparison.Ordinal))], body);
        }

        return frames.Change(random, Change);
    }

    private string Http1(Random random)
    {
        var (method, path, headers, body) = _requests[random.Next(_requests.Count)];
        return $"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{string.Concat(WithAuthorization(headers).Select(header => $"{header}\r\n"))}\r\n{body}";
    }

    private IEnumerable<string> WithAuthorization(string[] headers) =>
        _authorization is null ? headers : headers.Append($"Authorization: {_authorization}");

    private static void Change(List<byte> bytes, Random random)
    {
        if (bytes.Count == 0)
        {
            return;
        }

        var at = random.Next(bytes.Count);
        switch (random.Next(9))
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;

            case 1:
                bytes[at] = (byte)random.Next(256);
                break;

            case 2:
                bytes.RemoveRange(at, Math.Min(random.Next(1, 9), bytes.Count - at));
                break;

            case 3:
                bytes.InsertRange(at, bytes.Skip(at).Take(random.Next(1, 200)).ToArray()); // twice
                break;

            case 4:
                bytes.RemoveRange(at, bytes.Count - at); // cut off
                break;

            case 5:
            case 6:
                bytes.InsertRange(at, Encoding.Latin1.GetBytes(Tokens[random.Next(Tokens.Length)]));
                break;

            case 7:
                bytes.InsertRange(at, Enumerable.Repeat((byte)random.Next(32, 127), random.Next(1, 20_000)));
                break;

            default:
                ChangeNumber(bytes, at, random);
                break;
        }
    }

    /// <summary>The next number: a length, a chunk's size, a range, a version, digits of a digest.</summary>
    private static void ChangeNumber(List<byte> bytes, int from, Random random)
    {
        var start = bytes.FindIndex(from, IsDigit);
        if (start < 0)
        {
            return;
        }

        var end = bytes.FindIndex(start, one => !IsDigit(one));
        bytes.RemoveRange(start, (end < 0 ? bytes.Count : end) - start);
        bytes.InsertRange(start, Encoding.Latin1.GetBytes(Numbers[random.Next(Numbers.Length)]));

        static bool IsDigit(byte one) => char.IsAsciiDigit((char)one);
    }
}
