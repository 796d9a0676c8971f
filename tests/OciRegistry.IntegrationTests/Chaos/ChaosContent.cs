using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>The images that all writers push: few, from a small pool of layers, so that writers meet on the same digests.</summary>
internal sealed class ChaosContent
{
    private const int Layers = 12;
    private const int Subjects = 10;
    private const int Referrers = 4;

    public ChaosContent(Random random)
    {
        var layers = Enumerable.Range(0, Layers).Select(i => ChaosBlob.Of(Bytes(random, LayerSize(i)))).ToArray();
        for (var i = 0; i < Subjects + Referrers; i++)
        {
            var config = ChaosBlob.Of(Encoding.UTF8.GetBytes($$"""{"architecture":"amd64","os":"linux","id":{{random.Next()}}}"""));
            ChaosBlob[] chosen = [.. random.GetItems(layers, 1 + random.Next(3)).Distinct()];
            Digest? subject = i < Subjects ? null : Images[i % Subjects].Digest;
            var manifest = RegistryClient.ImageManifest(config.Content, chosen.Select(layer => layer.Content), subject);
            Images.Add(new ChaosImage(Digest.Of(manifest), manifest, [config, .. chosen], subject));
        }

        Blobs = Images.SelectMany(image => image.Blobs).DistinctBy(blob => blob.Digest).ToDictionary(blob => blob.Digest.ToString());
    }

    public List<ChaosImage> Images { get; } = [];

    /// <summary>Every blob of the images, by its digest.</summary>
    public IReadOnlyDictionary<string, ChaosBlob> Blobs { get; }

    /// <summary>The images that the upstream has; they share layers with the others.</summary>
    public IEnumerable<ChaosImage> UpstreamImages => Images.Take(4);

    public static string UpstreamTag(ChaosImage image) => $"u-{image.Digest.Hex[..8]}";

    /// <summary>Whether the upstream has the key's content: then it can always be pulled.</summary>
    public bool IsUpstreams(ChaosKey key) => key.Repository == ChaosSettings.Upstream && UpstreamImages.Any(
        image => key.Name == UpstreamTag(image) || key.Name == image.Digest.ToString()
            || image.Blobs.Any(blob => key.Name == blob.Digest.ToString()));

    public void AddTo(FakeUpstream upstream, string repository)
    {
        foreach (var image in UpstreamImages)
        {
            upstream.AddManifest(repository, image.Manifest, MediaTypes.ImageManifest, UpstreamTag(image));
            foreach (var blob in image.Blobs)
            {
                upstream.AddBlob(repository, blob.Content);
            }
        }
    }

    // From one byte to 1 MB: uploads of different duration, and beyond the size from which bodies are sent by sendfile.
    private static int LayerSize(int i) => i switch { 0 => 1, < 8 => 5_000 * i, < 11 => 100_000 * (i - 7), _ => 1_000_000 };

    private static byte[] Bytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}

internal sealed record ChaosBlob(Digest Digest, byte[] Content)
{
    public static ChaosBlob Of(byte[] content) => new(Digest.Of(content), content);
}

/// <param name="Digest">The manifest's.</param>
/// <param name="Manifest">Its bytes.</param>
/// <param name="Blobs">Config and layers.</param>
/// <param name="Subject">Its subject; null when it is no referrer.</param>
internal sealed record ChaosImage(Digest Digest, byte[] Manifest, IReadOnlyList<ChaosBlob> Blobs, Digest? Subject);
