using System.Buffers;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

/// <summary>The hash of what a session has staged: as it is remembered or, where it is not, by reading the bytes again.</summary>
internal sealed class StagedHash(IUploadStore uploads)
{
    private const int BufferSize = 1024 * 1024;

    /// <summary>The digest of the acknowledged bytes; null when they are no longer staged.</summary>
    public async ValueTask<Digest?> DigestAsync(
        UploadSession session, DigestAlgorithm algorithm, CancellationToken cancellationToken)
    {
        // The one case that costs a second look at the bytes: a sha512 digest that nobody had named before.
        using var hash = session.Algorithm != algorithm
            ? await ReadAsync(session, algorithm, session.Offset, cancellationToken)
            : session.Hash is null ? ResumableHash.Create(algorithm) : ResumableHash.Resume(session.Hash);
        return hash?.Digest();
    }

    /// <summary>The hash of the first bytes, read again; null when fewer are staged.</summary>
    /// <remarks>Others may read the same bytes at the same time, or write behind them.</remarks>
    public async ValueTask<ResumableHash?> ReadAsync(
        UploadSession session, DigestAlgorithm algorithm, long length, CancellationToken cancellationToken)
    {
        var hash = ResumableHash.Create(algorithm);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            await using var staged = length == 0 ? null : await uploads.OpenReadAsync(session.Staged, cancellationToken);
            while (hash.Length < length)
            {
                var wanted = (int)Math.Min(buffer.Length, length - hash.Length);
                var read = staged is null
                    ? 0
                    : await staged.ReadAsync(buffer.AsMemory(0, wanted), hash.Length, cancellationToken);
                if (read == 0)
                {
                    hash.Dispose();
                    return null;
                }

                hash.Append(buffer.AsSpan(0, read));
            }

            return hash;
        }
        catch
        {
            hash.Dispose();
            throw;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
