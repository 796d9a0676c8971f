using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>Why a token is refused: in the audit log, for whoever runs the registry, and not in the answer.</summary>
public sealed class TokenRefusalTests : IAsyncLifetime
{
    private const string MadeUpHeader = """{"alg":"ES256","typ":"JWT","kid":"made up"}""";

    private readonly AuthFolder _folder = new();
    private readonly System.Security.Cryptography.ECDsa _key = AuthFolder.NewKey();
    private readonly LogCapture _log = new(LogLevel.Information);
    private FakeProvider _provider = null!;
    private RegistryApp _registry = null!;
    private TokenForge _forge = null!;

    private static long Now => DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    public async ValueTask InitializeAsync()
    {
        _provider = await FakeProvider.StartAsync();
        _folder.SetKeys(_key);
        _registry = await RegistryApp.StartAsync(
            options =>
            {
                _folder.Configure(options.Auth);
                _provider.Configure(options.Auth, "idp");
            },
            services => services.AddLogging(logs => logs.AddProvider(_log)));
        _forge = new TokenForge(_key, "user:alice", _folder.CredentialOf("alice"), DateTimeOffset.UtcNow);
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        await _provider.DisposeAsync();
        _folder.Dispose();
        _key.Dispose();
    }

    [Fact]
    public async Task A_token_of_the_registry_leaves_its_reason()
    {
        var (day, now) = (Now - 86_400 - 60, Now);
        (string Token, string Reason)[] refused =
        [
            ("a.b.c", "it is not a JSON web token that can be read"),
            (_forge.Token(("sub", null)), "it has no subject, or no time of expiry"),
            (_forge.Token(("exp", day)), $"it expired at {Text(day)}, and the clock here says 20"),
            (_forge.Token(("exp", now + 90_000)), "it lives longer than any token of this registry"),
            (_forge.Token(("nbf", now + 200)), $"it is not valid before {Text(now + 200)}, and the clock here says 20"),
            (_forge.Sign(_forge.Header(("kid", "o'ther\n")), _forge.Payload()), "its key 'o?ther?' is unknown"),
            (_forge.Token(("aud", "elsewhere")), "its audience 'elsewhere' is not 'oci-registry'"),
            (_forge.Sign(_forge.Header(("typ", "refresh+jwt")), _forge.Payload()), "it is of another type"),
            (_forge.Token(("access", null)), "its access cannot be read"),
            (_forge.Token(("cred", "0123456789abcdef")), "its account is gone, or has another password or secret since"),
            (TokenForge.Sign(_forge.Header().ToJsonString(), _forge.Payload().ToJsonString(), _provider.Key), "its signature is wrong"),
            (_forge.Token(("iss", "https://nowhere.example")), "its issuer 'https://nowhere.example' is unknown"),
            (_forge.Token(("iss", new string('x', 300))), $"its issuer '{new string('x', 100)}...' is unknown"),
        ];
        foreach (var (token, reason) in refused)
        {
            await ShouldBeRefusedAsync(token, reason);
        }
    }

    [Fact]
    public async Task A_token_of_a_provider_leaves_its_reason()
    {
        var now = Now;
        (string Token, string Reason)[] refused =
        [
            (_provider.Token("a", ("exp", now - 120)), $"it expired at {Text(now - 120)}, and the clock here says 20"),
            (_provider.Token("a", ("nbf", now + 200)), $"it is not valid before {Text(now + 200)}, and the clock here says 20"),
            (_provider.Token("a", ("aud", "other.example")), "its audience 'other.example' is not 'registry.example.com'"),
            (_provider.Token("a", ("iss", "https://evil.example")), "its issuer 'https://evil.example' is unknown"),
            (_provider.Token("a", ("iss", null)), "its issuer (none) is unknown"),
            (_provider.Token("a", ("exp", null)), "it has no time of expiry"),
            (_provider.Token("a b"), "its claim 'sub' is missing, or no subject"),
            (TokenForge.Sign(MadeUpHeader, _provider.Payload("a").ToJsonString(), _key), "its key 'made up' is unknown"),
            (TokenForge.Sign(_provider.Header().ToJsonString(), _provider.Payload("a").ToJsonString(), _key), "its signature is wrong"),
        ];
        foreach (var (token, reason) in refused)
        {
            await ShouldBeRefusedAsync(token, reason);
        }
    }

    /// <summary>A push goes on with a new token each time: nothing to be warned of.</summary>
    [Fact]
    public async Task A_token_that_has_ended_is_told_of_without_a_warning()
    {
        var ended = Now - 1;

        using var answer = await _registry.Http.RequestAsync("GET", "/v2/", Bearer(_forge.Token(("exp", ended))));

        await answer.ShouldBeChallengedAsync("error=\"invalid_token\"");
        LineOf(answer).ShouldStartWith($"Information: Token refused from 127.0.0.1: it expired at {Text(ended)}, and the clock here says 20");
    }

    [Fact]
    public async Task A_refresh_token_leaves_its_reason()
    {
        using var malformed = await _registry.Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", "x"));
        malformed.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        LineOf(malformed).ShouldContain("it is not a JSON web token that can be read");

        var early = _forge.Sign(_forge.Header(("typ", "refresh+jwt")), _forge.Payload(("nbf", Now + 200)));
        using var notYet = await _registry.Http.PostTokenAsync(("grant_type", "refresh_token"), ("refresh_token", early));
        notYet.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        LineOf(notYet).ShouldContain("it is not valid before");
        (await notYet.Content.ReadAsStringAsync()).ShouldContain("The token is not valid before");
    }

    private async Task ShouldBeRefusedAsync(string token, string reason)
    {
        using var answer = await _registry.Http.RequestAsync("GET", "/v2/", Bearer(token));

        await answer.ShouldHaveStatusAsync(HttpStatusCode.Unauthorized);
        LineOf(answer).ShouldStartWith($"Warning: Token refused from 127.0.0.1: {reason}");
        var body = await answer.Content.ReadAsStringAsync();
        var isTold = reason.StartsWith("it is not valid before", StringComparison.Ordinal);
        body.Contains("is not valid before", StringComparison.Ordinal).ShouldBe(isTold);
        if (!isTold && !reason.StartsWith("its account", StringComparison.Ordinal))
        {
            body.ShouldContain("The token is none that this registry takes. Get a new one.");
        }
    }

    private string LineOf(HttpResponseMessage answer) => _log.Lines
        .Where(line => line.Contains("Token refused", StringComparison.Ordinal)
            && line.Contains($"request {answer.Header("X-Request-Id")}", StringComparison.Ordinal))
        .ShouldHaveSingleItem();

    private static string Text(long seconds) =>
        DateTimeOffset.FromUnixTimeSeconds(seconds).ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture);
}
