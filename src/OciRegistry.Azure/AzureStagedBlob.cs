using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// What one writer stages of a session: it collects a block, sends it while the next one comes, and has several on their
/// way. Blocks that are never named in a block list are nobody's, and the storage drops them.
/// </summary>
internal sealed class AzureStagedBlob(
    StagedBlocks blocks, BlockMemory memory, UploadSessionId session, int generation, StagedParts parts) : IStagedBlob
{
    private readonly List<Task> _onTheWay = [];
    private StagedRun[] _left = [.. parts.Taken]; // of the request before
    private Block? _block;
    private StagedParts _parts = parts; // of all blocks that were sent
    private int _blocks;                // of this generation
    private int _pieces;                // likewise
    private Exception? _failure;

    public long Length { get; private set; } = parts.Length;

    /// <summary>Of what was flushed.</summary>
    public string? Parts { get; private set; } = parts.ToString();

    public async ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        ThrowIfFailed();
        while (!bytes.IsEmpty)
        {
            _block ??= new Block(memory);
            var room = blocks.SizeOfNext(_parts) - Pending;
            var wanted = (int)Math.Clamp(room, 0, bytes.Length);
            var taken = _block.Append(bytes.Span[..wanted], must: !blocks.MayBeLoose(_parts));
            Length += taken;
            bytes = bytes[taken..];
            if (taken == 0 && room > 0 && _onTheWay.Count > 0)
            {
                await DrainAsync(_onTheWay.Count - 1); // others have the memory
            }
            else if (taken == 0 || taken == room)
            {
                await SendAsync(cancellationToken);
            }
        }
    }

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        ThrowIfFailed();
        if (_block is { Length: > 0 } last && blocks.MayEndWith(last, _parts))
        {
            await SendAsync(cancellationToken);
        }
        else if (_block is { Length: > 0 } piece)
        {
            _block = null;
            await GuardAsync(PutPieceAsync(piece, cancellationToken));
        }

        await DrainAsync(atMost: 0);
        await ClearAsync(cancellationToken);
        Parts = _parts.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        _block?.Dispose();
        _block = null;
        try
        {
            await Task.WhenAll(_onTheWay);
        }
        catch (Exception e) when (e is StorageException or OperationCanceledException)
        {
            // Who flushes is told; who does not has given these bytes up.
        }
    }

    /// <summary>Bytes that the next block has so far.</summary>
    private long Pending => _block!.Length + _parts.Pieces.Sum(piece => piece.Bytes);

    private async ValueTask SendAsync(CancellationToken cancellationToken)
    {
        await DrainAsync(StagedBlocks.AtOnce - 1);
        var block = _block!;
        _block = null;
        var pieces = _parts.Pieces.ToArray();
        var id = StagedParts.BlockId(generation, _blocks++);
        _parts = _parts.WithBlock(generation, block.Length);
        _onTheWay.Add(Task.Run(() => blocks.PutAsync(session, id, pieces, block, cancellationToken), CancellationToken.None));
    }

    private async Task PutPieceAsync(Block piece, CancellationToken cancellationToken)
    {
        if (StagedBlocks.HasManyPieces(_parts))
        {
            piece = await blocks.GatherAsync(session, [.. _parts.Pieces], piece, cancellationToken);
            _parts = _parts.WithoutPieces();
        }

        var length = piece.Length;
        await blocks.PutPieceAsync(session, generation, _pieces, piece, cancellationToken);
        _parts = _parts.WithPiece(generation, _pieces++, length);
    }

    /// <summary>
    /// Who stages behind it has seen the answer to the request before: nobody repeats that one, and what it has taken in may go.
    /// </summary>
    private async ValueTask ClearAsync(CancellationToken cancellationToken)
    {
        if (_left is not [_, ..] left)
        {
            return;
        }

        _left = [];
        try
        {
            await blocks.DeletePiecesAsync(session, left, cancellationToken);
            _parts = new StagedParts([.. _parts.Runs.Except(left)]);
        }
        catch (StorageException)
        {
            // They stay on record: the next request tries again, or the end of the session.
        }
    }

    /// <summary>Waits until so many blocks are on their way at most.</summary>
    private async ValueTask DrainAsync(int atMost)
    {
        while (_onTheWay.Count > atMost)
        {
            var done = await Task.WhenAny(_onTheWay);
            _onTheWay.Remove(done);
            await GuardAsync(done);
        }
    }

    private async ValueTask GuardAsync(Task sending)
    {
        try
        {
            await sending;
        }
        catch (Exception e)
        {
            _failure = e; // a gap: nothing behind it counts
            throw;
        }
    }

    private void ThrowIfFailed()
    {
        if (_failure is { } failure)
        {
            throw new StorageException("Staged bytes before these have not arrived.", failure);
        }
    }
}
