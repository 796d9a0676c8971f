using System.Runtime.CompilerServices;
using System.Text.Json;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>What an upstream said that a tag names: one document each, which all replicas read with every pull of the tag.</summary>
internal sealed class ResolvedTags(IDocumentStore documents, PulledParts parts)
{
    // For as long as a store hands out the same document again, which it has not read again.
    private readonly ConditionalWeakTable<Document, ResolvedTag> _read = [];

    public async ValueTask<VersionedTag?> ReadAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.ResolvedTag(repository, tag), cancellationToken) is { } document
            ? new VersionedTag(_read.GetValue(document, static read => Deserialize(read.Content.Span)), document.Version)
            : null;

    /// <summary>False when it is not what it was any more: somebody has pushed the tag, or asked for it.</summary>
    /// <param name="repository">Where.</param>
    /// <param name="tag">Of what.</param>
    /// <param name="known">As it was read; null when there was none.</param>
    /// <param name="said">What to write.</param>
    /// <param name="cancellationToken">Of the call.</param>
    /// <remarks>
    /// The tag's reverse entry comes with it, before there is such a tag: clients that ask by HEAD go on by digest, and what they
    /// do not find must lead back to the tag.
    /// </remarks>
    public async ValueTask<bool> WriteAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, ResolvedTag said, CancellationToken cancellationToken)
    {
        if (said.Digest is { } digest && digest != known?.Tag.Digest)
        {
            await documents.WriteAsync(
                RegistryLayout.Tagged(repository, digest, tag),
                ReadOnlyMemory<byte>.Empty,
                WriteCondition.None,
                Durability.Atomic,
                cancellationToken);
        }

        return await WriteAsync(
            repository, tag, said, known is { } read ? WriteCondition.Unchanged(read.Version) : WriteCondition.Absent, cancellationToken);
    }

    /// <summary>To be called before a tag is pushed: the upstream has no say in it from here on.</summary>
    public async ValueTask SetPushedAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await WriteAsync(repository, tag, ResolvedTag.Pushed, WriteCondition.None, cancellationToken);

    /// <summary>The upstream is asked with the next pull.</summary>
    public async ValueTask SetUnsureAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await WriteAsync(repository, tag, ResolvedTag.Unsure, WriteCondition.None, cancellationToken);

    public async ValueTask DeleteAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await documents.DeleteAsync(
            RegistryLayout.ResolvedTag(repository, tag), WriteCondition.None, Durability.Synced, cancellationToken);

    /// <summary>Takes away what is known of a tag that there is not, unless somebody has just asked for it.</summary>
    public async ValueTask DeleteAsync(
        RepositoryName repository, Tag tag, VersionedTag known, CancellationToken cancellationToken)
    {
        if (await documents.DeleteAsync(
                RegistryLayout.ResolvedTag(repository, tag),
                WriteCondition.Unchanged(known.Version),
                Durability.Synced,
                cancellationToken)
            && known.Tag.Digest is { } digest)
        {
            await documents.DeleteAsync(
                RegistryLayout.Tagged(repository, digest, tag), WriteCondition.None, Durability.Atomic, cancellationToken);
        }
    }

    /// <summary>
    /// The upstream does not have this content any more: tags that lead to it are asked for with the next pull, however fresh
    /// they are. Nothing else is touched.
    /// </summary>
    public async ValueTask DoubtAsync(RepositoryName repository, Digest gone, CancellationToken cancellationToken)
    {
        foreach (var digest in await parts.WholesAsync(repository, gone, cancellationToken))
        {
            foreach (var name in await documents.ListAsync(
                RegistryLayout.Tagged(repository, digest), null, int.MaxValue, cancellationToken))
            {
                if (Tag.TryParse(name, out var tag)
                    && await ReadAsync(repository, tag, cancellationToken) is { Tag: { IsPushed: false } said } known
                    && said.Digest == digest)
                {
                    await WriteAsync(repository, tag, known, said with { IsDoubted = true }, cancellationToken);
                }
            }
        }
    }

    public ValueTask<IReadOnlyList<string>> ListAsync(
        RepositoryName repository, string? after, int limit, CancellationToken cancellationToken) =>
        documents.ListAsync(RegistryLayout.ResolvedTags(repository), after, limit, cancellationToken);

    private async ValueTask<bool> WriteAsync(
        RepositoryName repository, Tag tag, ResolvedTag said, WriteCondition condition, CancellationToken cancellationToken) =>
        await documents.WriteAsync(
            RegistryLayout.ResolvedTag(repository, tag),
            JsonSerializer.SerializeToUtf8Bytes(said, PulledJson.Default.ResolvedTag),
            condition,
            Durability.Synced,
            cancellationToken) is not null;

    private static ResolvedTag Deserialize(ReadOnlySpan<byte> content)
    {
        try
        {
            return JsonSerializer.Deserialize(content, PulledJson.Default.ResolvedTag) ?? ResolvedTag.Unsure;
        }
        catch (JsonException)
        {
            return ResolvedTag.Unsure; // another release's, or a damaged one: the upstream is asked again
        }
    }
}

internal readonly record struct VersionedTag(ResolvedTag Tag, string Version);

/// <summary>What is known of a tag in an upstream's repository.</summary>
/// <param name="Digest">What the upstream said that it names; null when it did not say.</param>
/// <param name="Checked">When it said so.</param>
internal sealed record ResolvedTag(Digest? Digest, DateTimeOffset Checked)
{
    public static ResolvedTag Unsure { get; } = new(null, default);

    /// <summary>Pushed here: the upstream has no say in it for as long as there is such a tag.</summary>
    public static ResolvedTag Pushed { get; } = new(null, default) { IsPushed = true };

    public bool IsPushed { get; init; }

    /// <summary>Something that it is made of was found to be gone.</summary>
    public bool IsDoubted { get; init; }

    /// <summary>The manifest's, as the upstream says: for a HEAD of what was never fetched.</summary>
    public string? MediaType { get; init; }

    /// <summary>The manifest's bytes, likewise.</summary>
    public long? Length { get; init; }
}

/// <summary>What the upstream listed as referrers of a subject, and when.</summary>
internal sealed record ReferredSubject(DateTimeOffset Checked, IReadOnlyList<Digest> Referrers);
