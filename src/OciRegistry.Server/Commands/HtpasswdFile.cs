namespace OciRegistry.Server.Commands;

/// <summary>An htpasswd file that a registry may be reading, and other commands may be changing.</summary>
/// <param name="path">Relative to the current folder, or absolute.</param>
/// <param name="mayBeMissing">Whether there are no users when there is no file.</param>
internal sealed class HtpasswdFile(string path, bool mayBeMissing)
{
    public string Path => path;

    /// <exception cref="UnusableFileException">It cannot be read, or a registry would not use it either.</exception>
    public HtpasswdText Read() => mayBeMissing && !File.Exists(path)
        ? HtpasswdText.Parse(path, [])
        : new WatchedFile<HtpasswdText>(path, HtpasswdText.Parse).Value; // as the server reads it

    /// <summary>Changes what stands there when nobody else does.</summary>
    /// <exception cref="CommandException">It cannot be replaced.</exception>
    public Task ChangeAsync(Func<HtpasswdText, byte[]> change) => ReplacedFile.WriteAsync(path, () => change(Read()));
}
