using System.Net;
using System.Text.Json.Nodes;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>Reads by a client: every byte is compared, and every result is recorded.</summary>
internal sealed class ChaosReads(ChaosClient client, ChaosContent content)
{
    /// <summary>The image that a tag points to; null when there is none, or no response.</summary>
    public async Task<ChaosImage?> TagAsync(string repository, string tag, int? replica = null)
    {
        var key = new ChaosKey(KeyKind.Tag, repository, tag);
        var answer = await client.ReadAsync($"/v2/{repository}/manifests/{tag}", replica: replica);
        if (answer.Status == HttpStatusCode.OK && ImageOf(answer) is { } image)
        {
            Saw(key, image.Digest.ToString(), answer);
            Saw(new ChaosKey(KeyKind.Manifest, repository, image.Digest.ToString()), ChaosHistory.Present, answer);
            return image;
        }

        if (answer is { Status: HttpStatusCode.NotFound, IsUnknown: false })
        {
            Saw(key, null, answer);
        }

        return null;
    }

    /// <summary>Whether the registry has served the manifest.</summary>
    public async Task<bool> ManifestAsync(string repository, ChaosImage image, int? replica = null)
    {
        var answer = await client.ReadAsync($"/v2/{repository}/manifests/{image.Digest}", replica: replica);
        if (answer.Status == HttpStatusCode.OK && ImageOf(answer) is { } found && found.Digest != image.Digest)
        {
            client.Violate($"{found.Digest} was answered", answer);
        }

        SawPresence(new ChaosKey(KeyKind.Manifest, repository, image.Digest.ToString()), answer);
        return answer.Status == HttpStatusCode.OK;
    }

    /// <summary>Whether the registry has served the blob.</summary>
    public async Task<bool> BlobAsync(string repository, ChaosBlob blob, int? replica = null)
    {
        var answer = await client.ReadAsync($"/v2/{repository}/blobs/{blob.Digest}", replica: replica);
        if (answer.Status == HttpStatusCode.OK && !answer.Body.AsSpan().SequenceEqual(blob.Content))
        {
            client.Violate($"{answer.Body.Length} wrong bytes instead of {blob.Content.Length}", answer);
        }

        SawPresence(new ChaosKey(KeyKind.Blob, repository, blob.Digest.ToString()), answer);
        return answer.Status == HttpStatusCode.OK;
    }

    /// <summary>The listed tags; null without a response.</summary>
    public async Task<HashSet<string>?> TagsAsync(string repository, int? replica = null)
    {
        var answer = await client.ReadAsync($"/v2/{repository}/tags/list", replica: replica);
        if (Names(answer, "tags", tag => (string)tag!) is not { } listed)
        {
            return null;
        }

        foreach (var tag in ChaosSettings.AllTags)
        {
            client.Saw(new ChaosKey(KeyKind.Tag, repository, tag), listed.Contains(tag) ? ChaosHistory.Some : null, answer);
        }

        return listed;
    }

    /// <summary>The digests of the listed referrers; null without a response.</summary>
    public async Task<HashSet<string>?> ReferrersAsync(string repository, Digest subject, int? replica = null)
    {
        var answer = await client.ReadAsync($"/v2/{repository}/referrers/{subject}", replica: replica);
        if (Names(answer, "manifests", entry => (string)entry!["digest"]!) is not { } listed)
        {
            return null;
        }

        foreach (var image in content.Images.Where(image => image.Subject == subject))
        {
            var key = new ChaosKey(KeyKind.Manifest, repository, image.Digest.ToString());
            client.Saw(key, listed.Contains(key.Name) ? ChaosHistory.Present : null, answer);
        }

        return listed;
    }

    /// <summary>The listed repositories; null without a response.</summary>
    public async Task<HashSet<string>?> CatalogAsync(int replica) =>
        Names(await client.ReadAsync("/v2/_catalog", replica: replica), "repositories", name => (string)name!);

    /// <summary>Records whether a manifest or blob exists, when the response says so.</summary>
    public void SawPresence(ChaosKey key, ChaosAnswer answer)
    {
        if (!answer.IsUnknown && answer.Status is HttpStatusCode.OK or HttpStatusCode.NotFound)
        {
            Saw(key, answer.Status == HttpStatusCode.OK ? ChaosHistory.Present : null, answer);
        }
    }

    /// <summary>Records the value of a key; content of the upstream must always be served.</summary>
    public void Saw(ChaosKey key, string? value, ChaosAnswer answer)
    {
        if (!content.IsUpstreams(key))
        {
            client.Saw(key, value, answer);
        }
        else if (value is null && answer.Call.IsPull)
        {
            client.Violate("unknown, though the upstream has it", answer);
        }
    }

    private ChaosImage? ImageOf(ChaosAnswer answer)
    {
        var digest = Digest.Of(answer.Body);
        var image = content.Images.FirstOrDefault(image => image.Digest == digest);
        if (image is null || answer.Digest != digest.ToString())
        {
            client.Violate($"a body with {digest} but Docker-Content-Digest {answer.Digest}", answer);
        }

        return image;
    }

    private static HashSet<string>? Names(ChaosAnswer answer, string member, Func<JsonNode?, string> name)
    {
        if (answer is { Status: HttpStatusCode.NotFound, IsUnknown: false })
        {
            return []; // an empty repository
        }

        return answer.Status == HttpStatusCode.OK ? [.. answer.Json[member]!.AsArray().Select(name)] : null;
    }
}
