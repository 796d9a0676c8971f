using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace OciRegistry.Auth;

/// <summary>
/// A JSON web token, taken apart and not verified: what is none, or may be a trap, is refused before a library sees it.
/// </summary>
/// <remarks>
/// Refused are encrypted ones (five parts; compressed ones are among them, CVE-2024-21319), large ones, keys that stand twice,
/// and extensions that have to be understood (<c>crit</c>). Keys and addresses of keys in the header are nothing that anybody
/// looks at.
/// </remarks>
internal sealed class Jwt
{
    public const int MaxLength = 16 * 1024;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 16, AllowDuplicateProperties = false };

    private Jwt(string text, JsonElement header, JsonElement payload) => (Text, Header, Payload) = (text, header, payload);

    public string Text { get; }

    public JsonElement Header { get; }

    public JsonElement Payload { get; }

    public string? KeyId => TextOf(Header, "kid");

    public string? Issuer => TextOf(Payload, "iss");

    public string? Subject => TextOf(Payload, "sub");

    /// <summary>Null when it is missing or no time.</summary>
    public DateTimeOffset? Expires => Time("exp");

    public DateTimeOffset? NotBefore => Time("nbf");

    /// <summary>Whether it looks like one: what stands where a password does is not sent anywhere else then.</summary>
    public static bool IsLike(string text) =>
        text.StartsWith("ey", StringComparison.Ordinal) && text.AsSpan().Count('.') == 2;

    public static bool TryParse(string text, [NotNullWhen(true)] out Jwt? jwt)
    {
        jwt = null;
        if (text.Length > MaxLength || text.AsSpan().Count('.') != 2)
        {
            return false;
        }

        var first = text.IndexOf('.', StringComparison.Ordinal);
        var second = text.LastIndexOf('.');
        if (Decode(text.AsSpan(0, first)) is not { } header
            || Decode(text.AsSpan(first + 1, second - first - 1)) is not { } payload
            || header.TryGetProperty("crit", out _)
            || header.TryGetProperty("zip", out _)
            || header.TryGetProperty("enc", out _))
        {
            return false;
        }

        jwt = new Jwt(text, header, payload);
        return true;
    }

    public string? TextOf(string claim) => TextOf(Payload, claim);

    /// <summary>The texts of a claim, which may be one or a list.</summary>
    public IEnumerable<string> Texts(string claim) =>
        !Payload.TryGetProperty(claim, out var value) ? []
        : value.ValueKind == JsonValueKind.String ? [value.GetString()!]
        : value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)
            : [];

    private DateTimeOffset? Time(string claim)
    {
        const long year9999 = 253402300799;
        return Payload.TryGetProperty(claim, out var value)
            && value.ValueKind == JsonValueKind.Number
            && value.TryGetDouble(out var seconds)
            && seconds is >= 0 and <= year9999
            ? DateTimeOffset.FromUnixTimeSeconds((long)seconds)
            : null;
    }

    private static string? TextOf(JsonElement part, string name) =>
        part.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static JsonElement? Decode(ReadOnlySpan<char> part)
    {
        try
        {
            using var document = JsonDocument.Parse(Base64Url.DecodeFromChars(part), Strict);
            ReadTexts(document.RootElement);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (Exception e) when (e is FormatException or JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>Half of a surrogate pair can be written in JSON, and is no text: here it throws, and not where it is used.</summary>
    /// <exception cref="InvalidOperationException">There is one.</exception>
    private static void ReadTexts(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                element.GetString();
                break;

            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                {
                    ReadTexts(item);
                }

                break;

            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    _ = property.Name;
                    ReadTexts(property.Value);
                }

                break;
        }
    }
}
