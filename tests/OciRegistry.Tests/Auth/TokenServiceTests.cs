using System.Net;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>
/// distribution's token service: https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/.
/// </summary>
public sealed class TokenServiceTests(TokenRegistry tokens) : IClassFixture<TokenRegistry>, IAsyncLifetime
{
    private HttpClient Http => tokens.Http;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await tokens.ShouldBeUnharmedAsync();

    // --- who ------------------------------------------------------------------------------------------------------

    [Fact]
    public async Task Who_asks_for_hundreds_of_scopes_gets_a_token_that_the_registry_takes()
    {
        var scopes = string.Join(' ', Enumerable.Range(0, 400).Select(i => $"repository:test/{new string('a', 60)}{i}:pull,push"));
        using var form = new FormUrlEncodedContent(
        [
            KeyValuePair.Create("grant_type", "password"),
            KeyValuePair.Create("username", "alice"),
            KeyValuePair.Create("password", AuthFolder.AlicesPassword),
            KeyValuePair.Create("scope", scopes),
        ]);
        using var answer = await Http.PostAsync(new Uri("/token", UriKind.Relative), form);
        var token = (string)(await answer.JsonAsync())["token"]!;

        token.Length.ShouldBeInRange(8_000, Jwt.MaxLength);
        using var served = await Http.RequestAsync("GET", "/v2/", Bearer(token));
        served.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_name_and_password_are_exchanged_for_a_token_that_says_when_it_ends()
    {
        using var answer = await Http.AskTokenAsync("service=oci-registry&scope=repository:test/a:pull", Basic("alice", AuthFolder.AlicesPassword));

        var json = await answer.JsonAsync();
        var token = (string)json["token"]!;
        ((string)json["access_token"]!).ShouldBe(token);
        ((string)json["token_type"]!).ShouldBe("Bearer");
        ((int)json["expires_in"]!).ShouldBe(300);
        var issued = DateTimeOffset.Parse((string)json["issued_at"]!, null);
        issued.ShouldBe(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(1));
        json["refresh_token"].ShouldBeNull();
        answer.Header("Cache-Control").ShouldBe("no-store");
        var payload = PayloadOf(token);
        ((string)payload["sub"]!).ShouldBe("user:alice");
        ((string)payload["iss"]!).ShouldBe("oci-registry");
        ((string)payload["aud"]!).ShouldBe("oci-registry");
        ((long)payload["exp"]!).ShouldBe((long)payload["iat"]! + 300);
        ScopesOf(token).ShouldBe(["repository:test/a:pull"]);
        using var tags = await Http.RequestAsync("GET", "/v2/", Bearer(token));
        await tags.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("Basic Og==")] // ":" is what docker sends for nobody
    public async Task Nobody_gets_a_token_for_what_everybody_may(string? header)
    {
        (string, string)[] headers = header is null ? [] : [("Authorization", header)];
        using var answer = await Http.AskTokenAsync("scope=repository:public/a:pull,push&scope=repository:test/a:pull", headers);

        var token = await answer.TokenAsync();
        ((string)PayloadOf(token)["sub"]!).ShouldBe("anonymous");
        ScopesOf(token).ShouldBe(["repository:public/a:pull"]);
        using var list = await Http.RequestAsync("GET", "/v2/public/a/tags/list", Bearer(token));
        await list.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }

    [Theory]
    [InlineData("alice", "wrong")]
    [InlineData("nobody", "wrong")]
    [InlineData("alice", "")]
    [InlineData("", "wrong")]
    public async Task A_wrong_password_is_refused_and_the_answer_says_so(string name, string password)
    {
        using var got = await Http.AskTokenAsync("scope=repository:public/a:pull", Basic(name, password));
        using var posted = await Http.PostTokenAsync(("grant_type", "password"), ("username", name), ("password", password));

        foreach (var answer in new[] { got, posted })
        {
            await answer.ShouldBeChallengedAsync();
            (await answer.Content.ReadAsStringAsync()).ShouldContain("The name or the password is wrong.");
        }
    }

    // --- POST -----------------------------------------------------------------------------------------------------

    /// <summary>containerd's form: all scopes in one value, some of them twice.</summary>
    [Fact]
    public async Task A_posted_password_is_exchanged_for_a_token()
    {
        using var answer = await Http.PostTokenAsync(
            ("grant_type", "password"),
            ("service", "oci-registry"),
            ("client_id", "containerd-client"),
            ("scope", "repository:test/a:pull repository:test/b:pull,push repository:test/a:pull"),
            ("username", "alice"),
            ("password", AuthFolder.AlicesPassword));

        ScopesOf(await answer.TokenAsync()).ShouldBe(["repository:test/a:pull", "repository:test/b:pull,push"]);
    }

    /// <summary>helm's form, when it logs in.</summary>
    [Fact]
    public async Task A_token_without_scope_is_one_to_log_in_with()
    {
        using var answer = await Http.PostTokenAsync(
            ("grant_type", "password"), ("service", "oci-registry"), ("username", "alice"), ("password", AuthFolder.AlicesPassword));

        var token = await answer.TokenAsync();
        ScopesOf(token).ShouldBeEmpty();
        using var version = await Http.RequestAsync("GET", "/v2/", Bearer(token));
        await version.ShouldHaveStatusAsync(HttpStatusCode.OK);
        using var pull = await Http.RequestAsync("GET", "/v2/test/a/tags/list", Bearer(token));
        await pull.ShouldBeChallengedAsync("error=\"insufficient_scope\"", "scope=\"repository:test/a:pull\"");
    }

    public static TheoryData<string?, string, string> BadForms => new()
    {
        { "application/x-www-form-urlencoded", "", "grant_type" },
        { "application/x-www-form-urlencoded", "grant_type=client_credentials", "grant_type" },
        { "application/x-www-form-urlencoded", "grant_type=password&grant_type=password&username=alice&password=x", "grant_type" },
        { "application/x-www-form-urlencoded", "grant_type", "grant_type" },
        { "application/x-www-form-urlencoded", $"{new string('k', 3_000)}=v", "fields" },
        { "application/x-www-form-urlencoded", string.Join('&', Enumerable.Range(0, 2_000).Select(i => $"{i}=v")), "fields" },
        { "application/json", """{"grant_type":"password"}""", "takes a form" },
        { "text/plain", "grant_type=password", "takes a form" },
        { "nonsense", "grant_type=password", "takes a form" },
        { null, "grant_type=password", "takes a form" },
        { "multipart/form-data", "grant_type=password", "takes a form" },
        { "multipart/form-data; boundary=x", "--x\r\nContent-Dispo", "takes a form" },
        { "multipart/form-data; boundary=x", "", "takes a form" },
    };

    [Theory]
    [MemberData(nameof(BadForms))]
    public async Task A_form_that_is_none_is_refused_with_what_is_missing(string? contentType, string body, string says)
    {
        (string, string)[] headers = contentType is null ? [] : [("Content-Type", contentType)];
        using var answer = await Http.RequestAsync("POST", "/token", Encoding.ASCII.GetBytes(body), headers);

        await answer.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED");
        (await answer.Content.ReadAsStringAsync()).ShouldContain(says);
    }

    [Theory]
    [InlineData("grant_type=password&username=alice&password=")]
    [InlineData("grant_type=password&")]
    public async Task A_form_that_is_too_large_is_refused_and_not_read(string begin)
    {
        var body = Encoding.ASCII.GetBytes(begin + new string('x', 100_000));
        var header = ("Content-Type", "application/x-www-form-urlencoded");

        using var answer = await Http.RequestAsync("POST", "/token", body, header);

        await answer.ShouldBeErrorAsync(HttpStatusCode.RequestEntityTooLarge, "UNSUPPORTED");
    }

    [Fact]
    public async Task Other_methods_are_refused()
    {
        foreach (var method in new[] { "PUT", "DELETE", "PATCH" })
        {
            using var answer = await Http.RequestAsync(method, "/token");
            answer.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        }
    }

    // --- what -----------------------------------------------------------------------------------------------------

    public static TheoryData<string, string[]> Scopes => new()
    {
        { "", [] },
        { "scope=", [] },
        { "scope=repository:test/a:pull", ["repository:test/a:pull"] },
        { "scope=repository:test/a:pull&scope=repository:test/b:push", ["repository:test/a:pull", "repository:test/b:push"] },
        { "scope=repository:test/a:pull%20repository:test/b:push", ["repository:test/a:pull", "repository:test/b:push"] },
        { "scope=%20%20repository:test/a:pull%20%20", ["repository:test/a:pull"] },
        { "scope=repository:test/a:pull&scope=repository:test/a:push", ["repository:test/a:pull,push"] },
        { "scope=repository:test/a:pull,pull,push,pull", ["repository:test/a:pull,push"] },
        { "scope=repository:test/a:*", ["repository:test/a:pull,push"] },
        { "scope=repository:test/own:*", ["repository:test/own:pull,push,delete"] },
        { "scope=repository:test/a:pull,delete", ["repository:test/a:pull"] },
        { "scope=repository:test/a:delete", [] },
        { "scope=repository:test/a:admin,create-only", [] },
        { "scope=repository:other/a:pull,push", [] },
        { "scope=repository:public/a:pull", [] }, // anonymous is named, and alice is not
        { "scope=repository(plugin):test/a:pull", ["repository:test/a:pull"] },
        { "scope=repository:test/a/../b:push", [] },
        { "scope=repository:test/../../etc:pull", [] },
        { "scope=repository:test/A:pull", [] },
        { "scope=repository:test/**:pull", [] },
        { "scope=repository:*:pull", [] },
        { "scope=repository:test/a%00:pull", [] },
        { "scope=repository:test/a%0a:pull", [] },
        { "scope=repository:example.com:5000/test/a:pull", [] },
        { "scope=repository:test/a:", [] },
        { "scope=repository:test/a", [] },
        { "scope=repository::pull", [] },
        { "scope=repository", [] },
        { "scope=:", [] },
        { "scope=::", [] },
        { "scope=:::::", [] },
        { "scope=(repository):test/a:pull", [] },
        { "scope=Repository:test/a:pull", [] },
        { "scope=repository:test/a:PULL", [] },
        { "scope=blob:test/a:pull", [] },
        { "scope=registry:catalog:*", ["registry:catalog:*"] },
        { "scope=registry:catalog:pull", ["registry:catalog:*"] },
        { "scope=registry:admin:*", [] },
        { "scope=registry:other:*", [] },
        { "scope=nonsense&scope=repository:test/a:pull&scope=%ff%fe&scope=%22", ["repository:test/a:pull"] },
        { "account=bob&service=evil.example&client_id=x&scope=repository:test/a:push", ["repository:test/a:push"] },
    };

    [Theory]
    [MemberData(nameof(Scopes))]
    public async Task What_is_not_allowed_is_left_out_and_no_error(string query, string[] granted)
    {
        using var answer = await Http.AskTokenAsync(query, Basic("alice", AuthFolder.AlicesPassword));

        ScopesOf(await answer.TokenAsync()).ShouldBe(granted);
    }

    [Theory]
    [InlineData("bob", AuthFolder.BobsPassword, "repository:test/a:*", "repository:test/a:pull")]
    [InlineData("bob", AuthFolder.BobsPassword, "registry:catalog:*", "registry:catalog:*")]
    [InlineData("carol", "operates", "registry:admin:*", "registry:admin:*")]
    [InlineData("carol", "operates", "repository:test/a:pull", null)]
    public async Task Everybody_gets_what_the_policy_lets_him(string name, string password, string scope, string? granted) =>
        ScopesOf(await Http.TokenAsync(name, password, scope)).ShouldBe(granted is null ? [] : [granted]);

    [Fact]
    public async Task Many_scopes_are_served()
    {
        var scopes = Enumerable.Range(0, 60).Select(i => $"repository:test/{i}:pull").ToArray();
        var token = await Http.TokenAsync("alice", AuthFolder.AlicesPassword, scopes);

        ScopesOf(token).ShouldBe(scopes);
        using var version = await Http.RequestAsync("GET", "/v2/", Bearer(token));
        await version.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    // --- refresh tokens -------------------------------------------------------------------------------------------

    [Theory]
    [InlineData("offline_token=true", true)]
    [InlineData("offline_token=false", false)]
    [InlineData("", false)]
    public async Task A_refresh_token_is_for_who_asks_for_it(string query, bool isGiven)
    {
        using var answer = await Http.AskTokenAsync(query, Basic("alice", AuthFolder.AlicesPassword));
        using var anonymous = await Http.AskTokenAsync(query);

        ((await answer.JsonAsync())["refresh_token"] is not null).ShouldBe(isGiven);
        (await anonymous.JsonAsync())["refresh_token"].ShouldBeNull();
    }

    [Fact]
    public async Task A_refresh_token_is_exchanged_for_access_tokens_and_nothing_else()
    {
        using var login = await Http.PostTokenAsync(
            ("grant_type", "password"), ("username", "alice"), ("password", AuthFolder.AlicesPassword), ("access_type", "offline"));
        var refresh = (string)(await login.JsonAsync())["refresh_token"]!;
        for (var i = 0; i < 2; i++)
        {
            using var more = await Http.PostTokenAsync(
                ("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", "repository:test/a:push"), ("access_type", "offline"));
            var json = await more.JsonAsync();
            ScopesOf((string)json["token"]!).ShouldBe(["repository:test/a:push"]);
            json["refresh_token"].ShouldBeNull("it would live for ever");
        }

        using var asAccess = await Http.RequestAsync("GET", "/v2/", Bearer(refresh));
        await asAccess.ShouldBeChallengedAsync("error=\"invalid_token\"");
        using var asBearerOfTokens = await Http.AskTokenAsync("", Bearer(refresh));
        await asBearerOfTokens.ShouldBeChallengedAsync("error=\"invalid_token\"");
        using var asPassword = await Http.AskTokenAsync("", Basic("alice", refresh));
        await asPassword.ShouldBeChallengedAsync();
    }

    /// <summary>It would live for ever, and be good for more than it was made for.</summary>
    [Fact]
    public async Task An_access_token_is_not_exchanged_for_another()
    {
        var token = await Http.TokenAsync("alice", AuthFolder.AlicesPassword, "repository:test/a:pull");
        using var used = await Http.RequestAsync("GET", "/v2/", Bearer(token));
        await used.ShouldHaveStatusAsync(HttpStatusCode.OK);

        using var asBearer = await Http.AskTokenAsync("scope=repository:test/b:push", Bearer(token));
        await asBearer.ShouldBeChallengedAsync("error=\"invalid_token\"");
        using var asPassword = await Http.AskTokenAsync("scope=repository:test/b:push", Basic("alice", token));
        await asPassword.ShouldBeChallengedAsync();
        using var asRefresh = await Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", token));
        await asRefresh.ShouldBeChallengedAsync();
        (await asRefresh.Content.ReadAsStringAsync()).ShouldContain("The refresh token is not good");
    }

    /// <summary>Whatever the lives: with the same ones only the type tells them apart.</summary>
    [Fact]
    public async Task A_refresh_token_of_an_access_tokens_life_is_none_either()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(
            folder, options => options.Auth.Tokens.RefreshLifetime = options.Auth.Tokens.Lifetime);
        using var login = await registry.Http.AskTokenAsync("offline_token=true", Basic("alice", AuthFolder.AlicesPassword));
        var json = await login.JsonAsync();

        using var asAccess = await registry.Http.RequestAsync("GET", "/v2/", Bearer((string)json["refresh_token"]!));
        await asAccess.ShouldBeChallengedAsync("error=\"invalid_token\"");
        using var asRefresh = await registry.Http.PostTokenAsync(
            ("grant_type", "refresh_token"), ("refresh_token", (string)json["token"]!));
        await asRefresh.ShouldBeChallengedAsync();
    }

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("a.b.c")]
    [InlineData("eyJhbGciOiJub25lIn0.e30.")]
    public async Task A_made_up_refresh_token_is_refused(string refresh)
    {
        using var answer = await Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", refresh));

        await answer.ShouldBeChallengedAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Tokens_die_when_the_password_changes_or_the_user_goes(bool changes)
    {
        using var folder = new AuthFolder();
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(folder, time: time);
        using var login = await registry.Http.AskTokenAsync("offline_token=true", Basic("alice", AuthFolder.AlicesPassword));
        var json = await login.JsonAsync();
        var (token, refresh) = ((string)json["token"]!, (string)json["refresh_token"]!);
        (await StatusesAsync()).ShouldBe((HttpStatusCode.OK, HttpStatusCode.OK, HttpStatusCode.OK));

        folder.SetUsers(changes ? [("alice", "another"), ("bob", AuthFolder.BobsPassword)] : [("bob", AuthFolder.BobsPassword)]);
        time.Advance(AuthFilesService.Interval);

        await Until.TrueAsync(
            async () => await StatusesAsync() == (HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized),
            "neither the password nor its tokens are good");
        await registry.Http.TokenAsync("bob", AuthFolder.BobsPassword);
        registry.Log.Lines.ShouldNotContain(line => line.StartsWith("Error"));

        async Task<(HttpStatusCode, HttpStatusCode, HttpStatusCode)> StatusesAsync()
        {
            using var withToken = await registry.Http.RequestAsync("GET", "/v2/", Bearer(token));
            using var withRefresh = await registry.Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", refresh));
            using var withPassword = await registry.Http.RequestAsync("GET", "/v2/", Basic("alice", AuthFolder.AlicesPassword));
            return (withToken.StatusCode, withRefresh.StatusCode, withPassword.StatusCode);
        }
    }

    [Fact]
    public async Task Tokens_end()
    {
        using var folder = new AuthFolder();
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(
            folder, options => options.Auth.Tokens.RefreshLifetime = TimeSpan.FromMinutes(20), time);
        using var login = await registry.Http.AskTokenAsync("offline_token=true", Basic("alice", AuthFolder.AlicesPassword));
        var json = await login.JsonAsync();

        time.Advance(TimeSpan.FromMinutes(5));
        using var ended = await registry.Http.RequestAsync("GET", "/v2/", Bearer((string)json["token"]!));
        await ended.ShouldBeChallengedAsync("error=\"invalid_token\"");
        (await RefreshAsync()).ShouldBe(HttpStatusCode.OK);
        time.Advance(TimeSpan.FromMinutes(14));
        (await RefreshAsync()).ShouldBe(HttpStatusCode.OK);
        time.Advance(TimeSpan.FromMinutes(1));
        (await RefreshAsync()).ShouldBe(HttpStatusCode.Unauthorized);

        async Task<HttpStatusCode> RefreshAsync()
        {
            using var answer = await registry.Http.PostTokenAsync(
                ("grant_type", "refresh_token"), ("refresh_token", (string)json["refresh_token"]!));
            return answer.StatusCode;
        }
    }

    // --- what others can do with them -----------------------------------------------------------------------------

    [Fact]
    public async Task Tokens_can_be_verified_with_the_published_keys()
    {
        var token = await Http.TokenAsync("alice", AuthFolder.AlicesPassword, "repository:test/a:pull");
        using var answer = await Http.RequestAsync("GET", "/token/keys");
        answer.Header("Cache-Control").ShouldBe("public, max-age=60");
        var keys = await answer.JsonAsync();
        keys["keys"]!.AsArray().ShouldAllBe(key => key!["d"] == null, "the private part is nobody's");

        var result = await new JsonWebTokenHandler().ValidateTokenAsync(token, new TokenValidationParameters
        {
            IssuerSigningKeys = new JsonWebKeySet(keys.ToJsonString()).GetSigningKeys(),
            ValidIssuer = "oci-registry",
            ValidAudience = "oci-registry",
            ValidTypes = ["JWT"],
        });

        result.IsValid.ShouldBeTrue(result.Exception?.Message);
        ((string)HeaderOf(token)["kid"]!).ShouldBe((string)keys["keys"]![0]!["kid"]!);
    }

    /// <summary>Jib decodes the payload with plain base64, and fails at '-' and '_' (clients.md).</summary>
    [Fact]
    public async Task No_payload_has_a_character_that_plain_base64_has_not()
    {
        var random = new Random(Seed.Next(TestContext.Current.TestOutputHelper!));
        var issuer = tokens.Registry.Services.GetRequiredService<RegistryTokens>();
        var printable = Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c).Where(c => Htpasswd.NameProblem($"{c}") is null).ToArray();
        printable.ShouldContain('~');
        printable.ShouldContain('?');
        printable.ShouldContain('>');
        for (var round = 0; round < Counts.Of(300, 20_000); round++)
        {
            var caller = new Caller(Caller.UserPrefix + Text(printable, 128))
            {
                Credential = Convert.ToHexStringLower(RegistryClient.RandomBytes(8)),
                Groups = [.. Enumerable.Range(0, random.Next(3)).Select(_ => $"idp:{Text([.. printable, 'ä', '世', '\u007f'], 40)}")],
            };
            Scope[] access = [.. Enumerable.Range(0, random.Next(4)).Select(_ => new Scope("repository", Repository(), ["pull", "push"]))];

            var token = await issuer.IssueAsync(caller, access, TimeSpan.FromMinutes(5), CancellationToken.None);

            token.Split('.')[1].ShouldNotContain('-', caller.Subject);
            token.Split('.')[1].ShouldNotContain('_', caller.Subject);
            Jwt.TryParse(token, out var jwt).ShouldBeTrue();
            var verified = (await issuer.VerifyAsync(jwt, CancellationToken.None)).Caller!;
            verified.Subject.ShouldBe(caller.Subject);
            verified.Groups.ShouldBe(caller.Groups);
            verified.Scopes!.Select(scope => scope.ToString()).ShouldBe(access.Select(scope => scope.ToString()));
        }

        string Text(char[] of, int length) => new(random.GetItems(of, random.Next(1, length)));

        string Repository()
        {
            while (true)
            {
                var name = Text([.. "abcxyz0189._-/"], 60);
                if (RepositoryName.TryParse(name, out _))
                {
                    return name;
                }
            }
        }
    }
}
