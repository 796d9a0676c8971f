using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>What an upstream said that a tag names: one document each, which all replicas read with every pull of the tag.</summary>
internal sealed class ResolvedTags(IDocumentStore documents, PulledParts parts, PulledRepositories repositories, StoreClock clock)
{
    // For as long as a store hands out the same document again, which it has not read again.
    private readonly ConditionalWeakTable<Document, ResolvedTag> _read = [];

    public async ValueTask<VersionedTag?> ReadAsync(RepositoryName repository, Tag tag, CancellationToken cancellationToken) =>
        await documents.ReadAsync(RegistryLayout.ResolvedTag(repository, tag), cancellationToken) is { } document
            ? new VersionedTag(_read.GetValue(document, static read => Deserialize(read.Content.Span)), document.Version)
            : null;

    /// <summary>
    /// False when it is not what it was any more: somebody has pushed the tag, or asked for it. What a push has noted is never
    /// replaced: its tag may just not be there yet.
    /// </summary>
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
        if (known is { Tag.IsPushed: true })
        {
            return false;
        }

        if (said.Digest is { } digest && digest != known?.Tag.Digest)
        {
            await documents.WriteAsync(
                RegistryLayout.Tagged(repository, digest, tag),
                ReadOnlyMemory<byte>.Empty,
                WriteCondition.None,
                Durability.Atomic,
                cancellationToken);
        }

        return await ReplaceAsync(repository, tag, known, said, cancellationToken);
    }

    /// <summary>To be called before a tag is pushed: from now on the upstream does not change it.</summary>
    /// <param name="repository">Where.</param>
    /// <param name="tag">Which.</param>
    /// <param name="push">The name of the push, for <see cref="UndoPushedAsync"/> when it fails.</param>
    /// <param name="cancellationToken">Of the call.</param>
    /// <returns>The run of pushes, for <see cref="TryEndPushAsync"/>.</returns>
    public async ValueTask<string> SetPushedAsync(
        RepositoryName repository, Tag tag, string push, CancellationToken cancellationToken)
    {
        while (true)
        {
            var before = await ReadAsync(repository, tag, cancellationToken);
            var pushed = Pushed(before?.Tag, push, before?.Tag.Run ?? UniqueId.New().ToString("n"));
            if (await ReplaceAsync(repository, tag, before, pushed, cancellationToken))
            {
                return pushed.Run!;
            }
        }
    }

    /// <summary>
    /// To be called once a tag is pushed. False when its note has not said so all the time since it was set: then a pull may
    /// have pointed it elsewhere.
    /// </summary>
    public async ValueTask<bool> TryEndPushAsync(
        RepositoryName repository, Tag tag, string run, CancellationToken cancellationToken)
    {
        while (await ReadAsync(repository, tag, cancellationToken) is { } known && known.Tag.Run == run)
        {
            if (await ReplaceAsync(repository, tag, known, Pushed(known.Tag, push: null, run), cancellationToken))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Restores what was known of a tag before a push that has failed, unless another push has noted it since.</summary>
    public async ValueTask UndoPushedAsync(
        RepositoryName repository, Tag tag, string push, CancellationToken cancellationToken)
    {
        if (await ReadAsync(repository, tag, cancellationToken) is { } known && known.Tag.Push == push)
        {
            await ReplaceAsync(repository, tag, known, known.Tag.Before, cancellationToken);
        }
    }

    /// <summary>The upstream is asked with the next pull, unless the tag was pushed since <paramref name="known"/> was read.</summary>
    public async ValueTask SetUnsureAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, CancellationToken cancellationToken) =>
        await ReplaceAsync(repository, tag, known, ResolvedTag.Unsure, cancellationToken);

    /// <summary>Deletes what is known of a tag that is missing, unless the tag was pushed or resolved since.</summary>
    public async ValueTask DeleteAsync(
        RepositoryName repository, Tag tag, VersionedTag known, CancellationToken cancellationToken) =>
        await ReplaceAsync(repository, tag, known, said: null, cancellationToken);

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

    private ResolvedTag Pushed(ResolvedTag? before, string? push, string run)
    {
        // Another push that has not ended has what was known before it. After one that has, and where it is not known whether
        // there was one, the tag stays pushed.
        var mayBePushed = before is { IsPushed: true, Push: null } or { IsDamaged: true };
        return new ResolvedTag(null, clock.Now)
        {
            IsPushed = true,
            Run = run,
            Push = mayBePushed ? null : push,
            Before = push is null || mayBePushed ? null : before is { IsPushed: true } ? before.Before : before,
        };
    }

    /// <summary>
    /// Writes what is known of a tag, or deletes it where that is nothing, unless it has changed since. Reverse entries of what is
    /// not said any more go, so that a tag has not one for each move of it.
    /// </summary>
    /// <remarks>
    /// The versions of the entries are read before the note is replaced. A pull that says the same again writes the entry anew
    /// after it has read the new note, or fails to replace the former one. The entry of a manifest that is here stays, because its
    /// tag or a push may need it: it goes with the manifest. A process that dies, or a storage that fails, after the note was
    /// replaced leaves one empty document.
    /// </remarks>
    private async ValueTask<bool> ReplaceAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, ResolvedTag? said, CancellationToken cancellationToken)
    {
        var former = new List<(Digest Digest, string Version)>();
        foreach (var digest in NamedBy(known?.Tag).Except(NamedBy(said)))
        {
            if (await documents.ReadAsync(RegistryLayout.Tagged(repository, digest, tag), cancellationToken) is { } reverse)
            {
                former.Add((digest, reverse.Version));
            }
        }

        if (!await ReplaceNoteAsync(repository, tag, known, said, cancellationToken))
        {
            return false;
        }

        try
        {
            foreach (var (digest, version) in former)
            {
                if (!await documents.ExistsAsync(RegistryLayout.Manifest(repository, digest), cancellationToken))
                {
                    await documents.DeleteAsync(
                        RegistryLayout.Tagged(repository, digest, tag),
                        WriteCondition.Unchanged(version),
                        Durability.Atomic,
                        cancellationToken);
                }
            }
        }
        catch (StorageException)
        {
            // The note is replaced, and that is what the request is about.
        }

        return true;
    }

    private async ValueTask<bool> ReplaceNoteAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, ResolvedTag? said, CancellationToken cancellationToken)
    {
        var key = RegistryLayout.ResolvedTag(repository, tag);
        var condition = known is { } read ? WriteCondition.Unchanged(read.Version) : WriteCondition.Absent;
        if (said is null)
        {
            return await documents.DeleteAsync(key, condition, Durability.Synced, cancellationToken);
        }

        var content = JsonSerializer.SerializeToUtf8Bytes(said, PulledJson.Default.ResolvedTag);
        var isWritten = await documents.WriteAsync(key, content, condition, Durability.Synced, cancellationToken) is not null;
        if (isWritten && known is null)
        {
            await repositories.AddAsync(repository, cancellationToken);
        }

        return isWritten;
    }

    /// <summary>What a note says that the upstream's tag names, also when it is put aside for a push.</summary>
    private static IEnumerable<Digest> NamedBy(ResolvedTag? tag) =>
        new[] { tag?.Digest, tag?.Before?.Digest }.OfType<Digest>();

    private static ResolvedTag Deserialize(ReadOnlySpan<byte> content)
    {
        try
        {
            return JsonSerializer.Deserialize(content, PulledJson.Default.ResolvedTag) ?? ResolvedTag.Damaged;
        }
        catch (JsonException)
        {
            return ResolvedTag.Damaged; // of another release, or damaged
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

    /// <summary>
    /// For a tag whose own note does not say that it was pushed, and cannot: the upstream has no say in it for as long as there
    /// is such a tag.
    /// </summary>
    public static ResolvedTag Pushed { get; } = new(null, default) { IsPushed = true };

    /// <summary>Its document cannot be read, so it is not known whether the tag was pushed.</summary>
    public static ResolvedTag Damaged { get; } = new(null, default) { IsDamaged = true };

    /// <summary>
    /// A client has pushed it, or begun to: <see cref="Checked"/> says when. The upstream has no say in it for as long as there is
    /// such a tag.
    /// </summary>
    public bool IsPushed { get; init; }

    /// <summary>The push that has begun, and not ended yet; null when it has, or may have.</summary>
    public string? Push { get; init; }

    /// <summary>
    /// The same for as long as the tag stays pushed, by whomever: nobody has given it back to the upstream in between. Null where
    /// it is not pushed, or was by a former release.
    /// </summary>
    public string? Run { get; init; }

    /// <summary>What was known before that push; null when nothing was.</summary>
    public ResolvedTag? Before { get; init; }

    [JsonIgnore]
    public bool IsDamaged { get; init; }

    /// <summary>Something that it is made of was found to be gone.</summary>
    public bool IsDoubted { get; init; }

    /// <summary>The manifest's, as the upstream says: for a HEAD of what was never fetched.</summary>
    public string? MediaType { get; init; }

    /// <summary>The manifest's bytes, likewise.</summary>
    public long? Length { get; init; }
}
