using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OciRegistry.Endpoints;
using OciRegistry.Storage;
using OciRegistry.Uploads;

namespace OciRegistry.Operations;

/// <summary>
/// An operator's view of the upload sessions: which there are, what was done to each, and a way to end one. It shows and
/// ends what is anybody's, so it is the operator's alone.
/// </summary>
internal sealed class UploadsView(UploadSessions sessions, UploadSessionDocuments documents, StoreClock clock)
{
    private const int PageSize = 100;
    private const int MaxPageSize = 1_000;

    /// <summary>The sessions, in the order of their ids, a page at a time; without their timelines.</summary>
    public async Task List(HttpContext context)
    {
        if (!Pagination.TryRead(context.Request, MaxPageSize, out var page))
        {
            await context.WriteErrorAsync(Pagination.Invalid());
            return;
        }

        if (!context.Request.Query.ContainsKey("n"))
        {
            page = page with { Limit = PageSize };
        }

        UploadSessionId? after = UploadSessionId.TryParse(page.After, out var last) ? last : null;
        var ids = page.Limit == 0 ? [] : await documents.ListAsync(after, page.Limit, context.RequestAborted);
        var found = new List<UploadSession>(ids.Count);
        foreach (var id in ids)
        {
            if (await documents.ReadAsync(id, context.RequestAborted) is { } loaded)
            {
                found.Add(loaded.Session);
            }
        }

        if (ids.Count == page.Limit && ids.Count > 0)
        {
            page.LinkNext(context, ids[^1].ToString());
        }

        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("uploads");
            foreach (var session in found)
            {
                json.WriteStartObject();
                Write(json, session);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>One session with its timeline.</summary>
    public async Task Get(HttpContext context)
    {
        if (!TryReadId(context, out var id)
            || await documents.ReadAsync(id, context.RequestAborted) is not { Session: var session })
        {
            await context.WriteErrorAsync(OciError.BlobUploadUnknown());
            return;
        }

        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            Write(json, session);
            json.WriteStartArray("timeline");
            foreach (var said in session.Timeline)
            {
                json.WriteStartObject();
                json.WriteString("at", said.At);
                json.WriteString("requestId", said.RequestId);
                json.WriteString("replica", said.Replica);
                json.WriteString("verb", said.Verb);
                json.WriteString("outcome", said.Outcome);
                json.WriteNumber("offset", said.Offset);
                json.WriteNumber("bytes", said.Bytes);
                json.WriteNumber("milliseconds", said.Milliseconds);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>Ends one session: 204; 404 when there is none; 409 when it is being completed.</summary>
    public async Task Abort(HttpContext context)
    {
        var result = TryReadId(context, out var id)
            ? await sessions.AbortAsync(id, context.RequestAborted)
            : new UploadResult(UploadOutcome.Unknown);
        switch (result.Outcome)
        {
            case UploadOutcome.Cancelled:
                context.Response.StatusCode = StatusCodes.Status204NoContent;
                break;

            case UploadOutcome.Unknown:
                await context.WriteErrorAsync(OciError.BlobUploadUnknown());
                break;

            default:
                await context.WriteErrorAsync(OciError.BlobUploadInvalid(
                    "This upload session is being completed and cannot be ended any more.",
                    StatusCodes.Status409Conflict));
                break;
        }
    }

    private static bool TryReadId(HttpContext context, out UploadSessionId id) =>
        UploadSessionId.TryParse((string?)context.Request.RouteValues["session"], out id);

    private void Write(Utf8JsonWriter json, UploadSession session)
    {
        json.WriteString("session", session.Id.ToString());
        json.WriteString("repository", session.Repository.ToString());
        json.WriteString("subject", session.Subject);
        json.WriteString("state", session.State.ToString());
        json.WriteNumber("offset", session.Progress);
        json.WriteString("started", session.Started);
        json.WriteNumber("ageSeconds", (long)(clock.Now - session.Started).TotalSeconds);
        json.WriteString("lastActive", session.Active);
        json.WriteString("lastReplica", session.Writer?.Replica ?? (session.Timeline is [.., var last] ? last.Replica : null));
        if (session.Digest is { } digest)
        {
            json.WriteString("digest", digest.ToString());
        }

        if (session.Writer is { } writer)
        {
            json.WriteStartObject("writer");
            json.WriteString("requestId", writer.RequestId);
            json.WriteString("replica", writer.Replica);
            json.WriteNumber("start", writer.Start);
            json.WriteNumber("offset", writer.Offset);
            json.WriteString("renewed", writer.Renewed);
            json.WriteEndObject();
        }
    }
}
