using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Support;

/// <summary>The steps of the protocol as raw requests: each returns the response, and judges nothing.</summary>
internal static class RegistryClient
{
    /// <summary>A client that shows every answer as it is, and goes by no proxy.</summary>
    public static HttpClient To(Uri registry) => new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false })
    {
        BaseAddress = registry,
        Timeout = TimeSpan.FromSeconds(60),
    };

    /// <summary>Bytes of bodies that the registry has taken so far, as its metrics have it.</summary>
    public static async Task<long> ReceivedBytesAsync(this HttpClient http)
    {
        const string name = "oci_registry_received_bytes_total ";
        var metrics = await http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        var line = metrics.Split('\n').Single(line => line.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line[name.Length..], CultureInfo.InvariantCulture);
    }

    /// <summary>A repository name that no other test uses.</summary>
    public static string NewRepository() => $"test/{Guid.NewGuid():n}";

    public static byte[] RandomBytes(int length) => RandomNumberGenerator.GetBytes(length);

    public static Task<HttpResponseMessage> StartUploadAsync(
        this HttpClient http, string repository, string query = "", byte[]? bytes = null) =>
        http.PostAsync(new Uri($"/v2/{repository}/blobs/uploads/{query}", UriKind.Relative), Body(bytes ?? []));

    /// <summary>Starts a session and returns its Location.</summary>
    public static async Task<string> NewUploadAsync(this HttpClient http, string repository)
    {
        using var response = await http.StartUploadAsync(repository);
        response.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        return response.Headers.Location!.ToString();
    }

    /// <summary>A chunk: with Content-Range when <paramref name="range"/> is given, chunked encoding when wanted.</summary>
    public static Task<HttpResponseMessage> PatchAsync(
        this HttpClient http, string location, byte[] bytes, string? range = null, bool chunked = false) =>
        http.SendAsync(Request(HttpMethod.Patch, location, bytes, range, chunked));

    /// <summary>The closing request, with a body when <paramref name="bytes"/> are given.</summary>
    public static Task<HttpResponseMessage> CompleteAsync(
        this HttpClient http, string location, string digest, byte[]? bytes = null, string? range = null) =>
        http.SendAsync(Request(HttpMethod.Put, WithQuery(location, $"digest={Uri.EscapeDataString(digest)}"), bytes ?? [], range, false));

    /// <summary>The offset that this registry writes into the Location of a session's answers.</summary>
    public static int OffsetOf(HttpResponseMessage progress) =>
        int.Parse(progress.Headers.Location!.ToString().Split("offset=")[1], CultureInfo.InvariantCulture);

    /// <summary>Where the session stands.</summary>
    public static async Task<int> OffsetAsync(this HttpClient http, string location)
    {
        using var status = await http.GetAsync(new Uri(location, UriKind.Relative));
        await status.ShouldHaveStatusAsync(HttpStatusCode.NoContent);
        return OffsetOf(status);
    }

    public static string WithQuery(string location, string parameter) =>
        location + (location.Contains('?', StringComparison.Ordinal) ? '&' : '?') + parameter;

    /// <summary>Pushes a blob and returns its digest.</summary>
    public static async Task<Digest> PushBlobAsync(this HttpClient http, string repository, byte[] bytes)
    {
        var digest = Digest.Of(bytes);
        using var response = await http.CompleteAsync(await http.NewUploadAsync(repository), digest.ToString(), bytes);
        response.StatusCode.ShouldBe(HttpStatusCode.Created);
        return digest;
    }

    /// <param name="http">To whom.</param>
    /// <param name="repository">Where.</param>
    /// <param name="digest">What.</param>
    /// <param name="isRead">Whether to read it into memory now; else its reader does, in parts.</param>
    public static Task<HttpResponseMessage> GetBlobAsync(
        this HttpClient http, string repository, Digest digest, bool isRead = true) => http.GetAsync(
        new Uri($"/v2/{repository}/blobs/{digest}", UriKind.Relative),
        isRead ? HttpCompletionOption.ResponseContentRead : HttpCompletionOption.ResponseHeadersRead);

    public static Task<HttpResponseMessage> HeadBlobAsync(this HttpClient http, string repository, Digest digest) =>
        http.SendAsync(new HttpRequestMessage(HttpMethod.Head, $"/v2/{repository}/blobs/{digest}"));

    public static Task<HttpResponseMessage> PutManifestAsync(
        this HttpClient http,
        string repository,
        string reference,
        byte[] manifest,
        string mediaType = MediaTypes.ImageManifest,
        Action<HttpRequestHeaders>? headers = null)
    {
        var request = Request(HttpMethod.Put, $"/v2/{repository}/manifests/{reference}", manifest, null, false);
        request.Content!.Headers.TryAddWithoutValidation("Content-Type", mediaType);
        headers?.Invoke(request.Headers);
        return http.SendAsync(request);
    }

    public static Task<HttpResponseMessage> GetManifestAsync(this HttpClient http, string repository, string reference) =>
        http.GetAsync(new Uri($"/v2/{repository}/manifests/{reference}", UriKind.Relative));

    public static Task<HttpResponseMessage> DeleteAsync(this HttpClient http, string path) =>
        http.DeleteAsync(new Uri(path, UriKind.Relative));

    /// <summary>Pushes config, layer and manifest; returns the manifest's bytes.</summary>
    public static async Task<byte[]> PushImageAsync(
        this HttpClient http, string repository, string tag, byte[]? layer = null, Digest? subject = null)
    {
        layer ??= RandomBytes(100);
        var config = Encoding.UTF8.GetBytes($$"""{"architecture":"amd64","os":"linux","id":"{{Guid.NewGuid()}}"}""");
        await http.PushBlobAsync(repository, config);
        await http.PushBlobAsync(repository, layer);
        var manifest = ImageManifest(config, [layer], subject);
        using var response = await http.PutManifestAsync(repository, tag, manifest);
        response.StatusCode.ShouldBe(HttpStatusCode.Created, await response.Content.ReadAsStringAsync());
        return manifest;
    }

    public static byte[] ImageManifest(byte[] config, IEnumerable<byte[]> layers, Digest? subject = null)
    {
        var manifest = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.ImageManifest,
            ["config"] = Describe(config, "application/vnd.oci.image.config.v1+json"),
            ["layers"] = new JsonArray([.. layers.Select(l => Describe(l, "application/vnd.oci.image.layer.v1.tar"))]),
        };
        if (subject is { } of)
        {
            manifest["subject"] = SubjectDescriptor(of);
        }

        return Encoding.UTF8.GetBytes(manifest.ToJsonString());
    }

    public static JsonObject Describe(byte[] content, string mediaType) => new()
    {
        ["mediaType"] = mediaType,
        ["digest"] = Digest.Of(content).ToString(),
        ["size"] = content.Length,
    };

    public static byte[] ImageIndex(IEnumerable<JsonObject> children, Digest? subject = null, string? artifactType = null)
    {
        var index = new JsonObject
        {
            ["schemaVersion"] = 2,
            ["mediaType"] = MediaTypes.ImageIndex,
            ["manifests"] = new JsonArray([.. children]),
            ["annotations"] = new JsonObject { ["unique"] = Guid.NewGuid().ToString() },
        };
        if (artifactType is not null)
        {
            index["artifactType"] = artifactType;
        }

        if (subject is { } of)
        {
            index["subject"] = SubjectDescriptor(of);
        }

        return Encoding.UTF8.GetBytes(index.ToJsonString());
    }

    /// <summary>The smallest manifest that needs nothing else in its repository, unlike any other.</summary>
    public static byte[] EmptyIndex() => ImageIndex([]);

    /// <summary>An address, and what the lists of the registry link to from it: every page, to the end.</summary>
    public static async Task<List<JsonNode>> GetPagesAsync(this HttpClient http, string? path)
    {
        var pages = new List<JsonNode>();
        while (path is not null)
        {
            using var response = await http.RequestAsync("GET", path);
            pages.Add(await response.JsonAsync());
            pages.Count.ShouldBeLessThan(100, "the pages do not end");
            path = response.NextPage();
        }

        return pages;
    }

    /// <summary>Where the Link header points to, or null; fails when it is not of the form that clients parse.</summary>
    public static string? NextPage(this HttpResponseMessage response)
    {
        if (response.Header("Link") is not { } link)
        {
            return null;
        }

        link.ShouldStartWith("</");
        link.ShouldEndWith(">; rel=\"next\"");
        return link[1..link.IndexOf('>', StringComparison.Ordinal)];
    }

    /// <summary>Any request without a body, or with one, and with any headers.</summary>
    public static Task<HttpResponseMessage> RequestAsync(
        this HttpClient http, string method, string path, params (string Name, string Value)[] headers) =>
        http.RequestAsync(method, path, body: null, headers);

    public static Task<HttpResponseMessage> RequestAsync(
        this HttpClient http, string method, string path, byte[]? body, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = body is null ? null : Body(body) };
        foreach (var (name, value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content!.Headers.TryAddWithoutValidation(name, value).ShouldBeTrue(name);
            }
        }

        return http.SendAsync(request);
    }

    /// <summary>The codes of an error envelope; fails when the body is none.</summary>
    public static async Task<string[]> ErrorCodesAsync(this HttpResponseMessage response)
    {
        var body = await response.Content.ReadAsStringAsync();
        var envelope = JsonNode.Parse(body)!.AsObject();
        envelope.Select(member => member.Key).ShouldBe(["errors"]); // Jib takes nothing else
        var errors = envelope["errors"]!.AsArray();
        errors.Count.ShouldBeGreaterThan(0, body);
        errors.ShouldAllBe(error => !string.IsNullOrEmpty((string?)error!["message"]));
        var id = response.Headers.GetValues("X-Request-Id").Single();
        errors.ShouldAllBe(error => (string?)error!["detail"]!["requestId"] == id);
        return [.. errors.Select(error => (string)error!["code"]!)];
    }

    public static string? Header(this HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values)
            ? string.Join(",", values)
            : null;

    private static JsonObject SubjectDescriptor(Digest of) => new()
    {
        ["mediaType"] = MediaTypes.ImageManifest,
        ["digest"] = of.ToString(),
        ["size"] = 1,
    };

    private static HttpRequestMessage Request(
        HttpMethod method, string location, byte[] bytes, string? range, bool chunked)
    {
        var request = new HttpRequestMessage(method, location) { Content = Body(bytes) };
        request.Headers.TransferEncodingChunked = chunked ? true : null;
        if (range is not null)
        {
            request.Content.Headers.TryAddWithoutValidation("Content-Range", range);
        }

        return request;
    }

    private static ByteArrayContent Body(byte[] bytes) => new(bytes);
}
