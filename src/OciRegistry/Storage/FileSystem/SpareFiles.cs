using System.Collections.Concurrent;

namespace OciRegistry.Storage.FileSystem;

/// <summary>
/// The files of overwritten documents that are gone, kept for those to come: an upload makes a session document and
/// deletes it, and that way neither takes an inode nor gives one back. Only this process knows them; what a process that
/// died has left, the sweep of temporary files takes.
/// </summary>
internal sealed class SpareFiles(FileSystemRoot root) : IDisposable
{
    private const int Most = 256;

    private readonly ConcurrentQueue<SpareFile> _files = new();

    /// <summary>A file that nobody reads or writes; it need not exist yet.</summary>
    public SpareFile Take() => _files.TryDequeue(out var file) ? file : new SpareFile(root.NewSpare(), 0);

    /// <summary>
    /// Takes a document's file out of its folder; false when there are enough. The caller holds the document's lock, so that
    /// nobody is about to write to it; who reads it finds by the key that it is none anymore.
    /// </summary>
    /// <param name="path">Of the document's file.</param>
    /// <param name="sequence">The document's last: what comes next has a higher one.</param>
    public bool TryKeep(string path, ulong sequence)
    {
        if (_files.Count >= Most)
        {
            return false;
        }

        var spare = new SpareFile(root.NewSpare(), sequence + 1);
        try
        {
            DurableFile.Rename(path, spare.Path);
        }
        catch (IOException e) when (Posix.IsFull(e))
        {
            return false; // no space for the name; deleting needs none
        }

        _files.Enqueue(spare);
        return true;
    }

    public void Dispose()
    {
        while (_files.TryDequeue(out var file))
        {
            TemporaryFiles.TryDelete(file.Path);
        }
    }
}

/// <param name="Path">In the folder of spare files.</param>
/// <param name="Sequence">For the next document that is written to it.</param>
internal readonly record struct SpareFile(string Path, ulong Sequence);
