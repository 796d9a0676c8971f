using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace OciRegistry;

/// <summary>
/// One error of the envelope that every failing request is answered with (spec.md#error-codes): code, HTTP status, a
/// message that a person can act on, and machine-readable detail. The members are named as the codes.
/// </summary>
public sealed record OciError(string Code, int Status, string Message)
{
    /// <summary>
    /// What a program can use; null when the message says it all. The answer adds <c>requestId</c>, under which the log has
    /// the request.
    /// </summary>
    public JsonObject? Detail { get; init; }

    // --- the spec's codes, in its order ------------------------------------------------------------------------

    public static OciError BlobUnknown(Digest digest) => new(
        "BLOB_UNKNOWN", StatusCodes.Status404NotFound, "The blob is not in this repository: it was never pushed here, or was deleted.")
    {
        Detail = new JsonObject { ["digest"] = digest.ToString() },
    };

    public static OciError BlobUploadInvalid(string message, int status = StatusCodes.Status400BadRequest) =>
        new("BLOB_UPLOAD_INVALID", status, message);

    /// <summary>A chunk that does not start where the upload stands; nothing of it was stored.</summary>
    public static OciError ChunkOutOfOrder(long expected, long received) => new(
        "BLOB_UPLOAD_INVALID",
        StatusCodes.Status416RangeNotSatisfiable,
        $"The chunk starts at byte {received}, the upload stands at byte {expected}. Go on from there.")
    {
        Detail = new JsonObject { ["expected"] = expected, ["received"] = received },
    };

    public static OciError BlobUploadUnknown() => new(
        "BLOB_UPLOAD_UNKNOWN",
        StatusCodes.Status404NotFound,
        "There is no such upload session in this repository: it was completed, cancelled, has expired or never was. "
        + "Start a new one.");

    public static OciError Denied(string message) => new("DENIED", StatusCodes.Status403Forbidden, message);

    public static OciError DigestInvalid(string message) =>
        new("DIGEST_INVALID", StatusCodes.Status400BadRequest, message);

    /// <summary>What stands where a digest should, in the path of a request.</summary>
    public static OciError DigestInvalidInPath(string text) =>
        DigestInvalid(DigestGrammar) with { Detail = new JsonObject { ["digest"] = text } };

    public static OciError ManifestBlobUnknown(Digest digest) => new(
        "MANIFEST_BLOB_UNKNOWN",
        StatusCodes.Status404NotFound,
        "The manifest refers to content that is not in this repository. Push it first.")
    {
        Detail = new JsonObject { ["digest"] = digest.ToString() },
    };

    public static OciError ManifestInvalid(string message) =>
        new("MANIFEST_INVALID", StatusCodes.Status400BadRequest, message);

    public static OciError ManifestTooLarge(long limit) => new(
        "MANIFEST_INVALID",
        StatusCodes.Status413PayloadTooLarge,
        $"The manifest is larger than this registry's limit of {limit} bytes.")
    {
        Detail = new JsonObject { ["limit"] = limit },
    };

    public static OciError ManifestUnknown(Reference reference) => ManifestUnknown(reference.ToString());

    /// <summary>The same for a name that no manifest can have.</summary>
    public static OciError ManifestUnknown(string reference) => new(
        "MANIFEST_UNKNOWN", StatusCodes.Status404NotFound, "There is no such manifest in this repository.")
    {
        Detail = new JsonObject { ["reference"] = reference },
    };

    public static OciError NameInvalid(string name) => new(
        "NAME_INVALID",
        StatusCodes.Status400BadRequest,
        "A repository name has lower-case letters and digits, joined by '.', '_', '__' or '-' within a component and by "
        + $"'/' between components; at most {RepositoryName.MaxLength} characters.")
    {
        Detail = new JsonObject { ["name"] = name },
    };

    public static OciError NameUnknown(RepositoryName name) => new(
        "NAME_UNKNOWN", StatusCodes.Status404NotFound, "There is no such repository in this registry.")
    {
        Detail = new JsonObject { ["name"] = name.ToString() },
    };

    /// <summary>A namespace (spec.md#proxying) that no upstream is configured for.</summary>
    public static OciError NamespaceUnknown(RepositoryName name, string ns) => new(
        "NAME_UNKNOWN",
        StatusCodes.Status404NotFound,
        "This registry pulls nothing through from there. Ask its operator for an upstream of that namespace.")
    {
        Detail = new JsonObject { ["name"] = name.ToString(), ["ns"] = ns },
    };

    /// <summary>A name that none of the upstreams that a client means has, because it is not below the path of their addresses.</summary>
    public static OciError NotBelowUpstream(RepositoryName name) => new(
        "NAME_UNKNOWN",
        StatusCodes.Status404NotFound,
        "Unknown repository: no upstream of this registry has that name. Use the full name there, or ask the operator to add an upstream.")
    {
        Detail = new JsonObject { ["name"] = name.ToString() },
    };

    public static OciError SizeInvalid(string message, int status = StatusCodes.Status400BadRequest) =>
        new("SIZE_INVALID", status, message);

    public static OciError TooManyRequests(string message) =>
        new("TOOMANYREQUESTS", StatusCodes.Status429TooManyRequests, message);

    public static OciError Unauthorized(string message) =>
        new("UNAUTHORIZED", StatusCodes.Status401Unauthorized, message);

    public static OciError Unsupported(string message, int status = StatusCodes.Status400BadRequest) =>
        new("UNSUPPORTED", status, message);

    // --- what the spec has no code of its own for: the nearest of its list, which it closes for 4xx ----------------

    /// <summary>A reference that is neither a tag nor a digest. docker's TAG_INVALID is not in the spec's list.</summary>
    public static OciError ReferenceInvalid(string reference) => reference.Contains(':', StringComparison.Ordinal)
        ? DigestInvalidInPath(reference)
        : new OciError(
            "MANIFEST_INVALID",
            StatusCodes.Status400BadRequest,
            "A tag has 1 to 128 letters, digits, '_', '.' or '-', and starts with none of the last two.")
        {
            Detail = new JsonObject { ["reference"] = reference },
        };

    public static OciError PaginationInvalid(string message) =>
        new("UNSUPPORTED", StatusCodes.Status400BadRequest, message);

    public static OciError RangeInvalid(long length) => new(
        "SIZE_INVALID",
        StatusCodes.Status416RangeNotSatisfiable,
        $"The Range header names no byte of this content, which has {length} bytes.");

    /// <summary>The spec has no code for it; the status says what it is.</summary>
    public static OciError PreconditionFailed() => new(
        "DENIED",
        StatusCodes.Status412PreconditionFailed,
        "The content does not stand where the request's If-Match or If-None-Match wants it to. Look again, then decide.");

    /// <summary>A tag that exists, for who may only create tags. The spec has no code for it; the status says it.</summary>
    public static OciError TagTaken(Tag tag) => new(
        "DENIED",
        StatusCodes.Status403Forbidden,
        "The tag names another manifest already, and you may create tags here, but not move them. Push with another tag.")
    {
        Detail = new JsonObject { ["tag"] = tag.ToString() },
    };

    public static OciError NotFound() => new(
        "UNSUPPORTED", StatusCodes.Status404NotFound, "This registry has nothing at this address; its API is under /v2/.");

    /// <summary>The storage cannot be reached or failed: the client may try the same request again.</summary>
    public static OciError Unavailable(string message, int status = StatusCodes.Status503ServiceUnavailable) =>
        new("UNAVAILABLE", status, message);

    /// <summary>What a digest must look like, for every message about one that does not.</summary>
    public const string DigestGrammar =
        "A digest is 'sha256:' and 64, or 'sha512:' and 128, lower-case hex digits.";
}
