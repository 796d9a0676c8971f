using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// A document that is overwritten in its file, for the many short-lived ones: replacing the file would cost two inodes
/// per write, and some file systems search long for one while others were deleted not long ago (ext4 without a journal).
/// The file has two slots that are written in turn, each with a sequence number and a checksum: a write that was cut
/// short leaves the one before it. The slot carries the document's key, because a file may have held another document.
/// </summary>
internal static class OverwrittenDocument
{
    /// <summary>Bytes of key and content together that fit.</summary>
    public const int MaxLength = SlotSize - HeaderLength;

    private const int SlotSize = 8 * 1024;
    private const int ChecksumOffset = 4;
    private const int SequenceOffset = ChecksumOffset + 16;
    private const int VersionOffset = SequenceOffset + sizeof(ulong);
    private const int KeyLengthOffset = VersionOffset + 16;
    private const int ContentLengthOffset = KeyLengthOffset + sizeof(ushort);
    private const int HeaderLength = ContentLengthOffset + sizeof(ushort);

    private static ReadOnlySpan<byte> Magic => "v2 \n"u8;

    /// <summary>Whether the document can be written so at all; a larger one is a file that is replaced.</summary>
    public static bool Fits(DocumentKey key, int contentLength) =>
        Encoding.UTF8.GetByteCount(key.ToString()) + contentLength <= MaxLength;

    /// <summary>Writes the slot whose turn it is: the other one is the document until this returns.</summary>
    public static void Write(
        SafeFileHandle file, ulong sequence, DocumentKey key, Guid version, ReadOnlySpan<byte> content)
    {
        var name = Encoding.UTF8.GetBytes(key.ToString());
        Span<byte> slot = stackalloc byte[HeaderLength + name.Length + content.Length];
        Magic.CopyTo(slot);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[SequenceOffset..], sequence);
        version.TryWriteBytes(slot[VersionOffset..]);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[KeyLengthOffset..], (ushort)name.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[ContentLengthOffset..], (ushort)content.Length);
        name.CopyTo(slot[HeaderLength..]);
        content.CopyTo(slot[(HeaderLength + name.Length)..]);
        Checksum(slot, slot[ChecksumOffset..SequenceOffset]);
        Posix.Write(file, slot, (long)(sequence % 2) * SlotSize);
    }

    /// <summary>
    /// The last finished write of this document in a file's bytes; null when there is none: they are another document's,
    /// or were read while both slots were being written.
    /// </summary>
    public static (ulong Sequence, Document Document)? Read(ReadOnlySpan<byte> bytes, DocumentKey key)
    {
        var name = Encoding.UTF8.GetBytes(key.ToString());
        (ulong Sequence, Document Document)? last = null;
        for (var offset = 0; offset < bytes.Length; offset += SlotSize)
        {
            var found = ReadSlot(bytes[offset..Math.Min(bytes.Length, offset + SlotSize)], name);
            if (found is { } slot && (last is null || slot.Sequence > last.Value.Sequence))
            {
                last = slot;
            }
        }

        return last;
    }

    private static (ulong Sequence, Document Document)? ReadSlot(ReadOnlySpan<byte> slot, ReadOnlySpan<byte> name)
    {
        if (slot.Length < HeaderLength || !slot.StartsWith(Magic))
        {
            return null;
        }

        var contentOffset = HeaderLength + BinaryPrimitives.ReadUInt16LittleEndian(slot[KeyLengthOffset..]);
        var end = contentOffset + BinaryPrimitives.ReadUInt16LittleEndian(slot[ContentLengthOffset..]);
        if (end > slot.Length || !slot[HeaderLength..contentOffset].SequenceEqual(name))
        {
            return null;
        }

        Span<byte> checksum = stackalloc byte[SequenceOffset - ChecksumOffset];
        Checksum(slot[..end], checksum);
        if (!checksum.SequenceEqual(slot[ChecksumOffset..SequenceOffset]))
        {
            return null;
        }

        var version = new Guid(slot.Slice(VersionOffset, 16)).ToString("n");
        return (
            BinaryPrimitives.ReadUInt64LittleEndian(slot[SequenceOffset..]),
            new Document(slot[contentOffset..end].ToArray(), version));
    }

    private static void Checksum(ReadOnlySpan<byte> slot, Span<byte> checksum)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(slot[SequenceOffset..], hash);
        hash[..checksum.Length].CopyTo(checksum);
    }
}
