using System.Buffers.Binary;
using System.Text;

namespace OciRegistry.IntegrationTests.Wire;

/// <summary>The frames of an HTTP/2 connection (RFC 9113), and what becomes of them when some of their bytes change.</summary>
internal sealed class FuzzFrames
{
    private const byte Data = 0;
    private const byte Headers = 1;
    private const byte Settings = 4;
    private const byte EndStream = 1;
    private const byte EndHeaders = 4;
    private const int HeadLength = 9;

    private static readonly byte[] Preface = Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    private readonly List<List<byte>> _frames = [[.. Frame(Settings, 0, 0, [])]];

    public void Request(int stream, string method, string path, IReadOnlyList<string> headers, string body)
    {
        var head = new List<byte>();
        Literal(head, ":method", method);
        Literal(head, ":scheme", "http");
        Literal(head, ":path", path);
        Literal(head, ":authority", "localhost");
        foreach (var header in headers)
        {
            Literal(head, header.Split(": ", 2)[0].ToLowerInvariant(), header.Split(": ", 2)[1]);
        }

        _frames.Add([.. Frame(Headers, (byte)(EndHeaders | (body.Length == 0 ? EndStream : 0)), stream, [.. head])]);
        if (body.Length > 0)
        {
            _frames.Add([.. Frame(Data, EndStream, stream, Encoding.Latin1.GetBytes(body))]);
        }
    }

    /// <summary>All of it: whole frames are dropped, doubled, exchanged and made of nothing, and bytes in them change.</summary>
    public byte[] Change(Random random, Action<List<byte>, Random> changeBytes)
    {
        for (var changes = random.Next(1, 5); changes > 0 && _frames.Count > 0; changes--)
        {
            var frame = _frames[random.Next(_frames.Count)];
            switch (random.Next(8))
            {
                case 0:
                    _frames.Remove(frame);
                    break;

                case 1:
                    _frames.Insert(random.Next(_frames.Count), [.. frame]);
                    break;

                case 2:
                    var payload = new byte[random.Next(40)];
                    random.NextBytes(payload);
                    _frames.Insert(random.Next(_frames.Count), [.. Frame((byte)random.Next(12), (byte)random.Next(256), random.Next(8), payload)]);
                    break;

                case 3:
                    if (frame.Count > 0)
                    {
                        frame[random.Next(Math.Min(HeadLength, frame.Count))] = (byte)random.Next(256); // length, type, flags or stream
                    }

                    break;

                case 4:
                    // The payload alone, with a length that is right: so it gets further than to the framing.
                    var content = frame.Skip(HeadLength).ToList();
                    changeBytes(content, random);
                    var head = frame.Take(HeadLength).ToArray();
                    frame.Clear();
                    frame.AddRange(head.Length < HeadLength ? head : [.. LengthOf(content.Count), .. head[3..], .. content]);
                    break;

                default:
                    changeBytes(frame, random);
                    break;
            }
        }

        return [.. Preface, .. _frames.SelectMany(frame => frame)];
    }

    /// <summary>The statuses of the answers in what a server has sent: each is the first header of its block.</summary>
    public static IEnumerable<int> StatusesIn(byte[] received)
    {
        // The index in HPACK's static table, of a status that is all there is to it, and of the name alone.
        const byte first = 8;
        int[] known = [200, 204, 206, 304, 400, 404, 500];
        for (var at = 0; at + HeadLength <= received.Length;)
        {
            var (length, type) = (BinaryPrimitives.ReadInt32BigEndian(received.AsSpan(at)) >>> 8, received[at + 3]);
            var block = received.AsMemory(at + HeadLength, Math.Min(length, received.Length - at - HeadLength));
            at += HeadLength + length;
            var start = block.Span.IndexOfAnyExceptInRange((byte)0x20, (byte)0x3f); // changes of the table's size
            if (type != Headers || start < 0)
            {
                continue;
            }

            block = block[start..];
            if (block.Span[0] is >= (0x80 | first) and <= (0x80 | (first + 6)))
            {
                yield return known[block.Span[0] - (0x80 | first)];
            }
            else if (block.Length >= 5 && (block.Span[0] & 0x0f) == first && block.Span[1] == 3)
            {
                yield return int.Parse(Encoding.ASCII.GetString(block.Span.Slice(2, 3)));
            }
        }
    }

    private static byte[] Frame(byte type, byte flags, int stream, byte[] payload)
    {
        var frame = new byte[HeadLength + payload.Length];
        LengthOf(payload.Length).CopyTo(frame, 0);
        (frame[3], frame[4]) = (type, flags);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame, HeadLength);
        return frame;
    }

    private static byte[] LengthOf(int length) => [(byte)(length >> 16), (byte)(length >> 8), (byte)length];

    // Without indexing and without Huffman (RFC 7541 §6.2.2).
    private static void Literal(List<byte> block, string name, string value)
    {
        block.Add(0);
        foreach (var text in (string[])[name, value])
        {
            Length(block, text.Length);
            block.AddRange(Encoding.Latin1.GetBytes(text));
        }
    }

    private static void Length(List<byte> block, int length)
    {
        if (length < 127)
        {
            block.Add((byte)length);
            return;
        }

        block.Add(127);
        for (length -= 127; length >= 128; length >>= 7)
        {
            block.Add((byte)(128 | (length & 127)));
        }

        block.Add((byte)length);
    }
}
