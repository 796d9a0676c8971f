using System.Buffers;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

/// <summary>The hash of what a session has staged: as it is remembered or, where it is not, by reading the bytes again.</summary>
internal sealed class StagedHash(IUploadStore uploads)
{
    /// <summary>The digest of the acknowledged bytes.</summary>
    public async ValueTask<Digest> DigestAsync(
        UploadSession session, DigestAlgorithm algorithm, CancellationToken cancellationToken)
    {
        // The one case that costs a second look at the bytes: a sha512 digest that nobody had named before.
        var state = session.Algorithm == algorithm
            ? session.Hash
            : await HashAsync(session, algorithm, session.Offset, cancellationToken);
        using var hash = state is null ? ResumableHash.Create(algorithm) : ResumableHash.Resume(state);
        return hash.Digest();
    }

    /// <summary>Hashes the first bytes that are staged; null for none.</summary>
    /// <exception cref="StorageException">They are in use, gone, or fewer.</exception>
    public async ValueTask<HashState?> HashAsync(
        UploadSession session, DigestAlgorithm algorithm, long length, CancellationToken cancellationToken)
    {
        if (length == 0)
        {
            return null;
        }

        await using var staged = await uploads.OpenAsync(session.Staged, length, cancellationToken)
            ?? throw new StorageException($"The staged bytes of upload session {session.Id} are in use or gone.");
        using var hash = ResumableHash.Create(algorithm);
        var buffer = ArrayPool<byte>.Shared.Rent(1024 * 1024);
        try
        {
            while (hash.Length < length)
            {
                var wanted = (int)Math.Min(buffer.Length, length - hash.Length);
                var read = await staged.ReadAsync(buffer.AsMemory(0, wanted), hash.Length, cancellationToken);
                if (read == 0)
                {
                    throw new StorageException($"The staged bytes of upload session {session.Id} end too early.");
                }

                hash.Append(buffer.AsSpan(0, read));
            }

            return hash.Save();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
