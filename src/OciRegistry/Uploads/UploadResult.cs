namespace OciRegistry.Uploads;

/// <summary>How a request on an upload session can end.</summary>
internal enum UploadOutcome
{
    /// <summary>The chunk is staged; <see cref="UploadResult.Offset"/> is acknowledged.</summary>
    Appended,

    /// <summary>The blob is whole, confirmed and linked in the repository.</summary>
    Completed,

    /// <summary>The session was given up.</summary>
    Cancelled,

    /// <summary>There is no such session in this repository.</summary>
    Unknown,

    /// <summary>The chunk does not start where it may; nothing was stored. The session stands at Offset.</summary>
    OutOfOrder,

    /// <summary>A newer request has taken the session over; nothing that this one wrote counts.</summary>
    Fenced,

    /// <summary>Another request is still writing, and it has been waited for long enough.</summary>
    Busy,

    /// <summary>The session is sealed: it takes no more chunks and cannot be cancelled.</summary>
    Completing,

    /// <summary>The body has fewer or more bytes than Content-Range announced; nothing of it counts.</summary>
    LengthMismatch,

    /// <summary>The bytes have another digest, <see cref="UploadResult.Computed"/>; the session is gone.</summary>
    DigestMismatch,

    /// <summary>More bytes than one blob may have; the session is gone.</summary>
    TooLarge,
}

/// <param name="Outcome">How the request ended.</param>
/// <param name="Offset">The bytes that the session has; of a completed one, those of the blob.</param>
/// <param name="Computed">The digest of the bytes, where the client announced another one.</param>
internal readonly record struct UploadResult(UploadOutcome Outcome, long Offset = 0, Digest? Computed = null);
