using System.Net;

namespace OciRegistry.PullThrough;

/// <summary>An answer's body whose reads fail when nothing comes for too long, whoever reads it.</summary>
internal sealed class UpstreamBody : HttpContent
{
    /// <summary>How many large bodies of one upstream are read at once: each may have megabytes, and clients decide how many there are.</summary>
    internal const int MostLarge = 4;

    // More than nearly all manifests have.
    private const int LargestUncounted = 128 * 1024;

    private readonly HttpContent _content;
    private readonly Func<Stream, Stream> _timed;

    private UpstreamBody(HttpContent content, TimeSpan timeout, TimeProvider time)
    {
        (_content, _timed) = (content, stream => new TimedStream(stream, timeout, time));
        foreach (var (name, values) in content.Headers.NonValidated)
        {
            Headers.TryAddWithoutValidation(name, values);
        }
    }

    public static void Time(HttpResponseMessage response, TimeSpan timeout, TimeProvider time) =>
        response.Content = new UpstreamBody(response.Content, timeout, time);

    /// <summary>The whole body; null when it is larger than the limit, or breaks off.</summary>
    /// <param name="response">The answer.</param>
    /// <param name="limit">Bytes that the body may have.</param>
    /// <param name="large">
    /// The places for bodies of more than 128 KiB, which wait for one. Each upstream has its own, so that a slow one holds up no other.
    /// </param>
    /// <param name="cancellationToken">Cancels the read, and the wait.</param>
    public static async ValueTask<byte[]?> ReadBoundedAsync(
        HttpResponseMessage response, int limit, SemaphoreSlim large, CancellationToken cancellationToken)
    {
        var length = response.Content.Headers.ContentLength;
        if (length > limit)
        {
            return null;
        }

        var isCounted = false;
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            var read = new MemoryStream(); // grows with what arrives: the length is only what the upstream says
            var buffer = new byte[16 * 1024];
            for (int count; (count = await body.ReadAsync(buffer, cancellationToken)) > 0;)
            {
                if (read.Length + count > limit)
                {
                    return null;
                }

                if (!isCounted && read.Length + count > LargestUncounted)
                {
                    await large.WaitAsync(cancellationToken);
                    isCounted = true;
                }

                read.Write(buffer, 0, count);
            }

            return length is null || read.Length == length ? read.ToArray() : null;
        }
        catch (IOException) // broken off, or too slow
        {
            return null;
        }
        finally
        {
            if (isCounted)
            {
                large.Release();
            }
        }
    }

    protected override async Task<Stream> CreateContentReadStreamAsync() => _timed(await _content.ReadAsStreamAsync());

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        await using var body = await CreateContentReadStreamAsync();
        await body.CopyToAsync(stream);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = _content.Headers.ContentLength ?? 0;
        return _content.Headers.ContentLength is not null;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _content.Dispose();
        }

        base.Dispose(disposing);
    }

    private sealed class TimedStream(Stream content, TimeSpan timeout, TimeProvider time) : Stream
    {
        private readonly CancellationTokenSource _tooSlow = new(Timeout.InfiniteTimeSpan, time);

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _tooSlow.CancelAfter(timeout);
            await using var cancelled = cancellationToken.UnsafeRegister(source => ((CancellationTokenSource)source!).Cancel(), _tooSlow);
            try
            {
                return await content.ReadAsync(buffer, _tooSlow.Token);
            }
            catch (OperationCanceledException e)
            {
                cancellationToken.ThrowIfCancellationRequested();
                throw new IOException($"The upstream has sent nothing for {timeout.TotalSeconds} s.", e);
            }
            finally
            {
                _tooSlow.CancelAfter(Timeout.InfiniteTimeSpan);
            }
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                content.Dispose();
                _tooSlow.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
