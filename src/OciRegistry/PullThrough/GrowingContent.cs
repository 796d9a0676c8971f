using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// How far content on its way has come. Its last byte is given out only when the storage has confirmed all of it: nobody sees
/// the end of what is cut off, or is not what it should be.
/// </summary>
/// <param name="spool">Where it is.</param>
/// <param name="length">Bytes that it will have.</param>
/// <param name="arrived">Bytes that are there already.</param>
internal sealed class GrowingContent(Spool spool, long length, long arrived)
{
    private readonly Lock _lock = new();
    private long _arrived = arrived;
    private bool _isWhole;
    private Exception? _failure;
    private TaskCompletionSource _changed = NewSignal();

    public long Length => length;

    public long Arrived
    {
        get
        {
            lock (_lock)
            {
                return _arrived;
            }
        }
    }

    /// <summary>For somebody to read; null when it is over and its file gone.</summary>
    public IBlobContent? TryOpen() => spool.TryUse() ? new Reader(this, spool) : null;

    public void Append(ReadOnlySpan<byte> bytes)
    {
        spool.Write(bytes, _arrived);
        var count = bytes.Length;
        Change(() => _arrived += count);
    }

    /// <summary>All of it is confirmed.</summary>
    public void Complete() => Change(() => _isWhole = true);

    /// <summary>There will be no more; whoever reads is told so, and not by an end.</summary>
    public void Fail(Exception failure) => Change(() => _failure = failure);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Change(Action change)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            change();
            (changed, _changed) = (_changed, NewSignal());
        }

        changed.SetResult();
    }

    /// <summary>How many bytes may be read at an offset, once it is any.</summary>
    private async ValueTask<long> AvailableAsync(long offset, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_lock)
            {
                var readable = _isWhole ? _arrived : Math.Min(_arrived, length - 1);
                if (readable > offset || _isWhole)
                {
                    return Math.Max(0, readable - offset);
                }

                if (_failure is not null)
                {
                    throw new UpstreamBrokeOffException(_failure.Message, _failure);
                }

                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    private sealed class Reader(GrowingContent content, Spool spool) : IBlobContent
    {
        private int _isOpen = 1;

        public long Length => content.Length;

        public async ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken)
        {
            var available = await content.AvailableAsync(offset, cancellationToken);
            return available == 0
                ? 0
                : await spool.ReadAsync(buffer[..(int)Math.Min(buffer.Length, available)], offset, cancellationToken);
        }

        public ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _isOpen, 0) == 1)
            {
                spool.Leave();
            }

            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>The upstream, or the storage, failed in the middle of content that somebody reads.</summary>
internal sealed class UpstreamBrokeOffException(string message, Exception inner) : Exception(message, inner);
