using System.IO.Pipelines;

namespace OciRegistry.PullThrough;

/// <summary>
/// What an upstream sends, on its way into an upload session. When it breaks off, the session is told so behind the last byte
/// that has come, and not before: a pipe of its own would throw those away that nobody has read yet.
/// </summary>
internal sealed class ForwardedBody : PipeReader
{
    private readonly Pipe _pipe = new(new PipeOptions(
        pauseWriterThreshold: 1024 * 1024, resumeWriterThreshold: 512 * 1024, useSynchronizationContext: false));

    private volatile Exception? _failure;

    public PipeWriter Writer => _pipe.Writer;

    public ValueTask FailAsync(Exception failure)
    {
        _failure = failure;
        return _pipe.Writer.CompleteAsync();
    }

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        Told(await _pipe.Reader.ReadAsync(cancellationToken));

    public override bool TryRead(out ReadResult result)
    {
        if (!_pipe.Reader.TryRead(out result))
        {
            return false;
        }

        result = Told(result);
        return true;
    }

    public override void AdvanceTo(SequencePosition consumed) => _pipe.Reader.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
        _pipe.Reader.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => _pipe.Reader.CancelPendingRead();

    public override void Complete(Exception? exception = null) => _pipe.Reader.Complete(exception);

    private ReadResult Told(ReadResult read)
    {
        if (!read.IsCompleted || _failure is not { } failure)
        {
            return read;
        }

        if (!read.Buffer.IsEmpty)
        {
            return new ReadResult(read.Buffer, read.IsCanceled, isCompleted: false);
        }

        _pipe.Reader.AdvanceTo(read.Buffer.End);
        throw new IOException(failure.Message, failure);
    }
}
