using System.Buffers;
using System.Text;

namespace OciRegistry.Storage.FileSystem;

/// <summary>The folder of a file-system registry: its parts, and how a document's key becomes a file's path.</summary>
internal sealed class FileSystemRoot
{
    // Folders' segments have no '@', so a document never stands where a folder wants to be.
    private const char DocumentSuffix = '@';

    private static readonly SearchValues<char> ThemselvesInNames =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:=-");

    /// <param name="root">The folder.</param>
    /// <param name="metrics">Where the room that is left is to be seen; null for nowhere.</param>
    public FileSystemRoot(string root, RegistryMetrics? metrics = null)
    {
        Root = Path.GetFullPath(root);
        Documents = Path.Combine(Root, "documents");
        Temporary = Path.Combine(Root, "tmp");
        Spare = Path.Combine(Root, "spare");
        Locks = Path.Combine(Root, "locks");
        Quarantine = Path.Combine(Root, "quarantine");
        Staged = Path.Combine(Root, RegistryLayout.StagedFolder);
        Blobs = Path.Combine(Root, RegistryLayout.BlobFolder);
        metrics?.ObserveStorage(AvailableBytes);
    }

    public string Root { get; }

    public string Documents { get; }

    /// <summary>Files that are being written, before they get their names.</summary>
    public string Temporary { get; }

    /// <summary>Files of session documents that are gone, for those to come.</summary>
    public string Spare { get; }

    /// <summary>
    /// Files that are only ever locked, and one whose time is the file system's. Never deleted: a lock on a deleted file
    /// excludes nobody.
    /// </summary>
    public string Locks { get; }

    /// <summary>Content that was found damaged when better came.</summary>
    public string Quarantine { get; }

    public string Staged { get; }

    public string Blobs { get; }

    /// <summary>Bytes that can still be written to the folder's file system; null when it is gone.</summary>
    public long? AvailableBytes()
    {
        try
        {
            return new DriveInfo(Root).AvailableFreeSpace;
        }
        catch (Exception e) when (FileSystemFault.Is(e))
        {
            return null;
        }
    }

    /// <summary>
    /// Asked before anything is called missing: a volume that is no longer mounted is an empty folder, and what it holds is
    /// unavailable, not unknown.
    /// </summary>
    public void ThrowIfGone()
    {
        if (Posix.Stat(Locks) is null)
        {
            throw new IOException($"'{Locks}' is gone. Is the volume of '{Root}' mounted?");
        }
    }

    public string Folder(string documentFolder) => Path.Combine(Documents, documentFolder);

    public string Document(DocumentKey key) => $"{Documents}/{key.Folder}/{EncodeName(key.Name)}";

    public string Blob(Digest digest) => Path.Combine(Root, RegistryLayout.Blob(digest));

    public string StagedGeneration(StagedKey key) => Path.Combine(Root, RegistryLayout.Staged(key));

    public string StagedLaterGenerations(UploadSessionId session) =>
        Path.Combine(Root, RegistryLayout.StagedLater(session));

    public string NewTemporary() => Path.Combine(Temporary, UniqueId.New().ToString("n"));

    public string NewSpare() => Path.Combine(Spare, UniqueId.New().ToString("n"));

    /// <summary>
    /// Letters, digits and <c>._:=-</c> stand for themselves, '+' for '/', all else is percent-encoded UTF-8. So is a dot at
    /// the beginning: files that begin with one belong to other programs.
    /// </summary>
    public static string EncodeName(string name)
    {
        if (!name.AsSpan().ContainsAnyExcept(ThemselvesInNames) && !name.StartsWith('.'))
        {
            return name + DocumentSuffix; // every tag and every digest
        }

        var encoded = new StringBuilder(name.Length + 1);
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in name.EnumerateRunes())
        {
            if (rune.IsAscii && ThemselvesInNames.Contains((char)rune.Value) && (rune.Value != '.' || encoded.Length > 0))
            {
                encoded.Append((char)rune.Value);
            }
            else if (rune.Value == '/')
            {
                encoded.Append('+');
            }
            else
            {
                foreach (var octet in utf8[..rune.EncodeToUtf8(utf8)])
                {
                    encoded.Append('%').Append(octet.ToString("X2", provider: null));
                }
            }
        }

        return encoded.Append(DocumentSuffix).ToString();
    }

    /// <summary>
    /// Whether a file is a document: its name is what <see cref="EncodeName"/> makes of a document's. What other programs leave
    /// (<c>._t1@</c> of macOS, <c>.nfs</c>, backups and copies) is not.
    /// </summary>
    public static bool IsDocument(ReadOnlySpan<char> fileName)
    {
        if (fileName is not [not '.', .., DocumentSuffix] and not [DocumentSuffix])
        {
            return false;
        }

        return !fileName[..^1].ContainsAnyExcept(ThemselvesInNames) || fileName.SequenceEqual(EncodeName(DecodeName(fileName)));
    }

    /// <summary>The name of the document that a file is.</summary>
    public static string DecodeName(ReadOnlySpan<char> fileName)
    {
        var encoded = fileName[..^1];
        return encoded.ContainsAny('+', '%')
            ? Uri.UnescapeDataString(encoded.ToString().Replace('+', '/'))
            : encoded.ToString(); // every tag and every digest
    }
}
