using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Endpoints;

/// <summary>
/// A connection, as a feature of its requests, that can send a part of a file without bringing it into the process. The
/// server still counts the response's bytes: who writes the response advances over a placeholder instead of a copy.
/// </summary>
internal interface IFileOutput
{
    /// <summary>Why a file could not be sent to its end; the connection has ended then.</summary>
    IOException? Failure { get; }

    /// <summary>From here to <see cref="EndFile"/> what is advanced over is the file's, from <paramref name="offset"/> on.</summary>
    /// <exception cref="InvalidOperationException">Another file is being sent.</exception>
    void BeginFile(SafeFileHandle file, long offset);

    void EndFile();

    /// <summary>
    /// Whether this is what stands for the file's bytes. What the response's writer gives out is not when anything stands
    /// between it and the connection: TLS, the frames of HTTP/2, a middleware. Its bytes are to be copied then.
    /// </summary>
    bool IsPlaceholder(ReadOnlyMemory<byte> memory);
}
