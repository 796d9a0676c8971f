using System.Text.Json;
using System.Text.Json.Serialization;
using OciRegistry.Storage;

namespace OciRegistry.Uploads;

/// <summary>Upload sessions in the document store, each with the version that it was read with.</summary>
internal sealed class UploadSessionDocuments(IDocumentStore documents)
{
    /// <summary>The session, or null when there is none, or none that this release can read.</summary>
    public async ValueTask<Versioned?> ReadAsync(UploadSessionId id, CancellationToken cancellationToken)
    {
        var document = await documents.ReadAsync(RegistryLayout.Upload(id), cancellationToken);
        return document is not null && Deserialize(document.Content.Span) is { } session && session.Id == id
            ? new Versioned(session, document.Version)
            : null;
    }

    /// <summary>Whether the session has ended for good. One that another release has written has not.</summary>
    public async ValueTask<bool> IsGoneAsync(UploadSessionId id, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.Upload(id), cancellationToken) is not { } document
        || Deserialize(document.Content.Span)?.State == UploadState.Discarding;

    public async ValueTask<Versioned> CreateAsync(UploadSession session, CancellationToken cancellationToken) =>
        await WriteAsync(session, WriteCondition.Absent, cancellationToken)
        ?? throw new InvalidOperationException($"There already is an upload session {session.Id}.");

    /// <summary>Null when somebody else has changed the session since it was read: load it again, or give up.</summary>
    public ValueTask<Versioned?> ReplaceAsync(
        Versioned current, UploadSession session, CancellationToken cancellationToken) =>
        WriteAsync(session, WriteCondition.Unchanged(current.Version), cancellationToken);

    /// <summary>Repeatable: a session that is gone already is what was wanted.</summary>
    public async ValueTask DeleteAsync(UploadSessionId id, CancellationToken cancellationToken) =>
        await documents.DeleteAsync(
            RegistryLayout.Upload(id), WriteCondition.None, Durability.Atomic, cancellationToken);

    /// <summary>False when the session has changed since it was read, or is gone.</summary>
    public ValueTask<bool> TryDeleteAsync(Versioned current, CancellationToken cancellationToken) =>
        documents.DeleteAsync(
            RegistryLayout.Upload(current.Session.Id),
            WriteCondition.Unchanged(current.Version),
            Durability.Atomic,
            cancellationToken);

    /// <summary>All sessions after an id, in the order of their ids; for sweeps.</summary>
    public async ValueTask<IReadOnlyList<UploadSessionId>> ListAsync(
        UploadSessionId? after, int limit, CancellationToken cancellationToken)
    {
        var names = await documents.ListAsync(
            RegistryLayout.Uploads,
            static name => UploadSessionId.TryParse(name, out _),
            after?.ToString(),
            limit,
            cancellationToken);
        var ids = new List<UploadSessionId>(names.Count);
        foreach (var name in names)
        {
            if (UploadSessionId.TryParse(name, out var id))
            {
                ids.Add(id);
            }
        }

        return ids;
    }

    // Not synced: a session that a power cut takes with it is an unknown session, and its client starts again.
    private async ValueTask<Versioned?> WriteAsync(
        UploadSession session, WriteCondition condition, CancellationToken cancellationToken)
    {
        var content = JsonSerializer.SerializeToUtf8Bytes(session, UploadSessionJson.Default.UploadSession);
        var version = await documents.WriteAsync(
            RegistryLayout.Upload(session.Id), content, condition, Durability.Atomic, cancellationToken);
        return version is null ? null : new Versioned(session, version);
    }

    private static UploadSession? Deserialize(ReadOnlySpan<byte> content)
    {
        try
        {
            var session = JsonSerializer.Deserialize(content, UploadSessionJson.Default.UploadSession);
            return session?.Schema == UploadSession.CurrentSchema ? session : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public sealed record Versioned(UploadSession Session, string Version);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true,
    IgnoreReadOnlyProperties = true,
    Converters = [typeof(ParsableJsonConverter<Digest>), typeof(ParsableJsonConverter<RepositoryName>), typeof(ParsableJsonConverter<UploadSessionId>)])]
[JsonSerializable(typeof(UploadSession))]
internal sealed partial class UploadSessionJson : JsonSerializerContext;
