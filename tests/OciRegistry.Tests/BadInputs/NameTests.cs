using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Groups 1 to 3: names, tags and digests.</summary>
public sealed class NameTests(UnharmedRegistry unharmed) : BadInput(unharmed)
{
    private const string Index = """{"schemaVersion":2,"manifests":[]}""";
    private const string Hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    public static TheoryData<string> BadNames =>
    [
        "A", "A/b", "a/B", "a//b", "a/", "/a", "//", "a/-b", "-a", "a-", "_a", "a/_b", "_catalog", "a___b", "a..b", "a.", "a%20",
        "a%2fb", "a%2Fb", "%2f", "%2e%2e%2fetc", "..%2f..%2fetc%2fpasswd", "a%2f..%2f..%2fetc", "%252e%252e%252fetc", "a%252fb",
        "a%5cb", "a\\b", "a\\..\\b", "..\\..\\etc", "%5c..%5c", "a%0d%0ab", "a%0a", "a%09b", "%c3%a4", "%ff", "%c0%af", "a%c0%ae%c0%ae",
        "%ef%bc%8e%ef%bc%8e", "a:b", "a@b", "a*", "a%3fb", "a%23b", "CON", "aux.", "nul%20", "a;b", "a&b", "a=b", "~", "$HOME", "`id`",
        "a%00b", "a\u00e4b", new string('a', 251), new string('a', 300), string.Join('/', Enumerable.Repeat("a", 500)), "a%", "a%g0",
    ];

    [Theory]
    [MemberData(nameof(BadNames))]
    public async Task A_bad_name_is_refused_by_every_operation(string name)
    {
        (await AskAsync($"GET /v2/{name}/tags/list HTTP/1.1")).ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"GET /v2/{name}/manifests/v1 HTTP/1.1")).ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"GET /v2/{name}/blobs/sha256:{Hex} HTTP/1.1")).ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"GET /v2/{name}/referrers/sha256:{Hex} HTTP/1.1")).ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"POST /v2/{name}/blobs/uploads/ HTTP/1.1\r\nContent-Length: 0")).ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"PUT /v2/{name}/manifests/v1 HTTP/1.1\r\nContent-Length: {Index.Length}", Index))
            .ShouldBeRefused("NAME_INVALID");
        (await AskAsync($"DELETE /v2/{name}/manifests/v1 HTTP/1.1")).ShouldBeRefused("NAME_INVALID");
    }

    /// <summary>The server takes dot segments away before anybody looks, as RFC 3986 §5.2.4 has it.</summary>
    [Theory]
    [InlineData("/v2/../etc/tags/list")]
    [InlineData("/v2/../../../../etc/passwd")]
    [InlineData("/v2/%2e%2e/%2e%2e/etc/passwd")]
    [InlineData("/v2/a/../../etc/tags/list")]
    [InlineData("/v2/a/../never-was/tags/list")]
    [InlineData("/v2/./never-was/tags/list")]
    [InlineData("/v2/a/manifests/latest/..")]
    [InlineData("/v2/a/manifests/../../../etc/passwd")]
    [InlineData("/v2/a/blobs/../../../etc/passwd")]
    [InlineData("/v2/a/blobs/sha256:../../etc/passwd")]
    [InlineData("/v2/a/blobs/uploads/../../../etc/passwd")]
    [InlineData("//v2/a/tags/list")]
    [InlineData("/v2//tags/list")]
    [InlineData("/v2/a/blobs/uploads//")]
    [InlineData("/v2/tags/list")]
    [InlineData("/v2/manifests/v1")]
    [InlineData("/v2")]
    [InlineData("http://evil.example/v2/never-was/tags/list")]
    [InlineData("*")]
    [InlineData("v2/")]
    [InlineData("")]
    public async Task An_address_that_leads_elsewhere_leads_nowhere(string target)
    {
        foreach (var method in new[] { "GET", "PUT", "DELETE" })
        {
            var answer = await AskAsync($"{method} {target} HTTP/1.1\r\nContent-Length: 0");
            if (target != "/v2" || method != "GET")
            {
                answer.ShouldBeRefused();
            }
        }
    }

    public static TheoryData<string> BadTags =>
    [
        new string('a', 129), new string('a', 3_000), ".", "..", ".a", "-a", "a%2f..", "latest%2f..%2f..", "..%2f..%2fetc%2fpasswd",
        "a%20b", "a+b", "a~b", "%c3%a4", "a%0d%0aX-Evil:%20x", "a%00", "a%0a", "a*b", "a,b", "a@b", "sha256:xyz", "sha256:", ":",
        "sha256:" + "../../etc/passwd", "SHA256:" + Hex, "sha256:" + Hex + "0", "a:" + Hex, "md5:d41d8cd98f00b204e9800998ecf8427e",
    ];

    [Theory]
    [MemberData(nameof(BadTags))]
    public async Task A_bad_reference_is_refused_by_every_operation(string reference)
    {
        string[] codes = ["MANIFEST_INVALID", "DIGEST_INVALID", "UNSUPPORTED"];
        string[] unknown = [.. codes, "MANIFEST_UNKNOWN"]; // nothing can have that name
        (await AskAsync($"GET /v2/{Repository}/manifests/{reference} HTTP/1.1")).ShouldBeRefused(unknown);
        (await AskAsync($"PUT /v2/{Repository}/manifests/{reference} HTTP/1.1\r\nContent-Length: {Index.Length}", Index))
            .ShouldBeRefused(codes);
        (await AskAsync($"DELETE /v2/{Repository}/manifests/{reference} HTTP/1.1")).ShouldBeRefused(unknown);
        (await AskAsync(
            $"PUT /v2/{Repository}/manifests/{Digest.Of(System.Text.Encoding.UTF8.GetBytes(Index))}?tag={reference} HTTP/1.1"
            + $"\r\nContent-Length: {Index.Length}",
            Index)).ShouldBeRefused("MANIFEST_INVALID", "DIGEST_INVALID");
        (await AskAsync($"GET /v2/{Repository}/tags/list HTTP/1.1")).ShouldBeRefused("NAME_UNKNOWN");
    }

    public static TheoryData<string> BadDigests =>
    [
        "sha256:" + Hex[..63], "sha256:" + Hex + "0", "sha256:" + Hex.ToUpperInvariant(), "sha256:g" + Hex[1..], "sha256:", "sha256", ":",
        Hex, "sha256:%2e%2e%2f%2e%2e%2fetc", "sha256%2f" + Hex, "sha256:" + Hex[..32] + "%2f" + Hex[33..], "sha256::" + Hex, "sha256:" + Hex + "%00",
        "sha512:" + Hex, "sha384:" + Hex, "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256%2bb64:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        "blake3:" + Hex, "SHA256:" + Hex, "sha256:" + Hex + "%0d%0a", "%c3%a4:" + Hex, "sha256:" + Hex + ",sha256:" + Hex, new string('a', 5_000),
    ];

    [Theory]
    [MemberData(nameof(BadDigests))]
    public async Task A_bad_digest_is_refused_by_every_operation(string digest)
    {
        string[] codes = ["DIGEST_INVALID"];
        (await AskAsync($"GET /v2/{Repository}/blobs/{digest} HTTP/1.1")).ShouldBeRefused(codes);
        (await AskAsync($"DELETE /v2/{Repository}/blobs/{digest} HTTP/1.1")).ShouldBeRefused(codes);
        (await AskAsync($"GET /v2/{Repository}/referrers/{digest} HTTP/1.1")).ShouldBeRefused(codes);
        (await AskAsync($"POST /v2/{Repository}/blobs/uploads/?digest={digest} HTTP/1.1\r\nContent-Length: 0"))
            .ShouldBeRefused(codes);
        (await AskAsync($"POST /v2/{Repository}/blobs/uploads/?mount={digest}&from=a HTTP/1.1\r\nContent-Length: 0"))
            .ShouldBeRefused(codes);
        (await AskAsync($"POST /v2/{Repository}/blobs/uploads/?digest-algorithm={digest}! HTTP/1.1\r\nContent-Length: 0"))
            .ShouldBeRefused(codes);
        var location = await Http.NewUploadAsync(Repository);
        (await AskAsync($"PUT {location}&digest={digest} HTTP/1.1\r\nContent-Length: 1", "x")).ShouldBeRefused(codes);
        (await Http.RequestAsync("GET", location)).StatusCode.ShouldBe(System.Net.HttpStatusCode.NoContent);
    }

    [Theory]
    [InlineData("digest=sha256:{0}&digest=sha256:{0}")]
    [InlineData("digest=sha256:{0}&digest=md5:x")]
    [InlineData("digest=&digest=sha256:{0}")]
    [InlineData("digest[]=sha256:{0}")]
    [InlineData("digest")]
    public async Task More_or_less_than_one_digest_is_refused(string query)
    {
        var location = await Http.NewUploadAsync(Repository);

        (await AskAsync($"PUT {location}&{string.Format(null, query, Hex)} HTTP/1.1\r\nContent-Length: 0"))
            .ShouldBeRefused("DIGEST_INVALID");
    }
}
