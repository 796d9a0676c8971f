namespace OciRegistry.Uploads;

/// <summary>
/// A running hash whose state can be saved in a session document and resumed, by another process too: the hashes of
/// System.Security.Cryptography cannot. Not thread-safe.
/// </summary>
internal abstract class ResumableHash : IDisposable
{
    protected ResumableHash(HashState state) => (Algorithm, Length) = (state.Algorithm, state.Length);

    public DigestAlgorithm Algorithm { get; }

    /// <summary>Bytes hashed so far.</summary>
    public long Length { get; private set; }

    public static ResumableHash Create(DigestAlgorithm algorithm) => Resume(HashState.Initial(algorithm));

    /// <exception cref="InvalidDataException">The state is not one that a hash can be in.</exception>
    public static ResumableHash Resume(HashState state)
    {
        state.ThrowIfInvalid();
        return LibcryptoHash.IsUsable ? new LibcryptoHash(state) : new ManagedHash(state);
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        Update(bytes);
        Length += bytes.Length;
    }

    /// <summary>The state to go on from; this hash goes on undisturbed.</summary>
    public abstract HashState Save();

    /// <summary>The digest of all bytes so far; this hash goes on undisturbed.</summary>
    public Digest Digest()
    {
        Span<byte> hash = stackalloc byte[Sha2.HashSize(Algorithm)];
        Finish(hash);
        return OciRegistry.Digest.FromHash(Algorithm, hash);
    }

    /// <summary>Frees what an implementation holds; the present ones hold nothing but memory of their own.</summary>
    public virtual void Dispose() => GC.SuppressFinalize(this);

    protected abstract void Update(ReadOnlySpan<byte> bytes);

    /// <summary>Writes the hash value, working on a copy.</summary>
    protected abstract void Finish(Span<byte> hash);
}
