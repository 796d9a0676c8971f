using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;

namespace OciRegistry.Tests.Auth;

/// <summary>What a provider answers when it is asked for its keys.</summary>
internal enum ProviderState
{
    Up,

    /// <summary>Connections break.</summary>
    Down,

    /// <summary>What is no JSON.</summary>
    Garbled,

    /// <summary>An error page, as of a proxy before it.</summary>
    Failing,

    /// <summary>JSON that names no keys.</summary>
    Keyless,
}

/// <summary>An OpenID Connect provider on a port of its own: discovery and keys, and tokens of whoever the test says.</summary>
internal sealed class FakeProvider : IAsyncDisposable
{
    public const string Audience = "registry.example.com";

    private readonly WebApplication _app;
    private readonly List<(ECDsa Key, string Id)> _keys = [];
    private int _asked;

    private FakeProvider(WebApplication app)
    {
        _app = app;
        app.MapGet("/.well-known/openid-configuration", context => AnswerAsync(
            context, new JsonObject { ["issuer"] = Url, ["jwks_uri"] = $"{Url}/keys" }));
        app.MapGet("/keys", context => AnswerAsync(context, Keys()));
        Rotate();
    }

    public string Url => _app.Services.GetRequiredService<IServer>().Features
        .Get<IServerAddressesFeature>()!.Addresses.Single();

    public ProviderState State { get; set; }

    /// <summary>How often it was asked for its configuration.</summary>
    public int Asked => Volatile.Read(ref _asked);

    public string KeyId => _keys[^1].Id;

    /// <summary>The key that signs.</summary>
    public ECDsa Key => _keys[^1].Key;

    public static async Task<FakeProvider> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var provider = new FakeProvider(builder.Build());
        await provider._app.StartAsync();
        return provider;
    }

    /// <summary>From now on another key signs; that of before is withdrawn when wanted.</summary>
    public void Rotate(bool withdraws = false)
    {
        if (withdraws)
        {
            _keys.Clear();
        }

        _keys.Add((AuthFolder.NewKey(), Guid.NewGuid().ToString("n")));
    }

    public void Configure(AuthOptions auth, string name) => auth.Issuers.Add(
        new IssuerOptions { Name = name, Authority = Url, Audience = Audience });

    /// <summary>A token of an hour but for what is changed in it; a value of null leaves the claim out.</summary>
    public string Token(string subject, params (string Claim, JsonNode? Value)[] changes) =>
        Token(Header(), subject, changes);

    public string Token(JsonObject header, string subject, params (string Claim, JsonNode? Value)[] changes) =>
        TokenForge.Sign(header.ToJsonString(), Payload(subject, changes).ToJsonString(), Key);

    public JsonObject Header() => new() { ["alg"] = "ES256", ["typ"] = "JWT", ["kid"] = KeyId };

    public JsonObject Payload(string subject, params (string Claim, JsonNode? Value)[] changes)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var payload = new JsonObject
        {
            ["iss"] = Url,
            ["sub"] = subject,
            ["aud"] = Audience,
            ["iat"] = now,
            ["nbf"] = now,
            ["exp"] = now + 3_600,
            ["jti"] = Guid.NewGuid().ToString("n"),
        };
        foreach (var (claim, value) in changes)
        {
            payload.Remove(claim);
            if (value is not null)
            {
                payload[claim] = value;
            }
        }

        return payload;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private JsonObject Keys() => new()
    {
        ["keys"] = new JsonArray([.. State == ProviderState.Keyless ? [] : _keys.Select(key =>
        {
            var point = key.Key.ExportParameters(includePrivateParameters: false).Q;
            return (JsonNode)new JsonObject
            {
                ["kty"] = "EC",
                ["crv"] = "P-256",
                ["use"] = "sig",
                ["kid"] = key.Id,
                ["x"] = Base64UrlEncoder.Encode(point.X),
                ["y"] = Base64UrlEncoder.Encode(point.Y),
            };
        })]),
    };

    private async Task AnswerAsync(HttpContext context, JsonObject answer)
    {
        if (context.Request.Path != "/keys")
        {
            Interlocked.Increment(ref _asked);
        }

        switch (State)
        {
            case ProviderState.Down:
                context.Abort();
                break;

            case ProviderState.Failing:
                context.Response.StatusCode = StatusCodes.Status502BadGateway;
                await context.Response.WriteAsync("<html>Bad gateway</html>");
                break;

            case ProviderState.Garbled:
                await context.Response.Body.WriteAsync(Encoding.Latin1.GetBytes("{\"issuer\":\u00ff\u00fe[[["));
                break;

            default:
                await context.Response.WriteAsync(answer.ToJsonString());
                break;
        }
    }
}
