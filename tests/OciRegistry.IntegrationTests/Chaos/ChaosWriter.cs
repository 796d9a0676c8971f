using System.Net;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>Pushes images, moves tags, and deletes tags, manifests and blobs, in its own and in shared repositories.</summary>
internal sealed class ChaosWriter(int index, ChaosClient client, ChaosContent content)
{
    private readonly ChaosReads _reads = new(client, content);

    private Random Random => client.Random;

    public async Task RunAsync(CancellationToken done)
    {
        var push = new ChaosPush(client, _reads);
        while (!done.IsCancellationRequested)
        {
            var repository = ChaosSettings.RepositoryOf(index, Random);
            await (Random.Next(15) switch
            {
                < 6 => PushAsync(push, repository),
                < 8 => RetagAsync(repository),
                8 => DeleteTagAsync(repository),
                9 => DeleteManifestAsync(repository, AnyImage()),
                10 => DeleteBlobAsync(repository, AnyBlob()),
                11 => PutAndDeleteAsync(repository),
                12 => PushAndDeleteAsync(push, repository, AnyBlob()),
                13 => FillOrEmptyAsync(push, content.Images[Random.Next(2)].Blobs[0]),
                _ => PullAsync(repository),
            });
        }
    }

    /// <summary>Pushes the missing blobs of an image, then its manifest.</summary>
    private async Task PushAsync(ChaosPush push, string repository)
    {
        var image = AnyImage();
        foreach (var blob in image.Blobs)
        {
            if (!await push.PushAsync(repository, blob))
            {
                return;
            }
        }

        await PutAsync(repository, image, AnyTag());
    }

    private async Task RetagAsync(string repository)
    {
        if (await _reads.TagAsync(repository, AnyTag()) is { } image)
        {
            await PutAsync(repository, image, AnyTag());
        }
    }

    /// <summary>A 201 says that every blob exists, a 404 names the missing ones.</summary>
    private async Task PutAsync(string repository, ChaosImage image, string tag)
    {
        var digest = image.Digest.ToString();
        var answer = await client.WriteAsync(
            HttpMethod.Put,
            $"/v2/{repository}/manifests/{tag}",
            HttpStatusCode.Created,
            (image.Manifest, MediaTypes.ImageManifest),
            (new ChaosKey(KeyKind.Manifest, repository, digest), ChaosHistory.Present),
            (new ChaosKey(KeyKind.Tag, repository, tag), digest));
        if (answer.IsUnknown || answer.Status is not (HttpStatusCode.Created or HttpStatusCode.NotFound))
        {
            return;
        }

        var isStored = answer.Status == HttpStatusCode.Created;
        foreach (var blob in image.Blobs.Where(
            blob => isStored || answer.Text.Contains(blob.Digest.ToString(), StringComparison.Ordinal)))
        {
            var key = new ChaosKey(KeyKind.Blob, repository, blob.Digest.ToString());
            _reads.Saw(key, isStored ? ChaosHistory.Present : null, answer);
        }
    }

    private async Task DeleteTagAsync(string repository)
    {
        var tag = AnyTag();
        await DeleteAsync($"/v2/{repository}/manifests/{tag}", new ChaosKey(KeyKind.Tag, repository, tag), ChaosHistory.Some);
    }

    private async Task DeleteManifestAsync(string repository, ChaosImage image)
    {
        var digest = image.Digest.ToString();
        await DeleteAsync(
            $"/v2/{repository}/manifests/{digest}", new ChaosKey(KeyKind.Manifest, repository, digest), ChaosHistory.Present);
    }

    private async Task DeleteBlobAsync(string repository, ChaosBlob blob)
    {
        var digest = blob.Digest.ToString();
        await DeleteAsync($"/v2/{repository}/blobs/{digest}", new ChaosKey(KeyKind.Blob, repository, digest), ChaosHistory.Present);
    }

    /// <summary>PUT and DELETE of the same manifest at once, mostly on two replicas.</summary>
    private Task PutAndDeleteAsync(string repository)
    {
        var image = AnyImage();
        return Task.WhenAll(PutAsync(repository, image, AnyTag()), DeleteManifestAsync(repository, image));
    }

    /// <summary>Push and DELETE of the same blob at once.</summary>
    private Task PushAndDeleteAsync(ChaosPush push, string repository, ChaosBlob blob) =>
        Task.WhenAll(push.PushAsync(repository, blob), DeleteBlobAsync(repository, blob));

    private Task FillOrEmptyAsync(ChaosPush push, ChaosBlob blob) => Random.Next(3) switch
    {
        0 => push.PushAsync(ChaosSettings.Brief, blob),
        1 => DeleteBlobAsync(ChaosSettings.Brief, blob),
        _ => PushAndDeleteAsync(push, ChaosSettings.Brief, blob),
    };

    private async Task DeleteAsync(string path, ChaosKey key, string present)
    {
        var answer = await client.WriteAsync(HttpMethod.Delete, path, HttpStatusCode.Accepted, null, (key, null));
        if (!answer.IsUnknown && answer.Status is HttpStatusCode.Accepted or HttpStatusCode.NotFound)
        {
            _reads.Saw(key, answer.Status == HttpStatusCode.Accepted ? present : null, answer);
        }
    }

    private async Task PullAsync(string repository)
    {
        var tag = repository == ChaosSettings.Upstream && Random.Next(2) == 0
            ? ChaosContent.UpstreamTag(content.UpstreamImages.First())
            : AnyTag();
        if (await _reads.TagAsync(repository, tag) is { } image)
        {
            foreach (var blob in image.Blobs)
            {
                await _reads.BlobAsync(repository, blob);
            }
        }
    }

    private ChaosImage AnyImage() => content.Images[Random.Next(content.Images.Count)];

    private ChaosBlob AnyBlob() => Random.GetItems([.. content.Blobs.Values], 1)[0];

    private string AnyTag()
    {
        var tags = ChaosSettings.Tags(index);
        return tags[Random.Next(tags.Count)];
    }
}
