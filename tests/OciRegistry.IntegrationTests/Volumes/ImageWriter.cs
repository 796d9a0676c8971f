using System.Net;
using System.Text;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Volumes;

/// <summary>
/// A client with a repository of its own, which does one thing after another and remembers what it was told. What was under
/// way when the server failed may have happened or not: that is read afterwards, and must stay so from then on.
/// </summary>
internal sealed class ImageWriter(string repository, int seed)
{
    private static readonly string[] Tags = ["a", "b", "c", "d"];

    private readonly Random _random = new(seed);
    private readonly Dictionary<Digest, Image> _images = [];
    private readonly Dictionary<string, Digest?> _tags = [];
    private readonly Dictionary<Digest, byte[]?> _blobs = [];
    private Unfinished? _unfinished;
    private (string Location, byte[] Content)? _upload;

    public int Acknowledged { get; private set; }

    public async Task WriteUntilItFailsAsync(HttpClient http)
    {
        try
        {
            while (true)
            {
                await (_random.Next(10) switch
                {
                    < 4 => PushAsync(http),
                    4 or 5 when _images.Count > 0 => TagAsync(http),
                    6 => DeleteTagAsync(http),
                    7 when _images.Count > 0 => DeleteImageAsync(http),
                    8 when _blobs.Count > 0 => DeleteBlobAsync(http),
                    _ => PushBlobAsync(http),
                });
                _unfinished = null;
                Acknowledged++;
            }
        }
        catch (Exception e) when (e is HttpRequestException or NotAcknowledgedException or IOException)
        {
            // As planned.
        }
    }

    /// <summary>Everything is as it was said; finishes an upload that was cut off, where its session is still there.</summary>
    public async Task AssertAsync(HttpClient http, string when)
    {
        await SettleAsync(http);
        foreach (var (tag, digest) in _tags)
        {
            (await DigestOfAsync(http, tag)).ShouldBe(digest, $"{repository}:{tag} {when}");
        }

        foreach (var (digest, image) in _images)
        {
            using var manifest = await http.GetManifestAsync(repository, digest.ToString());
            await manifest.ShouldBeContentAsync(digest, image.Manifest);
            foreach (var part in new[] { image.Config, image.Layer })
            {
                using var blob = await http.GetBlobAsync(repository, Digest.Of(part));
                await blob.ShouldBeContentAsync(Digest.Of(part), part);
            }
        }

        foreach (var (digest, content) in _blobs)
        {
            using var blob = await http.GetBlobAsync(repository, digest);
            if (content is null)
            {
                blob.StatusCode.ShouldBe(HttpStatusCode.NotFound, $"{digest} {when}");
            }
            else
            {
                await blob.ShouldBeContentAsync(digest, content);
            }
        }

        if (Acknowledged > 0 && _images.Count > 0)
        {
            var listed = await http.TagsAsync(repository);
            listed.ShouldBe(
                _tags.Where(tag => tag.Value is not null).Select(tag => tag.Key).Order(StringComparer.Ordinal), ignoreOrder: false, when);
        }

        await FinishUploadAsync(http);
    }

    private async Task PushAsync(HttpClient http)
    {
        var image = Image.New(_random);
        var tag = Tags[_random.Next(Tags.Length)];
        _unfinished = new Unfinished(image, [tag], image.Digest);
        await BlobAsync(http, image.Config);
        await BlobAsync(http, image.Layer);
        await AcknowledgedAsync(http.PutManifestAsync(repository, tag, image.Manifest), HttpStatusCode.Created);
        _images[image.Digest] = image;
        _tags[tag] = image.Digest;
    }

    private async Task TagAsync(HttpClient http)
    {
        var image = _images.Values.ElementAt(_random.Next(_images.Count));
        var tag = Tags[_random.Next(Tags.Length)];
        _unfinished = new Unfinished(image, [tag], image.Digest);
        await AcknowledgedAsync(http.PutManifestAsync(repository, tag, image.Manifest), HttpStatusCode.Created);
        _tags[tag] = image.Digest;
    }

    private async Task DeleteTagAsync(HttpClient http)
    {
        var tag = Tags[_random.Next(Tags.Length)];
        if (_tags.GetValueOrDefault(tag) is null)
        {
            return;
        }

        _unfinished = new Unfinished(null, [tag], null);
        await AcknowledgedAsync(http.DeleteAsync($"/v2/{repository}/manifests/{tag}"), HttpStatusCode.Accepted);
        _tags[tag] = null;
    }

    private async Task DeleteImageAsync(HttpClient http)
    {
        var digest = _images.Keys.ElementAt(_random.Next(_images.Count));
        string[] named = [.. _tags.Where(tag => tag.Value == digest).Select(tag => tag.Key)];
        _unfinished = new Unfinished(_images[digest], named, null);
        await AcknowledgedAsync(http.DeleteAsync($"/v2/{repository}/manifests/{digest}"), HttpStatusCode.Accepted);
        _images.Remove(digest);
        Array.ForEach(named, tag => _tags[tag] = null);
    }

    private async Task PushBlobAsync(HttpClient http)
    {
        var content = new byte[_random.Next(1, 300_000)];
        _random.NextBytes(content);
        _unfinished = new Unfinished(null, [], null) { Blob = (Digest.Of(content), content) };
        var location = await NewUploadAsync(http);
        var half = content.Length / 2;
        _upload = (location, content);
        var patched = await AcknowledgedAsync(http.PatchAsync(location, content[..half]), HttpStatusCode.Accepted);
        _upload = (patched, content);
        await AcknowledgedAsync(
            http.CompleteAsync(patched, Digest.Of(content).ToString(), content[half..]), HttpStatusCode.Created);
        _upload = null;
        _blobs[Digest.Of(content)] = content;
    }

    private async Task DeleteBlobAsync(HttpClient http)
    {
        var (digest, content) = _blobs.ElementAt(_random.Next(_blobs.Count));
        if (content is null)
        {
            return;
        }

        _unfinished = new Unfinished(null, [], null) { Blob = (digest, content) };
        await AcknowledgedAsync(http.DeleteAsync($"/v2/{repository}/blobs/{digest}"), HttpStatusCode.Accepted);
        _blobs[digest] = null;
    }

    /// <summary>A session that a power cut has left goes on with what is there, and never ends in other bytes.</summary>
    private async Task FinishUploadAsync(HttpClient http)
    {
        if (_upload is not var (location, content))
        {
            return;
        }

        _upload = null;
        var digest = Digest.Of(content);
        using var status = await http.GetAsync(new Uri(location, UriKind.Relative));
        if (status.StatusCode == HttpStatusCode.NoContent)
        {
            var offset = RegistryClient.OffsetOf(status);
            using var closed = await http.CompleteAsync(
                status.Headers.Location!.ToString(),
                digest.ToString(),
                content[offset..],
                offset == content.Length ? null : $"{offset}-{content.Length - 1}");
            if (closed.StatusCode == HttpStatusCode.Created)
            {
                _blobs[digest] = content;
                using var pulled = await http.GetBlobAsync(repository, digest);
                await pulled.ShouldBeContentAsync(digest, content);
            }
            else
            {
                closed.StatusCode.ShouldBe(HttpStatusCode.NotFound, "its bytes were lost, and the client starts again");
            }
        }
        else
        {
            status.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
    }

    /// <summary>Reads what came of the request that was not answered: the state before it or after it, for each thing.</summary>
    private async Task SettleAsync(HttpClient http)
    {
        if (_unfinished is not { } unfinished)
        {
            return;
        }

        _unfinished = null;
        foreach (var tag in unfinished.Tags)
        {
            var found = await DigestOfAsync(http, tag);
            found.ShouldBeOneOf(_tags.GetValueOrDefault(tag), unfinished.TagsAfter);
            _tags[tag] = found;
        }

        if (unfinished.Image is { } image)
        {
            _images.Remove(image.Digest);
            if (await DigestOfAsync(http, image.Digest.ToString()) is not null)
            {
                _images[image.Digest] = image;
            }
        }

        if (unfinished.Blob is var (blob, content))
        {
            using var found = await http.HeadBlobAsync(repository, blob);
            found.StatusCode.ShouldBeOneOf(HttpStatusCode.OK, HttpStatusCode.NotFound);
            _blobs[blob] = found.StatusCode == HttpStatusCode.OK ? content : null;
        }
    }

    private async Task<Digest?> DigestOfAsync(HttpClient http, string reference)
    {
        using var response = await http.GetManifestAsync(repository, reference);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        return Digest.Of(await response.Content.ReadAsByteArrayAsync());
    }

    private async Task BlobAsync(HttpClient http, byte[] content) => await AcknowledgedAsync(
        http.CompleteAsync(await NewUploadAsync(http), Digest.Of(content).ToString(), content), HttpStatusCode.Created);

    private Task<string> NewUploadAsync(HttpClient http) => AcknowledgedAsync(http.StartUploadAsync(repository), HttpStatusCode.Accepted);

    private static async Task<string> AcknowledgedAsync(Task<HttpResponseMessage> request, HttpStatusCode status)
    {
        using var response = await request;
        if (response.StatusCode == status)
        {
            return response.Headers.Location?.ToString() ?? "";
        }

        // The file system has failed under the server; anything else is no answer to what this client does.
        response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable, await response.Content.ReadAsStringAsync());
        throw new NotAcknowledgedException();
    }

    private sealed record Image(Digest Digest, byte[] Manifest, byte[] Config, byte[] Layer)
    {
        public static Image New(Random random)
        {
            var layer = new byte[random.Next(1, 200_000)];
            random.NextBytes(layer);
            var config = Encoding.UTF8.GetBytes($$"""{"architecture":"amd64","os":"linux","id":"{{random.NextInt64()}}"}""");
            var manifest = RegistryClient.ImageManifest(config, [layer]);
            return new Image(Digest.Of(manifest), manifest, config, layer);
        }
    }

    /// <param name="Image">What it stores or deletes.</param>
    /// <param name="Tags">What it moves or deletes.</param>
    /// <param name="TagsAfter">What they name if it has happened.</param>
    private sealed record Unfinished(Image? Image, string[] Tags, Digest? TagsAfter)
    {
        public (Digest Digest, byte[] Content)? Blob { get; init; }
    }

    private sealed class NotAcknowledgedException : Exception;
}
