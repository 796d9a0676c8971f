using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OciRegistry.Benchmarks.Support;

/// <summary>
/// Content that costs next to nothing to make, does not compress, and differs from seed to seed: one random block, with
/// seed and position stamped into each of its pages.
/// </summary>
internal sealed record Noise(long Seed, long Length)
{
    // What docker and containerd send at a time.
    public const int BlockSize = 32 * 1024;
    private const int PageSize = 4096;

    private static readonly byte[] Pattern = RandomNumberGenerator.GetBytes(BlockSize);

    /// <summary>Fills <paramref name="buffer"/> with the block at <paramref name="offset"/>; its length.</summary>
    public int Read(Span<byte> buffer, long offset)
    {
        Pattern.CopyTo(buffer);
        for (var page = 0; page < BlockSize; page += PageSize)
        {
            BinaryPrimitives.WriteInt64LittleEndian(buffer[page..], Seed);
            BinaryPrimitives.WriteInt64LittleEndian(buffer[(page + sizeof(long))..], offset + page);
        }

        return (int)Math.Min(BlockSize, Length - offset);
    }

    public Digest Digest()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[BlockSize];
        for (long offset = 0; offset < Length; offset += BlockSize)
        {
            hash.AppendData(block.AsSpan(0, Read(block, offset)));
        }

        return OciRegistry.Digest.FromHash(DigestAlgorithm.Sha256, hash.GetHashAndReset());
    }
}
