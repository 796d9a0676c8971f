using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OciRegistry.Auth;
using OciRegistry.Endpoints;
using OciRegistry.Storage;
using OciRegistry.Uploads;

namespace OciRegistry.Operations;

/// <summary>
/// The upload sessions, whoever's they are: which there are, what was done to each, and a way to end one. Who administers
/// some repositories sees and ends those that push to them; the others do not exist for that caller.
/// </summary>
internal sealed class UploadsView(
    UploadSessions sessions, UploadSessionDocuments documents, StoreClock clock, AccessControl access)
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
        var found = await ListAsync(access.AreaOf(context), after, page.Limit, context.RequestAborted);
        if (found.Count == page.Limit && found.Count > 0)
        {
            page.LinkNext(context, found[^1].Id.ToString());
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
        if (!TryReadId(context, out var id) || await FindAsync(context, id) is not { } session)
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
        var result = TryReadId(context, out var id) && await FindAsync(context, id) is not null
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

    /// <summary>Sessions after an id in repositories of the area; fewer than the limit when there are no more.</summary>
    private async ValueTask<List<UploadSession>> ListAsync(
        AdminArea area, UploadSessionId? after, int limit, CancellationToken cancellationToken)
    {
        var found = new List<UploadSession>();
        while (found.Count < limit)
        {
            var ids = await documents.ListAsync(after, Math.Max(limit, PageSize), cancellationToken);
            foreach (var id in ids)
            {
                if (found.Count < limit
                    && await documents.ReadAsync(id, cancellationToken) is { Session: var session }
                    && area.Has(session.Repository))
                {
                    found.Add(session);
                }
            }

            if (ids.Count == 0)
            {
                break;
            }

            after = ids[^1];
        }

        return found;
    }

    /// <summary>The session; null when there is none in the caller's area.</summary>
    private async ValueTask<UploadSession?> FindAsync(HttpContext context, UploadSessionId id) =>
        await documents.ReadAsync(id, context.RequestAborted) is { Session: var session }
        && access.AreaOf(context).Has(session.Repository)
            ? session
            : null;

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
