using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.Endpoints;

/// <summary>
/// Writes a manifest as a response body. A client that is slow holds no manifest in memory: as soon as its connection takes no more, the
/// bytes are released, and the rest is read from the storage, one piece at a time.
/// </summary>
internal sealed class ManifestBody(ManifestDocuments documents, RegistryMetrics metrics)
{
    // The system's own buffers take that.
    private const int LargestSmall = 16 * 1024;

    /// <summary>Writes a manifest that was read and verified.</summary>
    /// <exception cref="StorageException">
    /// The manifest was deleted or has changed meanwhile, and its last bytes were not sent.
    /// </exception>
    public Task WriteAsync(
        HttpContext context, RepositoryName repository, Digest digest, string mediaType, ReadOnlyMemory<byte> content) =>
        content.Length <= LargestSmall
            ? WriteSmallAsync(context, content)
            : WriteLargeAsync(context, repository, digest, mediaType, content);

    private async Task WriteSmallAsync(HttpContext context, ReadOnlyMemory<byte> content)
    {
        await context.Response.BodyWriter.WriteAsync(content, context.RequestAborted);
        metrics.BytesSent(content.Length);
    }

    private async Task WriteLargeAsync(
        HttpContext context, RepositoryName repository, Digest digest, string mediaType, ReadOnlyMemory<byte> content)
    {
        var writer = context.Response.BodyWriter;
        var length = content.Length;
        IncrementalHash? hash = null; // of what was sent, once the rest comes from the storage
        try
        {
            for (int sent = 0, next; sent < length; sent += next)
            {
                var piece = ResponseBlock.Next(context, length - sent, isCostly: hash is not null);
                next = piece.Length;
                if (hash is null)
                {
                    content.Slice(sent, next).CopyTo(piece);
                }
                else
                {
                    var read = await documents.ReadPartAsync(repository, digest, mediaType, sent, piece, context.RequestAborted);
                    hash.AppendData(piece.Span);
                    if (read < next || (sent + next == length && Digest.FromHash(digest.Algorithm, hash.GetHashAndReset()) != digest))
                    {
                        throw new StorageException($"The manifest {digest} was deleted or has changed while it was sent.");
                    }
                }

                writer.Advance(next);
                metrics.BytesSent(next);
                var flush = writer.FlushAsync(context.RequestAborted);
                if (!flush.IsCompleted && hash is null)
                {
                    hash = IncrementalHash.CreateHash(
                        digest.Algorithm == DigestAlgorithm.Sha256 ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA512);
                    hash.AppendData(content.Span[..(sent + next)]);
                    content = default;
                }

                ResponseBlock.ThrowIfGone(await flush);
            }
        }
        finally
        {
            hash?.Dispose();
        }
    }
}
