using System.Buffers.Binary;
using System.Text;

namespace OciRegistry.IntegrationTests.Telemetry;

/// <summary>A message on the wire, as far as these tests look into one: its fields by number, in their order.</summary>
/// <remarks>https://protobuf.dev/programming-guides/encoding/</remarks>
internal sealed class ProtobufMessage
{
    private readonly List<(int Number, object Value)> _fields = [];

    public ProtobufMessage(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var tag = Varint(ref bytes);
            object value;
            switch (tag & 7)
            {
                case 0:
                    value = Varint(ref bytes);
                    break;
                case 1:
                    value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
                    bytes = bytes[8..];
                    break;
                case 2:
                    var length = (int)Varint(ref bytes);
                    value = bytes[..length].ToArray();
                    bytes = bytes[length..];
                    break;
                case 5:
                    value = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes);
                    bytes = bytes[4..];
                    break;
                default:
                    throw new FormatException($"Wire type {tag & 7}.");
            }

            _fields.Add(((int)(tag >> 3), value));
        }
    }

    public IEnumerable<ProtobufMessage> Messages(int number) => Values(number).Select(value => new ProtobufMessage((byte[])value));

    public string Text(int number) => Encoding.UTF8.GetString(Bytes(number));

    public string Hex(int number) => Convert.ToHexStringLower(Bytes(number));

    public ulong Number(int number) => (ulong?)Values(number).LastOrDefault() ?? 0;

    private byte[] Bytes(int number) => (byte[]?)Values(number).LastOrDefault() ?? [];

    private IEnumerable<object> Values(int number) => _fields.Where(field => field.Number == number).Select(field => field.Value);

    private static ulong Varint(ref ReadOnlySpan<byte> bytes)
    {
        var value = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            var next = bytes[0];
            bytes = bytes[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }
    }
}
