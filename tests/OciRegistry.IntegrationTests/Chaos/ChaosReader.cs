namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>Pulls what the writers push, and images of the upstream, and reads every kind of list.</summary>
internal sealed class ChaosReader(ChaosClient client, ChaosContent content)
{
    private static readonly string[] Tags = [.. ChaosSettings.AllTags];

    private readonly ChaosReads _reads = new(client, content);

    private Random Random => client.Random;

    public async Task RunAsync(CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            var repository = ChaosSettings.AnyRepository(Random);
            var image = content.Images[Random.Next(content.Images.Count)];
            await (Random.Next(6) switch
            {
                0 => PullAsync(repository, Tags[Random.Next(Tags.Length)]),
                1 => _reads.TagsAsync(ChaosSettings.AnyOfOurs(Random)),
                2 => _reads.ReferrersAsync(ChaosSettings.AnyOfOurs(Random), image.Digest),
                3 => _reads.ManifestAsync(repository, image),
                4 => _reads.BlobAsync(repository, image.Blobs[Random.Next(image.Blobs.Count)]),
                _ => PullUpstreamsAsync(),
            });
        }
    }

    private async Task PullAsync(string repository, string tag)
    {
        if (await _reads.TagAsync(repository, tag) is { } image)
        {
            foreach (var blob in image.Blobs)
            {
                await _reads.BlobAsync(repository, blob);
            }
        }
    }

    private Task PullUpstreamsAsync()
    {
        var images = content.UpstreamImages.ToArray();
        return PullAsync(ChaosSettings.Upstream, ChaosContent.UpstreamTag(images[Random.Next(images.Length)]));
    }
}
