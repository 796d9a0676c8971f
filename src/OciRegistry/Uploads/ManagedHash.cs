using System.Buffers.Binary;

namespace OciRegistry.Uploads;

/// <summary>The hash functions in C#, for where libcrypto is absent: an eighth of its speed, at any place.</summary>
internal sealed class ManagedHash : ResumableHash
{
    private readonly ulong[] _words;
    private readonly byte[] _block;
    private int _tailLength;

    public ManagedHash(HashState state)
        : base(state)
    {
        _words = Sha2.ReadWords(state.Algorithm, state.Words);
        _block = new byte[Sha2.BlockSize(state.Algorithm)];
        _tailLength = state.Tail.Length;
        state.Tail.CopyTo(_block, 0);
    }

    public override HashState Save()
    {
        var words = new byte[Sha2.HashSize(Algorithm)];
        Sha2.WriteWords(Algorithm, _words, words);
        return new HashState(Algorithm, Length, words, _block[.._tailLength]);
    }

    protected override void Update(ReadOnlySpan<byte> bytes)
    {
        if (_tailLength > 0)
        {
            var taken = bytes[..Math.Min(bytes.Length, _block.Length - _tailLength)];
            taken.CopyTo(_block.AsSpan(_tailLength));
            _tailLength += taken.Length;
            bytes = bytes[taken.Length..];
            if (_tailLength < _block.Length)
            {
                return;
            }

            Sha2.Compress(Algorithm, _words, _block);
        }

        var whole = bytes.Length - (bytes.Length % _block.Length);
        Sha2.Compress(Algorithm, _words, bytes[..whole]);
        bytes[whole..].CopyTo(_block);
        _tailLength = bytes.Length - whole;
    }

    protected override void Finish(Span<byte> hash)
    {
        // FIPS 180-4, 5.1: one bit, then zeros, then the length in bits as two words, to the end of a block. A length
        // fits into the lower 64 bits of both algorithms' field.
        Span<ulong> words = stackalloc ulong[8];
        _words.CopyTo(words);
        Span<byte> padded = stackalloc byte[2 * _block.Length];
        padded.Clear();
        _block.AsSpan(0, _tailLength).CopyTo(padded);
        padded[_tailLength] = 0x80;

        var lengthField = 2 * Sha2.WordSize(Algorithm);
        padded = padded[..(_tailLength + 1 + lengthField <= _block.Length ? _block.Length : 2 * _block.Length)];
        BinaryPrimitives.WriteUInt64BigEndian(padded[^8..], (ulong)Length * 8);
        Sha2.Compress(Algorithm, words, padded);
        Sha2.WriteWords(Algorithm, words, hash);
    }
}
