using System.Globalization;

namespace OciRegistry.Conformance.Http;

/// <summary>A request in the making. It may be sent several times: a replay is the same bytes.</summary>
internal sealed class Request(Registry registry, string method, Uri uri, string? rawTarget = null)
{
    private readonly List<(string Name, string Value)> _headers = [];

    public Registry Registry => registry;

    public string Method => method;

    public Uri Uri => uri;

    /// <summary>Sent verbatim on a TCP connection of its own, where HttpClient would normalise or refuse it.</summary>
    public string? RawTarget { get; private set; } = rawTarget;

    public IReadOnlyList<(string Name, string Value)> Headers => _headers;

    public byte[]? Content { get; private set; }

    /// <summary>Transfer-Encoding: chunked, and so no Content-Length.</summary>
    public bool IsStreamed { get; private set; }

    public bool ExpectsContinue { get; private set; }

    public string? Authorization => registry.AuthorizationFor(this);

    public Request With(string header, string value)
    {
        _headers.Add((header, value));
        return this;
    }

    public Request WithBody(byte[] bytes, string? contentType = null)
    {
        Content = bytes;
        return contentType is null ? this : With("Content-Type", contentType);
    }

    public Request Streamed()
    {
        IsStreamed = true;
        return this;
    }

    public Request ExpectingContinue()
    {
        ExpectsContinue = true;
        return this;
    }

    public Request OverTcp()
    {
        RawTarget ??= uri.PathAndQuery;
        return this;
    }

    /// <summary>spec end-5: <c>first-last</c>, without the unit and the total that RFC 9110 has.</summary>
    public Request WithContentRange(long first, long last) =>
        With("Content-Range", string.Create(CultureInfo.InvariantCulture, $"{first}-{last}"));

    public Task<Answer> SendAsync() => registry.SendAsync(this);

    /// <summary>Sends it and holds the answer to a status.</summary>
    public async Task<Answer> Answers(int status, string? purpose = null) => (await SendAsync()).Is(status, purpose);

    public async Task<Answer> AnswersOneOf(params int[] statuses) => (await SendAsync()).IsOneOf(statuses);

    public async Task<Answer> AnswersClientError() => (await SendAsync()).IsClientError();

    /// <summary>For a failure report.</summary>
    public override string ToString()
    {
        var headers = string.Concat(_headers.Select(h => $" | {h.Name}: {Shortened(h.Value)}"));
        var body = Content is null ? "" : $" | {Content.Length} bytes{(IsStreamed ? ", chunked" : "")}";
        return $"{method} {RawTarget ?? uri.PathAndQuery}{headers}{body}";
    }

    private static string Shortened(string value) => value.Length <= 80 ? value : value[..80] + "…";
}
