using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
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

    // Nobody writes or reads it, so its pages are never touched: its size is that of a sendfile.
    private static readonly byte[] Placeholder = GC.AllocateUninitializedArray<byte>(1024 * 1024);

    private readonly PipeWriter _transport = connection.Transport.Output;
    private readonly List<(IMemoryOwner<byte> Block, int Length)> _full = [];
    private IMemoryOwner<byte>? _block;
    private int _length;

    private SafeFileHandle? _file;
    private long _fileOffset;
    private long _fileBytes;
    private bool _isClosed;
    private bool _isFlushing;

    public IOException? Failure { get; private set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _full.Sum(full => (long)full.Length) + _length + _fileBytes;

    /// <summary>A connection middleware: everything behind it writes here.</summary>
    public static async Task RunAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket
            || connection.Features.Get<IMemoryPoolFeature>()?.MemoryPool is not { } pool)
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

    public void BeginFile(SafeFileHandle file, long offset)
    {
        if (_file is not null)
        {
            throw new InvalidOperationException("Another file is being sent.");
        }

        (_file, _fileOffset) = (file, offset);
    }

    public void EndFile()
    {
        // A response that was given up: its connection is closed, because it lacks bytes.
        (_file, _fileBytes) = (null, 0);
    }

    public bool IsPlaceholder(ReadOnlyMemory<byte> memory) =>
        MemoryMarshal.TryGetArray(memory, out var segment) && segment.Array == Placeholder;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_file is not null)
        {
            return Placeholder;
        }

        if (_block is null || _block.Memory.Length - _length < Math.Max(sizeHint, 1))
        {
            if (_block is not null)
            {
                _full.Add((_block, _length));
            }

            _block = sizeHint <= pool.MaxBufferSize ? pool.Rent(sizeHint) : MemoryPool<byte>.Shared.Rent(sizeHint);
            _length = 0;
        }

        return _block.Memory[_length..];
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        if (_file is not null)
        {
            _fileBytes += bytes;
            return;
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)((_block?.Memory.Length ?? 0) - _length));
        _length += bytes;
    }

    /// <returns>Completed when the connection is no more: whatever is written from then on is dropped.</returns>
    public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        Volatile.Write(ref _isFlushing, true);
        try
        {
            if (!_isClosed)
            {
                await SendBlocksAsync(cancellationToken);
                await SendFileAsync(cancellationToken);
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
            foreach (var (block, length) in _full)
            {
                _transport.Write(block.Memory.Span[..length]);
            }

            _transport.Write(_block is null ? default : _block.Memory.Span[.._length]);
        }

        Release();
        _transport.Complete(exception);
    }

    private async ValueTask SendBlocksAsync(CancellationToken cancellationToken)
    {
        foreach (var (block, length) in _full)
        {
            await SendAsync(block.Memory[..length], cancellationToken);
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

    private async ValueTask SendFileAsync(CancellationToken cancellationToken)
    {
        while (_fileBytes > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var sent = Posix.TrySendFile(socket.SafeHandle, _file!, _fileOffset, _fileBytes)
                ?? await SendPieceAsync(cancellationToken);
            if (sent == 0)
            {
                throw new IOException("The file ends before what was to be sent.");
            }

            (_fileOffset, _fileBytes) = (_fileOffset + sent, _fileBytes - sent);
        }
    }

    private async ValueTask<long> SendPieceAsync(CancellationToken cancellationToken)
    {
        using var block = pool.Rent(PieceSize);
        var piece = block.Memory[..(int)Math.Min(PieceSize, _fileBytes)];
        var read = Posix.Read(_file!, piece.Span, _fileOffset);
        await SendAsync(piece[..read], cancellationToken);
        return read;
    }

    private void Release()
    {
        lock (_full)
        {
            if (Volatile.Read(ref _isFlushing))
            {
                return; // bytes that are being sent must stay what they are; the flush gives them back
            }

            foreach (var (block, _) in _full)
            {
                block.Dispose();
            }

            _full.Clear();
            _block?.Dispose();
            (_block, _length, _fileBytes) = (null, 0, 0);
        }
    }

    private sealed record Pipes(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
