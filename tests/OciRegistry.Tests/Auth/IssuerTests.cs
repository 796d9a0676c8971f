using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>Tokens of OpenID Connect providers: who it is says the provider, what he may do the policy.</summary>
public sealed class IssuerTests
{
    private const string Unknown = "NAME_UNKNOWN"; // may look, and there is nothing

    // --- where a token is taken -----------------------------------------------------------------------------------

    [Fact]
    public async Task An_application_that_embeds_the_registry_keeps_its_schemes_to_itself()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await RegistryApp.StartAsync(
            options => provider.Configure(options.Auth, "idp"),
            services => services.AddAuthentication().AddJwtBearer("its-own"));

        var schemes = registry.Services.GetRequiredService<IAuthenticationSchemeProvider>();

        (await schemes.GetAllSchemesAsync()).Select(scheme => scheme.Name).ShouldBe(["its-own"]);
        (await schemes.GetDefaultAuthenticateSchemeAsync())!.Name.ShouldBe("its-own", "the only one is the default");
    }

    [Fact]
    public async Task A_providers_token_is_taken_as_Bearer_and_wherever_a_password_is()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, "idp:**");
        var token = provider.Token("someone");

        (await PullAsync(registry, Bearer(token))).ShouldBe(HttpStatusCode.NotFound);
        (await PullAsync(registry, Basic("whoever", token))).ShouldBe(HttpStatusCode.NotFound);

        foreach (var header in new[] { Basic("whoever", token), Basic("", token), Bearer(token) })
        {
            using var got = await registry.Http.AskTokenAsync("scope=repository:test/a:pull", header);
            await ShouldBeSomeonesAsync(got);
        }

        using var posted = await registry.Http.PostTokenAsync(
            ("grant_type", "password"), ("username", "oauth2accesstoken"), ("password", token), ("scope", "repository:test/a:pull"));
        await ShouldBeSomeonesAsync(posted);
        provider.Asked.ShouldBe(1);

        async Task ShouldBeSomeonesAsync(HttpResponseMessage answer)
        {
            var ours = await answer.TokenAsync();
            ((string)PayloadOf(ours)["sub"]!).ShouldBe("idp:someone");
            ScopesOf(ours).ShouldBe(["repository:test/a:pull"]);
            (await PullAsync(registry, Bearer(ours))).ShouldBe(HttpStatusCode.NotFound);
        }
    }

    [Fact]
    public async Task Who_has_a_providers_token_gets_no_refresh_token() // who is in which groups is the provider's to say
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, "idp:**");

        using var answer = await registry.Http.AskTokenAsync("offline_token=true", Basic("", provider.Token("someone")));

        (await answer.JsonAsync())["refresh_token"].ShouldBeNull();
    }

    [Fact]
    public async Task A_token_that_is_exchanged_does_not_outlive_the_providers()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, "idp:**");
        var ends = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 100;

        using var answer = await registry.Http.AskTokenAsync("", Basic("", provider.Token("someone", ("exp", ends))));

        var json = await answer.JsonAsync();
        ((int)json["expires_in"]!).ShouldBeInRange(1, 100);
        ((long)PayloadOf((string)json["token"]!)["exp"]!).ShouldBeLessThanOrEqualTo(ends);
    }

    /// <summary>The subjects of GitHub's workflows and of Kubernetes' service accounts, as policies name them.</summary>
    [Theory]
    [InlineData("repo:org/app:ref:refs/heads/main", "idp:repo:org/app:**", true)]
    [InlineData("repo:org/app:ref:refs/heads/main", "idp:repo:org/app:ref:refs/heads/main", true)]
    [InlineData("repo:org/app:ref:refs/heads/main", "idp:repo:org/**", true)]
    [InlineData("repo:org/app:ref:refs/heads/feature/x", "idp:repo:org/app:ref:refs/heads/main", false)]
    [InlineData("repo:org/app-evil:ref:refs/heads/main", "idp:repo:org/app:**", false)]
    [InlineData("repo:org-evil/app:ref:refs/heads/main", "idp:repo:org/**", false)]
    [InlineData("repo:org/app:pull_request", "idp:repo:org/app:ref:**", false)]
    [InlineData("repo:org/app:environment:production", "idp:repo:org/app:environment:production", true)]
    [InlineData("system:serviceaccount:team:builder", "idp:system:serviceaccount:team:builder", true)]
    [InlineData("system:serviceaccount:team:builder", "idp:system:serviceaccount:team:*", true)]
    [InlineData("system:serviceaccount:team-evil:builder", "idp:system:serviceaccount:team:*", false)]
    [InlineData("system:serviceaccount:team:builder", "other:**", false)]
    [InlineData("alice", "user:alice", false)]
    [InlineData("user:alice", "user:alice", false)]
    public async Task A_policy_names_a_providers_subjects(string subject, string pattern, bool isNamed)
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, pattern);

        (await PullAsync(registry, Bearer(provider.Token(subject))))
            .ShouldBe(isNamed ? HttpStatusCode.NotFound : HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task A_group_counts_that_a_policy_knows_and_until_the_next_token_without_it()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await RegistryApp.StartAsync(options =>
        {
            provider.Configure(options.Auth, "idp");
            options.Auth.Policies.Add(new PolicyOptions
            {
                Groups = { "idp:developers", "operators" },
                Repositories = { "test/**" },
                Actions = { "pull" },
            });
        });

        var member = await ExchangeAsync(new JsonArray("developers", "idp:developers", "operators", 1, new string('g', 5_000)));
        PayloadOf(member).Texts("groups").ShouldBe(["idp:developers"]);
        (await PullAsync(registry, Bearer(member))).ShouldBe(HttpStatusCode.NotFound);
        (await PullAsync(registry, Bearer(await ExchangeAsync("developers")))).ShouldBe(HttpStatusCode.NotFound);

        var others = await ExchangeAsync(new JsonArray("operators", "Developers", "developers/", "idp:developers"));
        PayloadOf(others)["groups"].ShouldBeNull();
        (await PullAsync(registry, Bearer(others))).ShouldBe(HttpStatusCode.Forbidden);
        foreach (var groups in new JsonNode?[] { null, new JsonArray(), new JsonObject { ["developers"] = true }, true })
        {
            (await PullAsync(registry, Bearer(await ExchangeAsync(groups)))).ShouldBe(HttpStatusCode.Forbidden);
        }

        async Task<string> ExchangeAsync(JsonNode? groups)
        {
            using var answer = await registry.Http.AskTokenAsync(
                "scope=repository:test/a:pull", Basic("", provider.Token("someone", ("groups", groups))));
            return await answer.TokenAsync();
        }
    }

    [Fact]
    public async Task The_claims_that_say_who_it_is_can_be_others()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, "idp:dave", issuer => issuer.SubjectClaim = "preferred_username");

        (await PullAsync(registry, Bearer(provider.Token("1234", ("preferred_username", "dave"))))).ShouldBe(HttpStatusCode.NotFound);
        (await PullAsync(registry, Bearer(provider.Token("dave", ("preferred_username", "eve"))))).ShouldBe(HttpStatusCode.Forbidden);
        (await PullAsync(registry, Bearer(provider.Token("dave")))).ShouldBe(HttpStatusCode.Unauthorized);
    }

    // --- tokens that are refused ----------------------------------------------------------------------------------

    private static Dictionary<string, Func<FakeProvider, string>> Bad { get; } = new()
    {
        ["aud other"] = provider => provider.Token("someone", ("aud", "another-application")),
        ["aud missing"] = provider => provider.Token("someone", ("aud", null)),
        ["aud of others"] = provider => provider.Token("someone", ("aud", new JsonArray("a", "b"))),
        ["aud our service"] = provider => provider.Token("someone", ("aud", "oci-registry")),
        ["iss other"] = provider => provider.Token("someone", ("iss", "https://evil.example")),
        ["iss with a slash"] = provider => provider.Token("someone", ("iss", provider.Url + "/")),
        ["iss missing"] = provider => provider.Token("someone", ("iss", null)),
        ["iss ours"] = provider => provider.Token("user:alice", ("iss", "oci-registry"), ("aud", "oci-registry"), ("access", new JsonArray())),
        ["exp past"] = provider => provider.Token("someone", ("exp", Now - 1)),
        ["exp long past"] = provider => provider.Token("someone", ("exp", Now - 100_000)),
        ["exp missing"] = provider => provider.Token("someone", ("exp", null)),
        ["exp a text"] = provider => provider.Token("someone", ("exp", $"{Now + 300}")),
        ["exp after all time"] = provider => provider.Token("someone", ("exp", 1e18)),
        ["nbf in an hour"] = provider => provider.Token("someone", ("nbf", Now + 3_600)),
        ["sub missing"] = provider => provider.Token("someone", ("sub", null)),
        ["sub empty"] = provider => provider.Token(""),
        ["sub with a space"] = provider => provider.Token("some one"),
        ["sub with a line's end"] = provider => provider.Token("someone\r\nX-Evil: x"),
        ["sub beyond ASCII"] = provider => provider.Token("s\u00f6meone"),
        ["sub long"] = provider => provider.Token(new string('s', 2_000)),
        ["another key"] = provider => TokenForge.Sign(
            provider.Header().ToJsonString(), provider.Payload("someone").ToJsonString(), AuthFolder.NewKey()),
        ["another key's id"] = provider => provider.Token(With(provider.Header(), "kid", "unknown"), "someone", ("iss", "https://evil.example")),
        ["none"] = provider => Unsigned(provider, "none"),
        ["HS256 with the public key"] = provider =>
        {
            var text = Unsigned(provider, "HS256")[..^1];
            var mac = HMACSHA256.HashData(
                Encoding.ASCII.GetBytes(provider.Key.ExportSubjectPublicKeyInfoPem()), Encoding.ASCII.GetBytes(text));
            return $"{text}.{Base64Url.EncodeToString(mac)}";
        },
        ["crit"] = provider => provider.Token(With(provider.Header(), "crit", new JsonArray("exp")), "someone"),
        ["20 kB"] = provider => provider.Token("someone", ("filler", new string('x', 15_000))),
    };

    public static TheoryData<string> BadRows => [.. Bad.Keys];

    [Theory]
    [MemberData(nameof(BadRows))]
    public async Task A_token_that_the_provider_has_not_issued_for_us_is_refused(string row)
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(provider, "idp:**");
        var token = Bad[row](provider);

        using var asBearer = await registry.Http.RequestAsync("GET", "/v2/test/a/tags/list", Bearer(token));
        await asBearer.ShouldBeChallengedAsync("error=\"invalid_token\"");
        using var atTokens = await registry.Http.AskTokenAsync("", Basic("someone", token));
        await atTokens.ShouldBeChallengedAsync();

        registry.Log.Lines.ShouldNotContain(line => line.StartsWith("Error"));
        (await PullAsync(registry, Bearer(provider.Token("someone")))).ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_token_of_one_provider_is_never_one_of_another()
    {
        await using var first = await FakeProvider.StartAsync();
        await using var second = await FakeProvider.StartAsync();
        await using var registry = await RegistryApp.StartAsync(options =>
        {
            first.Configure(options.Auth, "first");
            second.Configure(options.Auth, "second");
            options.Auth.Policies.Add(new PolicyOptions
            {
                Subjects = { "second:someone" },
                Repositories = { "test/**" },
                Actions = { "pull" },
            });
        });

        (await PullAsync(registry, Bearer(second.Token("someone")))).ShouldBe(HttpStatusCode.NotFound);
        (await PullAsync(registry, Bearer(first.Token("someone")))).ShouldBe(HttpStatusCode.Forbidden);
        (await PullAsync(registry, Bearer(first.Token("someone", ("iss", second.Url))))).ShouldBe(HttpStatusCode.Unauthorized);
        (await PullAsync(registry, Bearer(first.Token(With(first.Header(), "kid", second.KeyId), "someone", ("iss", second.Url)))))
            .ShouldBe(HttpStatusCode.Unauthorized);
    }

    // --- the provider's keys --------------------------------------------------------------------------------------

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_first_token_of_a_new_key_is_taken(bool withdraws)
    {
        await using var provider = await FakeProvider.StartAsync();
        var time = new ManualTimeProvider();
        await using var registry = await StartAsync(provider, "idp:**", time: time);
        var before = provider.Token("someone");
        (await PullAsync(registry, Bearer(before))).ShouldBe(HttpStatusCode.NotFound);

        time.Advance(IssuerConfiguration.LeastFreshness);
        provider.Rotate(withdraws);

        var results = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(i => PullAsync(registry, Bearer(provider.Token($"someone{i}")))));
        results.ShouldAllBe(status => status == HttpStatusCode.NotFound);
        provider.Asked.ShouldBe(2);
    }

    [Fact]
    public async Task Made_up_keys_do_not_make_us_ask_the_provider_with_each_token()
    {
        await using var provider = await FakeProvider.StartAsync();
        var time = new ManualTimeProvider();
        await using var registry = await StartAsync(provider, "idp:**", time: time);
        (await PullAsync(registry, Bearer(provider.Token("someone")))).ShouldBe(HttpStatusCode.NotFound);

        for (var round = 1; round <= 3; round++)
        {
            for (var i = 0; i < 10; i++)
            {
                (await PullAsync(registry, Bearer(Forged()))).ShouldBe(HttpStatusCode.Unauthorized);
            }

            provider.Asked.ShouldBe(round);
            time.Advance(IssuerConfiguration.LeastFreshness);
        }

        string Forged() => TokenForge.Sign(
            With(provider.Header(), "kid", Guid.NewGuid().ToString()).ToJsonString(),
            provider.Payload("someone").ToJsonString(),
            AuthFolder.NewKey());
    }

    [Fact]
    public async Task A_key_that_the_provider_has_withdrawn_does_not_count_for_long()
    {
        await using var provider = await FakeProvider.StartAsync();
        var time = new ManualTimeProvider();
        await using var registry = await StartAsync(provider, "idp:**", time: time);
        var key = provider.Key;
        (await PullAsync(registry, Bearer(Signed()))).ShouldBe(HttpStatusCode.NotFound);

        provider.Rotate(withdraws: true);
        (await PullAsync(registry, Bearer(Signed()))).ShouldBe(HttpStatusCode.NotFound);
        time.Advance(IssuerConfiguration.Freshness);

        await Until.TrueAsync(
            async () => await PullAsync(registry, Bearer(Signed())) == HttpStatusCode.Unauthorized, "the key has been forgotten");

        string Signed() => TokenForge.Sign(
            new JsonObject { ["alg"] = "ES256", ["typ"] = "JWT" }.ToJsonString(),
            provider.Payload("someone", ("exp", Now + 7_200)).ToJsonString(),
            key);
    }

    [Theory]
    [InlineData(nameof(ProviderState.Down))]
    [InlineData(nameof(ProviderState.Garbled))]
    [InlineData(nameof(ProviderState.Failing))]
    [InlineData(nameof(ProviderState.Keyless))]
    public async Task A_provider_that_has_never_answered_is_asked_again_when_it_is_up(string state)
    {
        await using var provider = await FakeProvider.StartAsync();
        provider.State = Enum.Parse<ProviderState>(state);
        var time = new ManualTimeProvider();
        await using var registry = await StartAsync(provider, "idp:**", time: time);
        var token = provider.Token("someone");

        for (var i = 0; i < 3; i++)
        {
            using var answer = await registry.Http.RequestAsync("GET", "/v2/test/a/tags/list", Bearer(token));
            await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            (await answer.Content.ReadAsStringAsync()).ShouldContain("The issuer 'idp' does not answer");
            answer.Header("Retry-After").ShouldNotBeNull();
        }

        provider.Asked.ShouldBe(1);
        registry.Log.Lines.ShouldHaveSingleItem().ShouldStartWith("Warning: The keys of the issuer 'idp' cannot be read");
        provider.State = ProviderState.Up;
        time.Advance(IssuerConfiguration.LeastFreshness);
        (await PullAsync(registry, Bearer(token))).ShouldBe(HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData(nameof(ProviderState.Down))]
    [InlineData(nameof(ProviderState.Garbled))]
    [InlineData(nameof(ProviderState.Failing))]
    [InlineData(nameof(ProviderState.Keyless))]
    public async Task A_provider_that_does_not_answer_any_more_takes_nothing_away(string state)
    {
        await using var provider = await FakeProvider.StartAsync();
        var time = new ManualTimeProvider();
        await using var registry = await StartAsync(provider, "idp:**", time: time);
        (await PullAsync(registry, Bearer(provider.Token("someone")))).ShouldBe(HttpStatusCode.NotFound);

        provider.State = Enum.Parse<ProviderState>(state);
        time.Advance(IssuerConfiguration.Freshness);
        (await PullAsync(registry, Bearer(provider.Token("someone", ("exp", Now + 7_200))))).ShouldBe(HttpStatusCode.NotFound);
        await Until.TrueAsync(() => registry.Log.Lines.Count > 0, "it is said that the keys cannot be read");
        (await PullAsync(registry, Bearer(provider.Token("someone", ("exp", Now + 7_200))))).ShouldBe(HttpStatusCode.NotFound);
        registry.Log.Lines.ShouldHaveSingleItem().ShouldStartWith("Warning: The keys of the issuer 'idp' cannot be read");
    }

    [Fact]
    public async Task A_provider_that_is_down_is_in_nobody_elses_way()
    {
        await using var down = await FakeProvider.StartAsync();
        down.State = ProviderState.Down;
        await using var up = await FakeProvider.StartAsync();
        await using var registry = await RegistryApp.StartAsync(options =>
        {
            down.Configure(options.Auth, "down");
            up.Configure(options.Auth, "up");
            options.Auth.Policies.Add(new PolicyOptions
            {
                Subjects = { "up:**", "anonymous" },
                Repositories = { "test/**" },
                Actions = { "pull" },
            });
        });

        (await PullAsync(registry, Bearer(up.Token("someone")))).ShouldBe(HttpStatusCode.NotFound);
        (await PullAsync(registry)).ShouldBe(HttpStatusCode.NotFound);
        down.Asked.ShouldBe(0);
        (await PullAsync(registry, Bearer(down.Token("someone")))).ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await PullAsync(registry, Bearer(up.Token("someone else")))).ShouldBe(HttpStatusCode.Unauthorized);
    }

    private static long Now => DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    /// <summary>A registry where a subject may pull from <c>test</c>.</summary>
    private static Task<RegistryApp> StartAsync(
        FakeProvider provider, string subject, Action<IssuerOptions>? issuer = null, TimeProvider? time = null) =>
        RegistryApp.StartAsync(
            options =>
            {
                provider.Configure(options.Auth, "idp");
                issuer?.Invoke(options.Auth.Issuers[0]);
                options.Auth.FailedLoginDelay = TimeSpan.Zero;
                options.Auth.Policies.Add(new PolicyOptions
                {
                    Subjects = { subject },
                    Repositories = { "test/**" },
                    Actions = { "pull" },
                });
            },
            services =>
            {
                if (time is not null)
                {
                    services.Replace(ServiceDescriptor.Singleton(time));
                }
            });

    private static async Task<HttpStatusCode> PullAsync(RegistryApp registry, params (string, string)[] headers)
    {
        using var answer = await registry.Http.RequestAsync("GET", "/v2/test/a/tags/list", headers);
        if (answer.StatusCode == HttpStatusCode.NotFound)
        {
            await answer.ShouldBeErrorAsync(HttpStatusCode.NotFound, Unknown);
        }

        return answer.StatusCode;
    }

    private static string Unsigned(FakeProvider provider, string algorithm) =>
        $"{TokenForge.Encode(With(provider.Header(), "alg", algorithm).ToJsonString())}.{TokenForge.Encode(provider.Payload("someone").ToJsonString())}.";

    private static JsonObject With(JsonObject part, string name, JsonNode value)
    {
        part[name] = value;
        return part;
    }
}
