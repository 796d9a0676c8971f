using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Reflection;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Win32.SafeHandles;
using OciRegistry.Endpoints;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server;

/// <summary>
/// Sends what Kestrel writes to a connection from the thread that wrote it, and parts of files by sendfile(2): the
/// transport's own way goes over a pipe to another thread and does not tell when bytes have left, so that nothing could
/// be sent behind them. Receiving, and the end of the connection, stay the transport's.
/// </summary>
/// <remarks>
/// A flush returns when the system has taken every byte; that is the back-pressure. One flush runs at a time, which
/// Kestrel sees to.
/// </remarks>
internal sealed class SocketOutput(ConnectionContext connection, Socket socket, MemoryPool<byte> pool)
    : PipeWriter, IFileOutput
{
    // Waiting for room in the socket takes sending something: so much goes by way of a buffer.
    private const int PieceSize = 16 * 1024;

    // What only Kestrel's own body feature is declared in: every middleware's is elsewhere.
    private static readonly Assembly Kestrel = typeof(KestrelServer).Assembly;

    private readonly PipeWriter _transport = connection.Transport.Output;
    private readonly List<Part> _parts = []; // before the block, in the order of the bytes
    private IMemoryOwner<byte>? _block;
    private int _length;
    private Part _claimed;
    private bool _isClosed;
    private bool _isFlushing;

    public IOException? Failure { get; private set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _parts.Sum(part => part.Length) + _length;

    /// <summary>
    /// A connection middleware: everything behind it writes here. Behind TLS it does nothing, because the socket would take
    /// plain text from it.
    /// </summary>
    public static async Task RunAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket
            || connection.Features.Get<IMemoryPoolFeature>()?.MemoryPool is not { } pool
            || connection.Features.Get<ITlsConnectionFeature>() is not null)
        {
            await next(connection);
            return;
        }

        var output = new SocketOutput(connection, socket, pool);
        connection.Transport = new Pipes(connection.Transport.Input, output);
        connection.Features.Set<IFileOutput>(output);
        try
        {
            await next(connection);
        }
        finally
        {
            output.Release();
        }
    }

    /// <remarks>
    /// The file is taken only if four things show that the response's bytes are the connection's, with nothing between them:
    ///
    ///   (1) the request is HTTP/1.x        else its bytes share the connection with other requests' frames
    ///   (2) the transport is still ours    else a connection middleware behind us encrypts, logs or changes the bytes
    ///   (3) the body feature is Kestrel's  else a middleware wants to see the bytes
    ///   (4) the response's next memory is exactly ours   else Kestrel puts chunk sizes around the bytes
    ///
    /// Then the response advances by the part's length, which reaches <see cref="Advance"/> before this method returns. So
    /// there is no state in which other bytes could be mistaken for the file's.
    /// </remarks>
    public bool TryAppend(HttpContext context, SafeFileHandle file, long offset, int count)
    {
        if (!RequestBody.HasConnectionOfItsOwn(context.Request)
            || connection.Transport.Output != this
            || context.Features.Get<IHttpResponseBodyFeature>() is not { } body
            || body.GetType().Assembly != Kestrel
            || !body.Writer.GetMemory(1).Equals(GetMemory(1)))
        {
            return false;
        }

        _claimed = new Part(null, file, offset, count);
        try
        {
            body.Writer.Advance(count); // dropped by Kestrel when the connection has just ended: the flush tells
        }
        finally
        {
            _claimed = default;
        }

        return true;
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_block is null || _block.Memory.Length - _length < Math.Max(sizeHint, 1))
        {
            CloseBlock();
            _block = sizeHint <= pool.MaxBufferSize ? pool.Rent(sizeHint) : MemoryPool<byte>.Shared.Rent(sizeHint);
        }

        return _block.Memory[_length..];
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        if (_claimed.File is not null)
        {
            CloseBlock();
            _parts.Add(_claimed);
            return;
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)((_block?.Memory.Length ?? 0) - _length));
        _length += bytes;
    }

    /// <returns>Completed when the connection is no more: whatever is written from then on is dropped.</returns>
    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
        FlushWithAsync(default, cancellationToken);

    /// <summary>Sends the bytes from where they are: TLS writes so, one record of 16 KiB at a time.</summary>
    public override ValueTask<FlushResult> WriteAsync(
        ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) => FlushWithAsync(source, cancellationToken);

    private async ValueTask<FlushResult> FlushWithAsync(ReadOnlyMemory<byte> last, CancellationToken cancellationToken)
    {
        Volatile.Write(ref _isFlushing, true);
        try
        {
            if (!_isClosed)
            {
                await SendAllAsync(cancellationToken);
                await SendAsync(last, cancellationToken);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException || Posix.IsDisconnect(e))
        {
            _isClosed = true;
        }
        catch (OperationCanceledException)
        {
            _isClosed = true; // a part may have gone: nothing must follow it
            throw;
        }
        catch (IOException e)
        {
            // Kestrel takes a flush that throws for one that was done, and would go on with the next answer.
            _isClosed = true;
            Failure = e;
            connection.Abort(new ConnectionAbortedException("A file could not be sent to its end.", e));
        }
        finally
        {
            Volatile.Write(ref _isFlushing, false);
            Release();
        }

        return new FlushResult(isCanceled: false, isCompleted: _isClosed);
    }

    /// <summary>Without effect: a flush ends when the client has taken the bytes, or when the connection is aborted.</summary>
    public override void CancelPendingFlush()
    {
    }

    public override void Complete(Exception? exception = null)
    {
        // What was never flushed goes the transport's way, which ends with the connection.
        if (!_isClosed && !Volatile.Read(ref _isFlushing) && exception is null)
        {
            // A file that was never flushed belongs to a response that lacks bytes then, and so does all behind it.
            CloseBlock();
            foreach (var part in _parts.TakeWhile(part => part.Block is not null))
            {
                _transport.Write(part.Block!.Memory.Span[..(int)part.Length]);
            }
        }

        Release();
        _transport.Complete(exception);
    }

    private async ValueTask SendAllAsync(CancellationToken cancellationToken)
    {
        foreach (var part in _parts)
        {
            await (part.Block is { } block
                ? SendAsync(block.Memory[..(int)part.Length], cancellationToken)
                : SendFileAsync(part, cancellationToken));
        }

        if (_block is not null)
        {
            await SendAsync(_block.Memory[.._length], cancellationToken);
        }
    }

    private async ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None, cancellationToken)..];
        }
    }

    private async ValueTask SendFileAsync(Part part, CancellationToken cancellationToken)
    {
        for (var (offset, left) = (part.Offset, part.Length); left > 0;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var sent = Posix.TrySendFile(socket.SafeHandle, part.File!, offset, left)
                ?? await SendPieceAsync(part.File!, offset, left, cancellationToken);
            if (sent == 0)
            {
                throw new IOException("The file ends before what was to be sent.");
            }

            (offset, left) = (offset + sent, left - sent);
        }
    }

    private async ValueTask<long> SendPieceAsync(
        SafeFileHandle file, long offset, long left, CancellationToken cancellationToken)
    {
        using var block = pool.Rent();
        var piece = block.Memory[..(int)Math.Min(Math.Min(PieceSize, block.Memory.Length), left)];
        var read = Posix.Read(file, piece.Span, offset);
        await SendAsync(piece[..read], cancellationToken);
        return read;
    }

    /// <summary>Queues the bytes of the block, so that later bytes follow them.</summary>
    private void CloseBlock()
    {
        if (_block is not null && _length > 0)
        {
            _parts.Add(new Part(_block, null, 0, _length));
        }
        else
        {
            _block?.Dispose();
        }

        (_block, _length) = (null, 0);
    }

    private void Release()
    {
        lock (_parts)
        {
            if (Volatile.Read(ref _isFlushing))
            {
                return; // bytes that are being sent must stay what they are; the flush gives them back
            }

            foreach (var part in _parts)
            {
                part.Block?.Dispose();
            }

            _parts.Clear();
            _block?.Dispose();
            (_block, _length) = (null, 0);
        }
    }

    /// <summary>Bytes that wait for a flush: those of a block, or of a file from an offset on.</summary>
    private readonly record struct Part(IMemoryOwner<byte>? Block, SafeFileHandle? File, long Offset, long Length);

    private sealed record Pipes(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
