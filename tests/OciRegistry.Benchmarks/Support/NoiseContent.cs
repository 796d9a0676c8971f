using System.Buffers;
using System.Net;
using System.Security.Cryptography;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Noise as the body of a request, made and hashed while it is sent.</summary>
internal sealed class NoiseContent(Noise noise, bool isChunked) : HttpContent
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>The digest of what was sent.</summary>
    public Digest Digest() => OciRegistry.Digest.FromHash(DigestAlgorithm.Sha256, _hash.GetCurrentHash());

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        var block = ArrayPool<byte>.Shared.Rent(Noise.BlockSize);
        try
        {
            for (long offset = 0; offset < noise.Length; offset += Noise.BlockSize)
            {
                var length = noise.Read(block, offset);
                _hash.AppendData(block, 0, length);
                await stream.WriteAsync(block.AsMemory(0, length));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = noise.Length;
        return !isChunked;
    }

    protected override void Dispose(bool disposing)
    {
        _hash.Dispose();
        base.Dispose(disposing);
    }
}
