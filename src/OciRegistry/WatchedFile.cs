using System.Security.Cryptography;
using System.Text;

namespace OciRegistry;

/// <summary>
/// A small file that may be replaced while the registry runs. Whether it has changed is told by its content: what Kubernetes
/// mounts is changed by turning a link, which moves no time of the file, and an editor may write twice in a tick.
/// </summary>
internal sealed class WatchedFile<T>
    where T : class
{
    private const int MaxLength = 16 * 1024 * 1024;

    private readonly string _path;
    private readonly Func<string, byte[], T> _parse;
    private byte[] _seen;
    private volatile T _value;

    /// <param name="path">Relative to the current folder, or absolute.</param>
    /// <param name="parse">Throws <see cref="UnusableFileException"/> when the content cannot be used.</param>
    /// <exception cref="UnusableFileException">It cannot be read or used.</exception>
    public WatchedFile(string path, Func<string, byte[], T> parse)
    {
        (_path, _parse) = (path, parse);
        var content = Read();
        (_value, _seen) = (parse(path, content), SHA256.HashData(content));
    }

    public string Path => _path;

    /// <summary>What the last content said that could be used.</summary>
    public T Value => _value;

    /// <summary>Looks at the file once more; whether there is another value since. One caller at a time.</summary>
    /// <exception cref="UnusableFileException">
    /// The content cannot be used, which is said once: the value stays as it was until there is another content.
    /// </exception>
    public bool Refresh()
    {
        byte[] content;
        try
        {
            content = Read();
        }
        catch (UnusableFileException e)
        {
            if (IsNew(Encoding.UTF8.GetBytes(e.Message)))
            {
                throw;
            }

            return false;
        }

        if (!IsNew(content))
        {
            return false;
        }

        _value = _parse(_path, content);
        return true;
    }

    private bool IsNew(byte[] content)
    {
        var hash = SHA256.HashData(content);
        var isNew = !hash.AsSpan().SequenceEqual(_seen);
        _seen = hash;
        return isNew;
    }

    private byte[] Read()
    {
        try
        {
            using var file = File.OpenHandle(_path);
            var length = RandomAccess.GetLength(file);
            if (length > MaxLength)
            {
                throw new UnusableFileException(_path, [$"It has {length} bytes, and at most {MaxLength} are read. Is it the right file?"]);
            }

            var content = new byte[length];
            return content[..RandomAccess.Read(file, content, 0)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new UnusableFileException(
                _path, [$"It cannot be read: {e.Message.TrimEnd('.')}. Let this program's user read it, or correct the path."]);
        }
    }
}
