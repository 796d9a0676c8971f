using System.Globalization;
using System.Text;
using System.Text.Json;

namespace OciRegistry.Conformance.Http;

/// <summary>One HTTP answer, read to its end, together with the request that it answers.</summary>
internal sealed record Answer(
    Request Request, int Status, IReadOnlyList<(string Name, string Value)> Headers, byte[] Body)
{
    public IEnumerable<string> All(string header) =>
        Headers.Where(h => h.Name.Equals(header, StringComparison.OrdinalIgnoreCase)).Select(h => h.Value);

    /// <summary>The members of a list: several field lines and one with commas mean the same (RFC 9110 5.3).</summary>
    public IEnumerable<string> Members(string header) =>
        All(header).SelectMany(value => value.Split(',', StringSplitOptions.TrimEntries));

    public string? Optional(string header) => All(header).FirstOrDefault();

    /// <summary>The Location, resolved as RFC 9110 says: it may be relative to the request.</summary>
    public Uri Location =>
        Uri.TryCreate(Request.Uri, Header("Location"), out var location)
            ? location
            : throw Failure("a Location that is a URI reference");

    public CheckFailedException Failure(string expected) => new(expected, this);

    public string Header(string name)
    {
        var values = All(name).ToList();
        return values.Count == 1 ? values[0] : throw Failure($"exactly one {name} header");
    }

    public Answer Has(string header, string value) =>
        Header(header) == value ? this : throw Failure($"{header}: {value}");

    public Answer HasDigest(Digest digest) => Has("Docker-Content-Digest", digest.ToString());

    /// <summary>Where the header is optional: when it is there, it is the digest that the client named.</summary>
    public Answer HasNoOtherDigest(Digest digest) =>
        All("Docker-Content-Digest").Any() ? HasDigest(digest) : this;

    public Answer Lacks(string header) => All(header).Any() ? throw Failure($"no {header} header") : this;

    public Answer Is(int status, string? purpose = null) =>
        Status == status ? this : throw Failure(status.ToString(CultureInfo.InvariantCulture) + Because(purpose));

    public Answer IsOneOf(params int[] statuses) =>
        statuses.Contains(Status) ? this : throw Failure(string.Join(" or ", statuses));

    /// <summary>For requests where the spec only says that they are wrong.</summary>
    public Answer IsClientError() => Status is >= 400 and < 500 ? this : throw Failure("a 4xx status");

    public Answer HasBody(ReadOnlySpan<byte> expected) =>
        Body.AsSpan().SequenceEqual(expected) ? this : throw Failure($"exactly the {expected.Length} bytes pushed");

    public Answer HasNoBody() => Body.Length == 0 ? this : throw Failure("no body");

    /// <summary>RFC 9110: the length of what a GET would bring; clients size their downloads by it.</summary>
    public Answer HasLength(long length) => Has("Content-Length", length.ToString(CultureInfo.InvariantCulture));

    public JsonObject Json()
    {
        try
        {
            return JsonNode.Parse(Body) as JsonObject ?? throw Failure("a body that is a JSON object");
        }
        catch (JsonException)
        {
            throw Failure("a body that is JSON");
        }
    }

    /// <summary>The codes of the error envelope; empty when the body is something else, which a 4xx may be.</summary>
    public IReadOnlyList<string> ErrorCodes()
    {
        try
        {
            return JsonNode.Parse(Body) is JsonObject body && body["errors"] is JsonArray errors
                ? [.. errors.Select(error => (error as JsonObject)?["code"]?.ToString() ?? "")]
                : [];
        }
        catch (JsonException)
        {
            return [];
        }
    }

    public Answer HasErrorCode(params string[] anyOf) =>
        ErrorCodes().Any(code => anyOf.Contains(code))
            ? this
            : throw Failure($"an error envelope with {string.Join(" or ", anyOf)}");

    public string Text => Encoding.UTF8.GetString(Body);

    private static string Because(string? purpose) => purpose is null ? "" : $" ({purpose})";
}
