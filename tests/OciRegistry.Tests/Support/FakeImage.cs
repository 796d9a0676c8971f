namespace OciRegistry.Tests.Support;

/// <summary>An image that a <see cref="FakeUpstream"/> has.</summary>
internal sealed record FakeImage(
    byte[] Manifest, Digest Digest, (Digest Digest, byte[] Content) Config, IReadOnlyList<(Digest Digest, byte[] Content)> Layers);
