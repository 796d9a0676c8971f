using Azure;
using Azure.Storage;
using Azure.Storage.Blobs.Models;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Sends what sessions stage: as blocks of the session's blob, each with its checksum.
/// </summary>
/// <remarks>
/// A blob has at most 50,000 blocks. The first 16,000 of a session may have any size; from then on they have 32 MiB, which
/// is enough for more than 1 TiB. And what a session remembers of them must stay small: so after its first requests, what
/// is too small for a block is kept as a blob of its own, a piece, until there is enough for the next block to take in.
/// </remarks>
internal sealed class StagedBlocks(AzureContainer container, SmallBlobs blobs, BlockMemory memory, AzureBlobsOptions options)
{
    /// <summary>Blocks that one writer has on their way, at most.</summary>
    public const int AtOnce = 4;

    /// <summary>Where pieces are: nothing else is there, so whoever looks for what was left lists no content.</summary>
    public const string PieceFolder = "_pieces/";

    private const int LooseRuns = 16; // requests of a session that may each end with a block, however small it is
    private const int ManyPieces = 256;
    private const int PiecesAtOnce = 8;
    private const int SmallestEnd = 1024 * 1024;

    public static string NameOfPiece(UploadSessionId session, StagedRun piece) =>
        $"{PieceFolder}{session}/{piece.Generation}.{piece.Piece}";

    /// <summary>Bytes that the next block gets when there are enough.</summary>
    public int SizeOfNext(StagedParts parts) =>
        MayBeLoose(parts) ? options.BlockSize : Math.Max(AzureBlobsOptions.LargestBlock, 4 * options.BlockSize);

    /// <summary>Whether the next block may be smaller than that.</summary>
    public bool MayBeLoose(StagedParts parts) => parts.Blocks < options.LooseBlocks;

    /// <summary>Whether a block, not full yet, may be the last one of its request.</summary>
    public bool MayEndWith(Block block, StagedParts parts) =>
        MayBeLoose(parts)
        && !parts.Pieces.Any()
        && (block.Length >= SmallestEnd || parts.Runs.Count < LooseRuns);

    public static bool HasManyPieces(StagedParts parts) => parts.Pieces.Count() >= ManyPieces;

    /// <summary>Stages a block under an id, behind pieces that it takes in.</summary>
    public async Task PutAsync(
        UploadSessionId session, string id, IReadOnlyList<StagedRun> pieces, Block block, CancellationToken cancellationToken)
    {
        using var whole = await GatherAsync(session, pieces, block, cancellationToken);
        var data = container.Blob(BlobPointer.DataOf(session));
        var stage = new BlockBlobStageBlockOptions
        {
            TransferValidation = new UploadTransferValidationOptions
            {
                ChecksumAlgorithm = StorageChecksumAlgorithm.MD5,
                PrecalculatedChecksum = whole.ComputeMD5(),
            },
        };
        await container.CallAsync(
            async (_, token) => await data.StageBlockAsync(id, whole.OpenRead(), stage, token),
            cancellationToken,
            whole.Length);
    }

    /// <summary>Keeps a piece.</summary>
    public async Task PutPieceAsync(
        UploadSessionId session, int generation, int piece, Block block, CancellationToken cancellationToken)
    {
        using (block)
        {
            var blob = container.Blob(NameOfPiece(session, new StagedRun(generation, 0, block.Length, piece)));
            var upload = new BlobUploadOptions
            {
                Conditions = new BlobRequestConditions { IfNoneMatch = ETag.All },
                TransferValidation = new UploadTransferValidationOptions { ChecksumAlgorithm = StorageChecksumAlgorithm.MD5 },
            };
            await container.CallAsync(
                async (mayHaveHappened, token) =>
                {
                    try
                    {
                        await blob.UploadAsync(block.OpenRead(), upload, token);
                    }
                    catch (RequestFailedException e) when (mayHaveHappened && AzureProblem.IsRefused(e))
                    {
                        // An attempt before has written it: no other writer has this generation.
                    }

                    return true;
                },
                cancellationToken,
                block.Length);
        }
    }

    public async Task DeletePiecesAsync(
        UploadSessionId session, IEnumerable<StagedRun> pieces, CancellationToken cancellationToken) =>
        await Parallel.ForEachAsync(
            pieces,
            new ParallelOptions { MaxDegreeOfParallelism = PiecesAtOnce, CancellationToken = cancellationToken },
            async (piece, cancellation) =>
                await blobs.DeleteForEverAsync(NameOfPiece(session, piece), cancellation));

    /// <summary>Pieces, and the block behind them, which is taken over.</summary>
    public async Task<Block> GatherAsync(
        UploadSessionId session, IReadOnlyList<StagedRun> pieces, Block block, CancellationToken cancellationToken)
    {
        if (pieces.Count == 0)
        {
            return block;
        }

        using var last = block;
        var whole = new Block(memory);
        try
        {
            foreach (var piece in pieces)
            {
                var read = await container.CallAsync(
                    async (_, token) =>
                        (await container.Blob(NameOfPiece(session, piece)).DownloadContentAsync(token)).Value.Content.ToMemory(),
                    cancellationToken,
                    piece.Bytes);
                if (read.Length != piece.Bytes)
                {
                    throw new StorageException($"A piece of upload session {session} has {read.Length} bytes instead of {piece.Bytes}.");
                }

                whole.AppendAll(read.Span);
            }

            whole.AppendAll(last);
            return whole;
        }
        catch
        {
            whole.Dispose();
            throw;
        }
    }
}
