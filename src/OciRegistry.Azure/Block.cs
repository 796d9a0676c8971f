using System.Security.Cryptography;

namespace OciRegistry.Azure;

/// <summary>Bytes in segments, on their way to become one block.</summary>
internal sealed class Block(BlockMemory memory) : IDisposable
{
    private readonly List<byte[]> _segments = [];

    public int Length { get; private set; }

    /// <summary>Takes as much as there is memory for; 0 when there is none left, unless it must.</summary>
    public int Append(ReadOnlySpan<byte> bytes, bool must = false)
    {
        var room = (_segments.Count * BlockMemory.SegmentSize) - Length;
        if (room == 0)
        {
            if (memory.TryTake(must || _segments.Count == 0) is not { } segment)
            {
                return 0;
            }

            _segments.Add(segment);
            room = BlockMemory.SegmentSize;
        }

        var taken = Math.Min(room, bytes.Length);
        bytes[..taken].CopyTo(_segments[^1].AsSpan(BlockMemory.SegmentSize - room));
        Length += taken;
        return taken;
    }

    public void AppendAll(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Append(bytes, must: true)..];
        }
    }

    public void AppendAll(Block other)
    {
        for (var offset = 0; offset < other.Length; offset += BlockMemory.SegmentSize)
        {
            AppendAll(other.Segment(offset).Span);
        }
    }

    public byte[] ComputeMD5()
    {
#pragma warning disable CA5351 // the storage's checksum of what arrives; nothing is kept safe by it
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
#pragma warning restore CA5351
        for (var offset = 0; offset < Length; offset += BlockMemory.SegmentSize)
        {
            md5.AppendData(Segment(offset).Span);
        }

        return md5.GetHashAndReset();
    }

    /// <summary>The bytes once more, as often as an attempt to send them needs them.</summary>
    public Stream OpenRead() => new BlockStream(this);

    public void Dispose()
    {
        memory.Return(_segments);
        _segments.Clear();
        Length = 0;
    }

    private ReadOnlyMemory<byte> Segment(long offset)
    {
        var within = (int)(offset % BlockMemory.SegmentSize);
        var length = (int)Math.Min(BlockMemory.SegmentSize - within, Length - offset);
        return _segments[(int)(offset / BlockMemory.SegmentSize)].AsMemory(within, length);
    }

    private sealed class BlockStream(Block block) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => block.Length;

        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            if (Position >= Length)
            {
                return 0;
            }

            var segment = block.Segment(Position).Span;
            var read = Math.Min(segment.Length, buffer.Length);
            segment[..read].CopyTo(buffer);
            Position += read;
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(Read(buffer.Span));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            Task.FromResult(Read(buffer.AsSpan(offset, count)));

        public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
        {
            while (Position < Length)
            {
                var segment = block.Segment(Position);
                await destination.WriteAsync(segment, cancellationToken);
                Position += segment.Length;
            }
        }

        public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
        {
            SeekOrigin.Begin => offset,
            SeekOrigin.Current => Position + offset,
            _ => Length + offset,
        };

        public override void Flush()
        {
        }

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
