using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using OciRegistry.Auth;

namespace OciRegistry.Tests.Auth;

/// <summary>Makes tokens by hand: as the registry does, and in all the ways in which it never would.</summary>
internal sealed class TokenForge(ECDsa key, string subject, string credential, DateTimeOffset now)
{
    /// <summary>The id of the key, which the registry knows it by.</summary>
    public string KeyId { get; } =
        SigningKey.FromPem("key", Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()))[0].Id;

    public ECDsa Key => key;

    public long Now { get; } = now.ToUnixTimeSeconds();

    /// <summary>A good token but for what is changed in it; a value of null leaves the claim out.</summary>
    public string Token(params (string Claim, JsonNode? Value)[] changes) => Sign(Header(), Payload(changes));

    public JsonObject Header(params (string Name, JsonNode? Value)[] changes) =>
        Change(new() { ["alg"] = "ES256", ["typ"] = "JWT", ["kid"] = KeyId }, changes);

    public JsonObject Payload(params (string Claim, JsonNode? Value)[] changes) => Change(
        new()
        {
            ["iss"] = "oci-registry",
            ["sub"] = subject,
            ["aud"] = "oci-registry",
            ["iat"] = Now,
            ["nbf"] = Now,
            ["exp"] = Now + 300,
            ["jti"] = Guid.NewGuid().ToString("n"),
            ["cred"] = credential,
            ["access"] = new JsonArray(Scope("test/a", "pull", "push")),
        },
        changes);

    public static JsonObject Scope(string repository, params string[] actions) => new()
    {
        ["type"] = "repository",
        ["name"] = repository,
        ["actions"] = new JsonArray([.. actions.Select(action => (JsonNode)action)]),
    };

    public string Sign(JsonObject header, JsonObject payload) => Sign(header.ToJsonString(), payload.ToJsonString());

    public string Sign(string header, string payload) => Sign(header, payload, key);

    public static string Sign(string header, string payload, ECDsa key)
    {
        var text = $"{Encode(header)}.{Encode(payload)}";
        return $"{text}.{Base64Url.EncodeToString(key.SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256))}";
    }

    public static string Encode(string part) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(part));

    private static JsonObject Change(JsonObject part, (string Name, JsonNode? Value)[] changes)
    {
        foreach (var (name, value) in changes)
        {
            part.Remove(name);
            if (value is not null)
            {
                part[name] = value;
            }
        }

        return part;
    }
}
