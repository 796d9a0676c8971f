using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>
/// What is pushed into an upstream's repositories, where that is allowed: it is the registry's own then, and neither replaced by
/// what the upstream has nor removed with what nobody pulls.
/// </summary>
internal sealed class PushedOver(ResolvedTags resolved, PulledEntries entries)
{
    /// <summary>
    /// Before a manifest is stored: it, what it is made of and its tags are nobody's to change any more. A process that dies
    /// before it is stored leaves tags that the upstream has no say in, until they are pushed or deleted.
    /// </summary>
    public async ValueTask BeginAsync(
        RepositoryName repository,
        Digest digest,
        Manifest manifest,
        IReadOnlyList<Tag> tags,
        CancellationToken cancellationToken)
    {
        foreach (var part in manifest.Blobs.Concat(manifest.Manifests).Select(part => part.Digest).Append(digest))
        {
            if (await entries.ReadAsync(repository, part, cancellationToken) is not null)
            {
                await entries.ForgetAsync(repository, part, cancellationToken);
            }
        }

        foreach (var tag in tags)
        {
            await resolved.SetPushedAsync(repository, tag, cancellationToken);
        }
    }

    /// <summary>It was not stored, or is gone: the upstream is asked again.</summary>
    public async ValueTask UndoAsync(RepositoryName repository, IReadOnlyList<Tag> tags, CancellationToken cancellationToken)
    {
        foreach (var tag in tags)
        {
            await resolved.SetUnsureAsync(repository, tag, cancellationToken);
        }
    }
}
