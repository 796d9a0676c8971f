using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace OciRegistry.Uploads;

/// <summary>
/// The hash functions of OpenSSL 3, which use the processor's SHA instructions. Their contexts are plain memory in a
/// layout that the library's name guarantees (openssl/sha.h); System.Security.Cryptography does not let us at them.
/// </summary>
internal sealed partial class LibcryptoHash : ResumableHash
{
    private const string Library = "libcrypto.so.3";

    // With words of 32 bits (SHA256_CTX) or 64 bits (SHA512_CTX), in the machine's byte order:
    //   h[8]              the chaining words
    //   Nl, Nh            bits hashed, the low word first
    //   data[16]          the tail, as bytes
    //   num, md_len       bytes of tail, bytes of hash: 32 bits each in both
    private const int ContextSize = ((8 + 2 + 16) * sizeof(ulong)) + (2 * sizeof(uint));

    // Of ulongs, because the library wants its words aligned.
    private readonly ulong[] _context = new ulong[ContextSize / sizeof(ulong)];
    private readonly int _wordSize;

    public LibcryptoHash(HashState state)
        : base(state)
    {
        _wordSize = Sha2.WordSize(state.Algorithm);
        CopyWords(state.Words, ChainingWords);
        state.Tail.CopyTo(Tail);
        Numbers[0] = (uint)state.Tail.Length;
        Numbers[1] = (uint)Sha2.HashSize(state.Algorithm);

        var bits = (ulong)state.Length * 8;
        if (state.Algorithm == DigestAlgorithm.Sha256)
        {
            var words = MemoryMarshal.Cast<ulong, uint>(_context.AsSpan());
            (words[8], words[9]) = ((uint)bits, (uint)(bits >> 32));
        }
        else
        {
            (_context[8], _context[9]) = (bits, 0);
        }
    }

    /// <summary>True where the library is there and has shown that its contexts are what we take them for.</summary>
    public static bool IsUsable { get; } = PassesSelfTest();

    private Span<byte> ChainingWords => MemoryMarshal.AsBytes(_context.AsSpan())[..(8 * _wordSize)];

    private Span<byte> Tail => MemoryMarshal.AsBytes(_context.AsSpan()).Slice(10 * _wordSize, 16 * _wordSize);

    private Span<uint> Numbers => MemoryMarshal.Cast<byte, uint>(
        MemoryMarshal.AsBytes(_context.AsSpan()).Slice(26 * _wordSize, 2 * sizeof(uint)));

    public override HashState Save()
    {
        var words = new byte[8 * _wordSize];
        CopyWords(ChainingWords, words);
        return new HashState(Algorithm, Length, words, Tail[..(int)Numbers[0]].ToArray());
    }

    protected override void Update(ReadOnlySpan<byte> bytes)
    {
        ref var context = ref _context[0];
        ref readonly var data = ref MemoryMarshal.GetReference(bytes);
        ThrowUnlessOne(Algorithm == DigestAlgorithm.Sha256
            ? SHA256_Update(ref context, in data, (nuint)bytes.Length)
            : SHA512_Update(ref context, in data, (nuint)bytes.Length));
    }

    protected override void Finish(Span<byte> hash)
    {
        Span<ulong> copy = stackalloc ulong[ContextSize / sizeof(ulong)];
        _context.CopyTo(copy);
        ThrowUnlessOne(Algorithm == DigestAlgorithm.Sha256
            ? SHA256_Final(ref hash[0], ref copy[0])
            : SHA512_Final(ref hash[0], ref copy[0]));
    }

    private static bool PassesSelfTest()
    {
        try
        {
            return PassesSelfTest(
                    DigestAlgorithm.Sha256, "1901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f")
                && PassesSelfTest(
                    DigestAlgorithm.Sha512,
                    "986058e9895e2c2ab8f9e8cbdf801db12a44842a56a91d5a4e87b1fc98b293722c4664142e42c3c551ff898646268cd9"
                    + "2b84ed230b8c94bed7798d4f27cd7465");
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            return false;
        }
    }

    /// <summary>
    /// Hashes the bytes 0, 1, ... 199 in one go; and again with a break after an odd number of them, where a hash of
    /// the other implementation goes on from the saved state, and the other way round.
    /// </summary>
    private static bool PassesSelfTest(DigestAlgorithm algorithm, string expectedHex)
    {
        ReadOnlySpan<byte> message = [.. Enumerable.Range(0, 200).Select(i => (byte)i)];
        const int Break = 131; // in the second block or the third, by algorithm

        var whole = new LibcryptoHash(HashState.Initial(algorithm));
        whole.Append(message);

        var native = new LibcryptoHash(HashState.Initial(algorithm));
        native.Append(message[..Break]);
        var managed = new ManagedHash(HashState.Initial(algorithm));
        managed.Append(message[..Break]);

        var fromNative = new ManagedHash(native.Save());
        fromNative.Append(message[Break..]);
        var fromManaged = new LibcryptoHash(managed.Save());
        fromManaged.Append(message[Break..]);

        return whole.Digest().Hex == expectedHex
            && fromNative.Digest().Hex == expectedHex
            && fromManaged.Digest().Hex == expectedHex;
    }

    /// <summary>Between big-endian words and the machine's, either way.</summary>
    private void CopyWords(ReadOnlySpan<byte> from, Span<byte> to)
    {
        from.CopyTo(to);
        for (var i = 0; BitConverter.IsLittleEndian && i < to.Length; i += _wordSize)
        {
            to.Slice(i, _wordSize).Reverse();
        }
    }

    private static void ThrowUnlessOne(int result)
    {
        if (result != 1)
        {
            throw new CryptographicException($"{Library} failed to hash.");
        }
    }

    [LibraryImport(Library)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SHA256_Update(ref ulong context, ref readonly byte data, nuint length);

    [LibraryImport(Library)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SHA256_Final(ref byte hash, ref ulong context);

    [LibraryImport(Library)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SHA512_Update(ref ulong context, ref readonly byte data, nuint length);

    [LibraryImport(Library)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SHA512_Final(ref byte hash, ref ulong context);
}
