using System.Buffers.Binary;
using static System.Numerics.BitOperations;

namespace OciRegistry.Uploads;

/// <summary>
/// SHA-256 and SHA-512 by FIPS 180-4: the same algorithm over words of 32 and of 64 bits. Chaining words are held as
/// ulongs for both.
/// </summary>
internal static class Sha2
{
    // The fractional parts of the square roots of the first 8 primes and of the cube roots of the first 80, 64 bits of
    // each. The constants of SHA-256 are the upper halves of these.
    private static readonly ulong[] SquareRoots =
    [
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    ];

    private static readonly ulong[] CubeRoots =
    [
        0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
        0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
        0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
        0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
        0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
        0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
        0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
        0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
        0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
        0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
        0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
        0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
        0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
        0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
        0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
        0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
        0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
        0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
        0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
        0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
    ];

    /// <summary>In bytes, as all sizes here.</summary>
    public static int WordSize(DigestAlgorithm algorithm) =>
        algorithm == DigestAlgorithm.Sha256 ? sizeof(uint) : sizeof(ulong);

    public static int HashSize(DigestAlgorithm algorithm) => 8 * WordSize(algorithm);

    public static int BlockSize(DigestAlgorithm algorithm) => 16 * WordSize(algorithm);

    /// <summary>The chaining words before the first block, big-endian.</summary>
    public static byte[] InitialWords(DigestAlgorithm algorithm)
    {
        var shift = 8 * (sizeof(ulong) - WordSize(algorithm));
        var words = new byte[HashSize(algorithm)];
        WriteWords(algorithm, [.. SquareRoots.Select(root => root >> shift)], words);
        return words;
    }

    public static ulong[] ReadWords(DigestAlgorithm algorithm, ReadOnlySpan<byte> bigEndian)
    {
        var words = new ulong[8];
        for (var i = 0; i < words.Length; i++)
        {
            words[i] = algorithm == DigestAlgorithm.Sha256
                ? BinaryPrimitives.ReadUInt32BigEndian(bigEndian[(i * sizeof(uint))..])
                : BinaryPrimitives.ReadUInt64BigEndian(bigEndian[(i * sizeof(ulong))..]);
        }

        return words;
    }

    public static void WriteWords(DigestAlgorithm algorithm, ReadOnlySpan<ulong> words, Span<byte> bigEndian)
    {
        for (var i = 0; i < words.Length; i++)
        {
            if (algorithm == DigestAlgorithm.Sha256)
            {
                BinaryPrimitives.WriteUInt32BigEndian(bigEndian[(i * sizeof(uint))..], (uint)words[i]);
            }
            else
            {
                BinaryPrimitives.WriteUInt64BigEndian(bigEndian[(i * sizeof(ulong))..], words[i]);
            }
        }
    }

    /// <summary>Takes whole blocks into the chaining words.</summary>
    public static void Compress(DigestAlgorithm algorithm, Span<ulong> words, ReadOnlySpan<byte> blocks)
    {
        var blockSize = BlockSize(algorithm);
        for (; blocks.Length > 0; blocks = blocks[blockSize..])
        {
            if (algorithm == DigestAlgorithm.Sha256)
            {
                Compress256(words, blocks[..blockSize]);
            }
            else
            {
                Compress512(words, blocks[..blockSize]);
            }
        }
    }

    // FIPS 180-4, 6.2.2. The variables are named as there.
    private static void Compress256(Span<ulong> words, ReadOnlySpan<byte> block)
    {
        Span<uint> w = stackalloc uint[64];
        for (var t = 0; t < 16; t++)
        {
            w[t] = BinaryPrimitives.ReadUInt32BigEndian(block[(t * sizeof(uint))..]);
        }

        for (var t = 16; t < w.Length; t++)
        {
            var (w2, w15) = (w[t - 2], w[t - 15]);
            var s1 = RotateRight(w2, 17) ^ RotateRight(w2, 19) ^ (w2 >> 10);
            var s0 = RotateRight(w15, 7) ^ RotateRight(w15, 18) ^ (w15 >> 3);
            w[t] = s1 + w[t - 7] + s0 + w[t - 16];
        }

        var (a, b, c, d) = ((uint)words[0], (uint)words[1], (uint)words[2], (uint)words[3]);
        var (e, f, g, h) = ((uint)words[4], (uint)words[5], (uint)words[6], (uint)words[7]);
        for (var t = 0; t < w.Length; t++)
        {
            var sum1 = RotateRight(e, 6) ^ RotateRight(e, 11) ^ RotateRight(e, 25);
            var t1 = h + sum1 + ((e & f) ^ (~e & g)) + (uint)(CubeRoots[t] >> 32) + w[t];
            var sum0 = RotateRight(a, 2) ^ RotateRight(a, 13) ^ RotateRight(a, 22);
            var t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e) = (g, f, e, d + t1);
            (d, c, b, a) = (c, b, a, t1 + t2);
        }

        words[0] = (uint)words[0] + a;
        words[1] = (uint)words[1] + b;
        words[2] = (uint)words[2] + c;
        words[3] = (uint)words[3] + d;
        words[4] = (uint)words[4] + e;
        words[5] = (uint)words[5] + f;
        words[6] = (uint)words[6] + g;
        words[7] = (uint)words[7] + h;
    }

    // FIPS 180-4, 6.4.2.
    private static void Compress512(Span<ulong> words, ReadOnlySpan<byte> block)
    {
        Span<ulong> w = stackalloc ulong[80];
        for (var t = 0; t < 16; t++)
        {
            w[t] = BinaryPrimitives.ReadUInt64BigEndian(block[(t * sizeof(ulong))..]);
        }

        for (var t = 16; t < w.Length; t++)
        {
            var (w2, w15) = (w[t - 2], w[t - 15]);
            var s1 = RotateRight(w2, 19) ^ RotateRight(w2, 61) ^ (w2 >> 6);
            var s0 = RotateRight(w15, 1) ^ RotateRight(w15, 8) ^ (w15 >> 7);
            w[t] = s1 + w[t - 7] + s0 + w[t - 16];
        }

        var (a, b, c, d) = (words[0], words[1], words[2], words[3]);
        var (e, f, g, h) = (words[4], words[5], words[6], words[7]);
        for (var t = 0; t < w.Length; t++)
        {
            var sum1 = RotateRight(e, 14) ^ RotateRight(e, 18) ^ RotateRight(e, 41);
            var t1 = h + sum1 + ((e & f) ^ (~e & g)) + CubeRoots[t] + w[t];
            var sum0 = RotateRight(a, 28) ^ RotateRight(a, 34) ^ RotateRight(a, 39);
            var t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e) = (g, f, e, d + t1);
            (d, c, b, a) = (c, b, a, t1 + t2);
        }

        words[0] += a;
        words[1] += b;
        words[2] += c;
        words[3] += d;
        words[4] += e;
        words[5] += f;
        words[6] += g;
        words[7] += h;
    }
}
