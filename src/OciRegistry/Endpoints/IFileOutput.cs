using Microsoft.AspNetCore.Http;
using Microsoft.Win32.SafeHandles;

namespace OciRegistry.Endpoints;

/// <summary>
/// A connection, as a feature of its requests, that can send a part of a file without reading it into the process.
/// </summary>
internal interface IFileOutput
{
    /// <summary>Why a file could not be sent to its end; the connection is aborted then. Null: no such failure.</summary>
    IOException? Failure { get; }

    /// <summary>
    /// Appends a part of a file to a response, behind what was written to it before. The next flush sends it. The server
    /// counts the bytes as the response's own.
    /// </summary>
    /// <param name="context">The request. Its response must have started.</param>
    /// <param name="file">Open until the flush has returned.</param>
    /// <param name="offset">First byte of the part.</param>
    /// <param name="count">Bytes of the part, at least 1.</param>
    /// <returns>
    /// False, and nothing has happened, where the response does not go to this connection byte by byte: over TLS, in
    /// HTTP/2, as chunks, or through a middleware. The caller copies the bytes then.
    /// </returns>
    bool TryAppend(HttpContext context, SafeFileHandle file, long offset, int count);
}
