using System.Text.Json;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>The notes of what an upstream has listed as referrers: one document for each subject, which only its repositories have.</summary>
internal sealed class ReferredSubjects(IDocumentStore documents)
{
    /// <summary>The note of a subject; null when there is none.</summary>
    public async ValueTask<FoundSubject?> FindAsync(
        RepositoryName repository, Digest subject, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.ReferredSubject(repository, subject), cancellationToken) is { } document
            ? new FoundSubject(Deserialize(document.Content.Span), document.Version)
            : null;

    /// <summary>The new version; null when the note is not the one that was read any more.</summary>
    /// <param name="repository">The repository of the subject.</param>
    /// <param name="subject">The manifest that is referred to.</param>
    /// <param name="referred">The new note.</param>
    /// <param name="version">The version that it replaces; null where there was no note.</param>
    /// <param name="cancellationToken">Of the call.</param>
    public ValueTask<string?> WriteAsync(
        RepositoryName repository, Digest subject, ReferredSubject referred, string? version, CancellationToken cancellationToken) =>
        documents.WriteAsync(
            RegistryLayout.ReferredSubject(repository, subject),
            JsonSerializer.SerializeToUtf8Bytes(referred, ReferrerJson.Default.ReferredSubject),
            version is null ? WriteCondition.Absent : WriteCondition.Unchanged(version),
            Durability.Synced,
            cancellationToken);

    /// <summary>Deletes one version of a note.</summary>
    public async ValueTask DeleteAsync(
        RepositoryName repository, Digest subject, string version, CancellationToken cancellationToken) =>
        await documents.DeleteAsync(
            RegistryLayout.ReferredSubject(repository, subject),
            WriteCondition.Unchanged(version),
            Durability.Synced,
            cancellationToken);

    /// <summary>The subjects of a repository that have a note.</summary>
    public ValueTask<IReadOnlyList<string>> ListAsync(RepositoryName repository, CancellationToken cancellationToken) =>
        documents.ListAsync(RegistryLayout.ReferredSubjects(repository), null, int.MaxValue, cancellationToken);

    private static ReferredSubject? Deserialize(ReadOnlySpan<byte> content)
    {
        try
        {
            return JsonSerializer.Deserialize(content, ReferrerJson.Default.ReferredSubject) is { Referrers: not null } known
                ? known
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>What an upstream listed as referrers of a subject.</summary>
/// <param name="Checked">When it listed them. While a refresh runs, when it listed those before; the default when it did not.</param>
/// <param name="Referrers">
/// The referrers. While a refresh runs, those of the list before and of the new one: each of them may have an entry.
/// </param>
internal sealed record ReferredSubject(DateTimeOffset Checked, HashSet<Digest> Referrers);

/// <param name="Known">What the note says; null when it cannot be read: it is another release's, or damaged.</param>
/// <param name="Version">The version of its document.</param>
internal readonly record struct FoundSubject(ReferredSubject? Known, string Version)
{
    /// <summary>Whether the note has the referrer, or cannot be read: then it must be taken for listed.</summary>
    public bool MayList(Digest referrer) => Known is null || Known.Referrers.Contains(referrer);
}
