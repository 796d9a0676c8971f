using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>Group 16: tokens that somebody has made for himself.</summary>
public sealed class HostileTokenTests(ForgedRegistry forged) : IClassFixture<ForgedRegistry>, IAsyncLifetime
{
    private const string Attacked = "/v2/test/a/tags/list";

    /// <summary>What a good token says, so that a row has to change nothing but what it is about.</summary>
    private TokenForge Forge => forged.Forge;

    private static ECDsa Attacker { get; } = AuthFolder.NewKey();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await forged.ShouldBeUnharmedAsync();

    // --- the signature --------------------------------------------------------------------------------------------

    private static Dictionary<string, Func<TokenForge, string>> Signatures { get; } = new()
    {
        ["none"] = forge => Unsigned(forge, "none"),
        ["None"] = forge => Unsigned(forge, "None"),
        ["NONE, and signed"] = forge => forge.Sign(forge.Header(("alg", "NONE")), forge.Payload()),
        ["no algorithm"] = forge => forge.Sign(forge.Header(("alg", null)), forge.Payload()),
        ["an algorithm that is no text"] = forge => forge.Sign(forge.Header(("alg", 1)), forge.Payload()),
        ["no signature"] = forge => Unsigned(forge, "ES256"),
        ["a signature of zeros"] = forge => Unsigned(forge, "ES256") + new string('A', 86), // CVE-2022-21449
        ["a signature that is cut"] = forge => forge.Token()[..^4],
        ["a signature that goes on"] = forge => forge.Token() + "AAAA",
        ["a signature in DER"] = SignedInDer,
        ["HS256 with the public key, as PEM"] = forge => SignedByMac(forge, Encoding.ASCII.GetBytes(forge.Key.ExportSubjectPublicKeyInfoPem())),
        ["HS256 with the public key, as DER"] = forge => SignedByMac(forge, forge.Key.ExportSubjectPublicKeyInfo()),
        ["HS256 with the key's id"] = forge => SignedByMac(forge, Encoding.ASCII.GetBytes(forge.KeyId)),
        ["HS256 with nothing"] = forge => SignedByMac(forge, []),
        ["RS256 with a key of his own"] = SignedByRsa,
        ["ES384 that is ES256"] = forge => forge.Sign(forge.Header(("alg", "ES384")), forge.Payload()),
        ["another key by our key's id"] = forge => TokenForge.Sign(forge.Header().ToJsonString(), forge.Payload().ToJsonString(), Attacker),
        ["the payload of another token"] = forge => Mixed(forge.Token(("sub", "user:bob")), forge.Token()),
        ["the header of another token"] = forge => Mixed(forge.Token(), forge.Sign(forge.Header(("typ", "refresh+jwt")), forge.Payload())),
    };

    public static TheoryData<string> SignatureRows => [.. Signatures.Keys];

    [Theory]
    [MemberData(nameof(SignatureRows))]
    public Task A_token_that_is_not_signed_with_our_key_is_refused(string row) => ShouldBeRefusedAsync(Signatures[row](Forge));

    // --- the header -----------------------------------------------------------------------------------------------

    private static Dictionary<string, Func<TokenForge, string>> Headers { get; } = new()
    {
        ["jwk"] = forge => SignedByAttacker(forge, ("jwk", JwkOf(Attacker))),
        ["jwk without kid"] = forge => SignedByAttacker(forge, ("jwk", JwkOf(Attacker)), ("kid", null)),
        ["jku"] = forge => SignedByAttacker(forge, ("jku", "http://127.0.0.1:1/keys")),
        ["x5u"] = forge => SignedByAttacker(forge, ("x5u", "http://127.0.0.1:1/certificate")),
        ["x5c"] = forge => SignedByAttacker(forge, ("x5c", new JsonArray(Convert.ToBase64String(CertificateOf(Attacker).RawData)))),
        ["x5t"] = forge => SignedByAttacker(forge, ("kid", null), ("x5t", CertificateOf(Attacker).Thumbprint)),
        ["no kid"] = forge => forge.Sign(forge.Header(("kid", null)), forge.Payload()),
        ["kid empty"] = forge => WithKey(forge, ""),
        ["kid a number"] = forge => WithKey(forge, 1),
        ["kid an array"] = forge => WithKey(forge, new JsonArray(forge.KeyId)),
        ["kid of another case"] = forge => WithKey(forge, Swapped(forge.KeyId)),
        ["kid unknown"] = forge => WithKey(forge, "unknown"),
        ["kid a path"] = forge => WithKey(forge, "../../../../etc/passwd"),
        ["kid /dev/null"] = forge => WithKey(forge, "/dev/null"),
        ["kid SQL"] = forge => WithKey(forge, "' UNION SELECT 'key' --"),
        ["kid a command"] = forge => WithKey(forge, "key.pem; id"),
        ["kid NUL"] = forge => WithKey(forge, $"{forge.KeyId}\0"),
        ["kid of 10 kB"] = forge => WithKey(forge, new string('k', 10_000)),
        ["kid half a character"] = forge => WithHeader(forge, $$"""{"alg":"ES256","typ":"JWT","kid":"\ud800"}"""),
        ["kid twice"] = forge => WithHeader(forge, $$"""{"alg":"ES256","typ":"JWT","kid":"{{forge.KeyId}}","kid":"{{forge.KeyId}}"}"""),
        ["kid twice, once escaped"] = forge => WithHeader(forge, $$"""{"alg":"ES256","typ":"JWT","kid":"x","\u006bid":"{{forge.KeyId}}"}"""),
        ["alg twice"] = forge => WithHeader(forge, $$"""{"alg":"none","alg":"ES256","typ":"JWT","kid":"{{forge.KeyId}}"}"""),
        ["a name that is half a character"] = forge => WithHeader(forge, $$"""{"alg":"ES256","typ":"JWT","\ud800":1,"kid":"{{forge.KeyId}}"}"""),
        ["crit"] = forge => forge.Sign(forge.Header(("crit", new JsonArray("exp"))), forge.Payload()),
        ["crit empty"] = forge => forge.Sign(forge.Header(("crit", new JsonArray())), forge.Payload()),
        ["crit b64"] = forge => forge.Sign(forge.Header(("crit", new JsonArray("b64")), ("b64", false)), forge.Payload()),
        ["zip"] = forge => forge.Sign(forge.Header(("zip", "DEF")), forge.Payload()),
        ["enc"] = forge => forge.Sign(forge.Header(("enc", "A256GCM")), forge.Payload()),
        ["no typ"] = forge => WithType(forge, null),
        ["typ of a refresh token"] = forge => WithType(forge, "refresh+jwt"),
        ["typ at+jwt"] = forge => WithType(forge, "at+jwt"),
        ["typ a number"] = forge => WithType(forge, 1),
        ["typ empty"] = forge => WithType(forge, ""),
        ["an array"] = forge => WithHeader(forge, "[]"),
        ["a text"] = forge => WithHeader(forge, "\"ES256\""),
        ["nothing"] = forge => WithHeader(forge, ""),
        ["no JSON"] = forge => WithHeader(forge, "{"),
        ["deep"] = forge => WithHeader(forge, new string('[', 5_000)),
    };

    public static TheoryData<string> HeaderRows => [.. Headers.Keys];

    [Theory]
    [MemberData(nameof(HeaderRows))]
    public Task A_header_that_we_would_not_write_is_refused(string row) => ShouldBeRefusedAsync(Headers[row](Forge));

    // --- the claims -----------------------------------------------------------------------------------------------

    private static Dictionary<string, Func<TokenForge, string>> Claims { get; } = new()
    {
        ["exp missing"] = forge => forge.Token(("exp", null)),
        ["exp past"] = forge => forge.Token(("exp", forge.Now - 1)),
        ["exp long past"] = forge => forge.Token(("exp", forge.Now - 1_000_000)),
        ["exp a text"] = forge => forge.Token(("exp", $"{forge.Now + 300}")),
        ["exp an array"] = forge => forge.Token(("exp", new JsonArray(forge.Now + 300))),
        ["exp null"] = forge => WithText(forge, "exp", "null"),
        ["exp true"] = forge => forge.Token(("exp", true)),
        ["exp 0"] = forge => forge.Token(("exp", 0)),
        ["exp negative"] = forge => forge.Token(("exp", -1)),
        ["exp 1e400"] = forge => WithText(forge, "exp", "1e400"),
        ["exp 1e18"] = forge => WithText(forge, "exp", "1e18"),
        ["exp 2^63"] = forge => WithText(forge, "exp", "9223372036854775808"),
        ["exp in the year 9999"] = forge => forge.Token(("exp", 253402300799)),
        ["exp in two hours"] = forge => forge.Token(("exp", forge.Now + 7_200)),
        ["exp twice"] = forge => WithText(forge, "exp", $"1,\"exp\":{forge.Now + 300}"),
        ["nbf in an hour"] = forge => forge.Token(("nbf", forge.Now + 3_600)),
        ["nbf in two minutes"] = forge => forge.Token(("nbf", forge.Now + 120)),
        ["iss other"] = forge => forge.Token(("iss", "evil")),
        ["iss missing"] = forge => forge.Token(("iss", null)),
        ["iss an array"] = forge => forge.Token(("iss", new JsonArray("oci-registry"))),
        ["iss half a character"] = forge => WithText(forge, "iss", "\"\\ud800\""),
        ["aud other"] = forge => forge.Token(("aud", "evil")),
        ["aud of another case"] = forge => forge.Token(("aud", "OCI-registry")),
        ["aud missing"] = forge => forge.Token(("aud", null)),
        ["aud empty"] = forge => forge.Token(("aud", "")),
        ["aud an empty array"] = forge => forge.Token(("aud", new JsonArray())),
        ["aud an array of others"] = forge => forge.Token(("aud", new JsonArray("evil", "other"))),
        ["aud an object"] = forge => forge.Token(("aud", new JsonObject { ["oci-registry"] = true })),
        ["sub missing"] = forge => forge.Token(("sub", null)),
        ["sub empty"] = forge => forge.Token(("sub", "")),
        ["sub an array"] = forge => forge.Token(("sub", new JsonArray("user:alice"))),
        ["sub twice"] = forge => WithText(forge, "sub", "\"user:bob\",\"sub\":\"user:alice\""),
        ["sub half a character"] = forge => WithText(forge, "sub", "\"\\ud800\""),
        ["sub unknown"] = forge => forge.Token(("sub", "user:nobody")),
        ["sub of no kind"] = forge => forge.Token(("sub", "alice")),
        ["sub of an issuer that is none"] = forge => forge.Token(("sub", "github:repo:a/b")),
        ["sub of a robot where there are none"] = forge => forge.Token(("sub", "robot:ci")),
        ["sub of a certificate where they are none"] = forge => forge.Token(("sub", "cert:ci")),
        ["cred missing"] = forge => forge.Token(("cred", null)),
        ["cred other"] = forge => forge.Token(("cred", "0000000000000000")),
        ["access missing"] = forge => forge.Token(("access", null)),
        ["access null"] = forge => WithText(forge, "access", "null"),
        ["access a text"] = forge => forge.Token(("access", "*")),
        ["access an object"] = forge => forge.Token(("access", TokenForge.Scope("test/a", "pull"))),
        ["access of texts"] = forge => forge.Token(("access", new JsonArray("repository:test/a:pull"))),
        ["access without type"] = forge => WithScope(forge, scope => scope.Remove("type")),
        ["access without name"] = forge => WithScope(forge, scope => scope.Remove("name")),
        ["access without actions"] = forge => WithScope(forge, scope => scope.Remove("actions")),
        ["access with actions in one text"] = forge => WithScope(forge, scope => scope["actions"] = "pull"),
        ["access with a name that is half a character"] = forge =>
            WithText(forge, "access", """[{"type":"repository","name":"\ud800","actions":["pull"]}]"""),
        ["access with a type twice"] = forge =>
            WithText(forge, "access", """[{"type":"repository","type":"repository","name":"test/a","actions":["pull"]}]"""),
        ["an array"] = forge => forge.Sign(forge.Header().ToJsonString(), "[]"),
        ["no JSON"] = forge => forge.Sign(forge.Header().ToJsonString(), "{\"iss\":\"oci-registry\""),
        ["deep"] = forge => WithText(forge, "deep", new string('[', 2_000) + new string(']', 2_000)),
    };

    public static TheoryData<string> ClaimRows => [.. Claims.Keys];

    [Theory]
    [MemberData(nameof(ClaimRows))]
    public Task Claims_that_we_would_not_write_are_refused(string row) => ShouldBeRefusedAsync(Claims[row](Forge));

    public static TheoryData<string> GoodRows => [.. Good.Keys];

    private static Dictionary<string, Func<TokenForge, string>> Good { get; } = new()
    {
        ["as we write it"] = forge => forge.Token(),
        ["nbf within the minute that clocks may differ"] = forge => forge.Token(("nbf", forge.Now + 30)),
        ["nbf missing"] = forge => forge.Token(("nbf", null)),
        ["aud an array with ours"] = forge => forge.Token(("aud", new JsonArray("other", "oci-registry"))),
        ["exp in an hour"] = forge => forge.Token(("exp", forge.Now + 3_600)),
        ["actions that we do not know"] = forge => WithScope(forge, scope => scope["actions"] = new JsonArray("fly", 1, "pull")),
        ["keys and addresses in the header that nobody looks at"] = forge => forge.Sign(
            forge.Header(("jwk", JwkOf(Attacker)), ("jku", "http://127.0.0.1:1/"), ("x5u", "http://127.0.0.1:1/")), forge.Payload()),
    };

    /// <summary>What shows that the rows above are refused for what they say, and for nothing else.</summary>
    [Theory]
    [MemberData(nameof(GoodRows))]
    public async Task A_token_that_is_ours_is_taken(string row)
    {
        using var answer = await SendAsync(Good[row](Forge));

        await answer.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }

    // --- no token -------------------------------------------------------------------------------------------------

    private static Dictionary<string, Func<TokenForge, string>> Shapes { get; } = new()
    {
        ["a word"] = _ => "token",
        ["dots"] = _ => "..",
        ["a part"] = forge => forge.Token().Split('.')[0],
        ["two parts"] = forge => forge.Token()[..forge.Token().LastIndexOf('.')],
        ["four parts"] = forge => forge.Token() + ".AAAA",
        ["five parts"] = _ => Encrypted,
        ["six parts"] = _ => Encrypted + ".AAAA",
        ["not base64"] = forge => "!" + forge.Token(),
        ["a space in it"] = forge => forge.Token().Insert(5, " "),
        ["20 kB"] = forge => forge.Token(("filler", new string('x', 15_000))),
        ["bytes that are no UTF-8"] = forge => $"{TokenForge.Encode("{")}.wyg.{forge.Token().Split('.')[2]}",
    };

    public static TheoryData<string> ShapeRows => [.. Shapes.Keys];

    [Theory]
    [MemberData(nameof(ShapeRows))]
    public Task What_is_no_token_is_refused(string row) => ShouldBeRefusedAsync(Shapes[row](Forge));

    [Fact]
    public async Task A_token_of_a_megabyte_is_refused_by_the_server()
    {
        var answer = await RawHttp.AskAsync(
            forged.Registry.Url, $"GET {Attacked} HTTP/1.1\r\nAuthorization: Bearer {new string('A', 1024 * 1024)}");

        answer.ShouldBeRefused();
    }

    /// <summary>Five parts are encrypted, and may be compressed a thousandfold (CVE-2024-21319): no library sees them.</summary>
    [Theory]
    [InlineData("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiemlwIjoiREVGIn0..AAAA.AAAA.AAAA")]
    [InlineData("e30.e30.e30.e30.e30")]
    [InlineData("e30.e30")]
    [InlineData("e30")]
    [InlineData("")]
    [InlineData("e30..")]
    [InlineData("..e30")]
    [InlineData("eyJ6aXAiOiJERUYifQ.e30.AAAA")]
    [InlineData("eyJlbmMiOiJBMTI4R0NNIn0.e30.AAAA")]
    [InlineData("eyJjcml0IjpbXX0.e30.AAAA")]
    [InlineData("eyJhIjoxLCJhIjoxfQ.e30.AAAA")]
    [InlineData("e30.eyJhIjoxLCJhIjoxfQ.AAAA")]
    public void What_may_be_a_trap_is_not_taken_apart(string text) => Jwt.TryParse(text, out _).ShouldBeFalse();

    [Fact]
    public void A_token_is_taken_apart_up_to_16_KiB()
    {
        var token = $"e30.{TokenForge.Encode($$"""{"sub":"{{new string('x', 9_000)}}"}""")}.";

        Jwt.TryParse(token + new string('A', Jwt.MaxLength - token.Length), out _).ShouldBeTrue();
        Jwt.TryParse(token + new string('A', Jwt.MaxLength - token.Length + 1), out _).ShouldBeFalse();
    }

    // --- the scope ------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("GET", "/v2/test/b/tags/list", "repository:test/b:pull")]
    [InlineData("GET", "/v2/test/a/b/tags/list", "repository:test/a/b:pull")]
    [InlineData("POST", "/v2/test/b/blobs/uploads/", "repository:test/b:pull,push")]
    [InlineData("GET", "/v2/_catalog", "registry:catalog:*")]
    public async Task A_token_for_one_repository_is_none_for_another(string method, string path, string scope)
    {
        using var answer = await forged.Registry.Http.RequestAsync(method, path, Bearer(Forge.Token()));

        await answer.ShouldBeChallengedAsync("error=\"insufficient_scope\"", $"scope=\"{scope}\"");
    }

    /// <summary>Scopes are names and no patterns, whatever they look like.</summary>
    [Theory]
    [InlineData("repository", "*")]
    [InlineData("repository", "**")]
    [InlineData("repository", "test/*")]
    [InlineData("repository", "test/b/../a")]
    [InlineData("repository", "test/a/")]
    [InlineData("repository", "TEST/A")]
    [InlineData("repository", "")]
    [InlineData("registry", "test/a")]
    [InlineData("*", "test/a")]
    public async Task A_scope_that_is_not_the_repositorys_name_is_none_for_it(string type, string name)
    {
        using var answer = await SendAsync(WithScope(Forge, scope => (scope["type"], scope["name"]) = (type, name)));

        await answer.ShouldBeChallengedAsync("error=\"insufficient_scope\"", "scope=\"repository:test/a:pull\"");
    }

    /// <summary>The policy counts, whatever the token says.</summary>
    [Theory]
    [InlineData("GET", "/v2/other/a/tags/list", "other/a")]
    [InlineData("DELETE", "/v2/test/a/manifests/latest", "test/a")]
    public async Task A_scope_beyond_the_policy_allows_nothing(string method, string path, string repository)
    {
        var token = Forge.Token(("access", new JsonArray(TokenForge.Scope(repository, "*"))));

        using var answer = await forged.Registry.Http.RequestAsync(method, path, Bearer(token));

        await answer.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
    }

    private async Task ShouldBeRefusedAsync(string token)
    {
        foreach (var path in new[] { Attacked, "/v2/", "/token" })
        {
            using var answer = await forged.Registry.Http.RequestAsync("GET", path, Bearer(token));
            await answer.ShouldBeChallengedAsync("error=\"invalid_token\"");
        }

        using var refresh = await forged.Registry.Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", token));
        if (refresh.StatusCode != HttpStatusCode.OK || !IsRefresh(token))
        {
            await refresh.ShouldBeChallengedAsync();
        }
    }

    // One row is what the registry would write, for another purpose.
    private static bool IsRefresh(string token) => (string?)HeaderOf(token)["typ"] == "refresh+jwt";

    private Task<HttpResponseMessage> SendAsync(string token) =>
        forged.Registry.Http.RequestAsync("GET", Attacked, Bearer(token));

    private const string Encrypted =
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiemlwIjoiREVGIn0..AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA";

    private static string Unsigned(TokenForge forge, string algorithm) =>
        $"{TokenForge.Encode(forge.Header(("alg", algorithm)).ToJsonString())}.{TokenForge.Encode(forge.Payload().ToJsonString())}.";

    private static string SignedByMac(TokenForge forge, byte[] key)
    {
        var text = Unsigned(forge, "HS256")[..^1];
        return $"{text}.{Base64Url.EncodeToString(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(text)))}";
    }

    private static string SignedByRsa(TokenForge forge)
    {
        using var rsa = RSA.Create(2048);
        var text = Unsigned(forge, "RS256")[..^1];
        var signature = rsa.SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    private static string SignedInDer(TokenForge forge)
    {
        var text = Unsigned(forge, "ES256")[..^1];
        var signature = forge.Key.SignData(
            Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    /// <summary>The one's header and signature, the other's payload; or their headers, when the payload is the same.</summary>
    private static string Mixed(string one, string other)
    {
        var (first, second) = (one.Split('.'), other.Split('.'));
        return first[0] == second[0] ? $"{first[0]}.{second[1]}.{first[2]}" : $"{first[0]}.{second[1]}.{second[2]}";
    }

    private static string SignedByAttacker(TokenForge forge, params (string, JsonNode?)[] header) =>
        TokenForge.Sign(forge.Header(header).ToJsonString(), forge.Payload().ToJsonString(), Attacker);

    private static string WithKey(TokenForge forge, JsonNode id) => forge.Sign(forge.Header(("kid", id)), forge.Payload());

    private static string WithType(TokenForge forge, JsonNode? type) => forge.Sign(forge.Header(("typ", type)), forge.Payload());

    private static string WithHeader(TokenForge forge, string header) => forge.Sign(header, forge.Payload().ToJsonString());

    private static string WithText(TokenForge forge, string claim, string json) => forge.Sign(
        forge.Header().ToJsonString(), $"{forge.Payload((claim, null)).ToJsonString()[..^1]},\"{claim}\":{json}}}");

    private static string WithScope(TokenForge forge, Action<JsonObject> change)
    {
        var scope = TokenForge.Scope("test/a", "pull");
        change(scope);
        return forge.Token(("access", new JsonArray(scope)));
    }

    private static string Swapped(string text) =>
        string.Concat(text.Select(c => char.IsUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c)));

    private static JsonObject JwkOf(ECDsa key)
    {
        var point = key.ExportParameters(includePrivateParameters: false).Q;
        return new()
        {
            ["kty"] = "EC",
            ["crv"] = "P-256",
            ["x"] = Base64Url.EncodeToString(point.X),
            ["y"] = Base64Url.EncodeToString(point.Y),
        };
    }

    private static X509Certificate2 CertificateOf(ECDsa key) => new CertificateRequest("CN=evil", key, HashAlgorithmName.SHA256)
        .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
}
