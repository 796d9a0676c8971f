using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>What a registry holds, asked for by plain requests: the other opinion beside a client's own.</summary>
internal static class RegistryContent
{
    private static readonly string[] ManifestTypes =
        [MediaTypes.ImageManifest, MediaTypes.ImageIndex, MediaTypes.DockerManifest, MediaTypes.DockerManifestList];

    /// <summary>Whether a server is there, whatever it thinks of the request.</summary>
    public static async Task<bool> AnswersAsync(this HttpClient http, Uri url)
    {
        try
        {
            using var response = await http.GetAsync(url);
            return true;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>A manifest whose bytes have the digest that the registry says.</summary>
    public static async Task<StoredManifest> ManifestAsync(this HttpClient http, string repository, string reference)
    {
        using var response = await http.RequestManifestAsync(repository, reference);
        response.StatusCode.ShouldBe(HttpStatusCode.OK, $"{repository}:{reference}");
        var bytes = await response.Content.ReadAsByteArrayAsync();
        var digest = Digest.Of(bytes).ToString();
        response.Header("Docker-Content-Digest").ShouldBe(digest);
        return new(digest, JsonNode.Parse(bytes)!.AsObject());
    }

    public static async Task<string> DigestAsync(this HttpClient http, string repository, string reference) =>
        (await http.ManifestAsync(repository, reference)).Digest;

    public static async Task<string[]> TagsAsync(this HttpClient http, string repository)
    {
        var list = JsonNode.Parse(await http.GetStringAsync(new Uri($"/v2/{repository}/tags/list", UriKind.Relative)));
        return [.. list!["tags"]!.AsArray().Select(tag => (string)tag!)];
    }

    /// <summary>Deletes the manifest that a tag names; the tag and the manifest must be gone then.</summary>
    public static async Task DeleteImageAsync(this HttpClient http, string repository, string tag)
    {
        var digest = await http.DigestAsync(repository, tag);
        using var response = await http.DeleteAsync($"/v2/{repository}/manifests/{digest}");
        response.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await http.ShouldNotHaveAsync(repository, tag);
        await http.ShouldNotHaveAsync(repository, digest);
    }

    public static async Task ShouldNotHaveAsync(this HttpClient http, string repository, string reference)
    {
        using var response = await http.RequestManifestAsync(repository, reference);
        response.StatusCode.ShouldBe(HttpStatusCode.NotFound, $"{repository}:{reference}");
        (await response.ErrorCodesAsync()).ShouldBe(["MANIFEST_UNKNOWN"]);
    }

    private static Task<HttpResponseMessage> RequestManifestAsync(this HttpClient http, string repository, string reference)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/{repository}/manifests/{reference}");
        request.Headers.Add("Accept", ManifestTypes);
        return http.SendAsync(request);
    }
}

internal sealed record StoredManifest(string Digest, JsonObject Json)
{
    public string[] LayerDigests => Json["layers"] is JsonArray layers
        ? [.. layers.Select(layer => (string)layer!["digest"]!)]
        : [];

    public string[] PlatformsInOrder => [.. Json["manifests"]!.AsArray().Select(entry =>
        $"{entry!["platform"]!["os"]}/{entry["platform"]!["architecture"]}").Order(StringComparer.Ordinal)];
}
