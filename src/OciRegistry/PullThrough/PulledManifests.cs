using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Manifests of an upstream's repositories. What a digest names never changes, so it is fetched once; what a tag names is
/// asked for again when it is older than <see cref="UpstreamOptions.TagTtl"/>.
/// </summary>
/// <remarks>
/// A tag:
///   (1) pushed here                                  it is served, whatever the upstream has
///   (2) said to be so a moment ago                   what it names is served, or fetched by digest; when the upstream does
///                                                    not have that any more, (3) in the same request, once
///   (3) the upstream is asked                        by HEAD, which counts against nobody's limits, while we have what the tag
///                                                    named; else by GET, which brings the content along
///   (4) 404                                          the tag goes, and nothing else
///   (5) no answer that proves anything               what the tag named is served, and said to be old
/// The note of what a tag names is written before the tag: a tag without a note was pushed.
/// </remarks>
internal sealed partial class PulledManifests(
    ManifestStore manifests,
    TagStore tags,
    ResolvedTags resolved,
    PulledEntries entries,
    PulledParts parts,
    PushedParts pushedParts,
    RecentlyUnknown unknown,
    IOptions<OciRegistryOptions> options,
    StoreClock clock,
    ILogger<PulledManifests> log)
{
    private static readonly string[] Accepted =
        [MediaTypes.ImageIndex, MediaTypes.DockerManifestList, MediaTypes.ImageManifest, MediaTypes.DockerManifest];

    private readonly SingleFlight<(RepositoryName, string), Fetched> _fetches = new();
    private readonly SingleFlight<(RepositoryName, Tag, bool), Pulled<PulledManifest>> _resolutions = new();

    /// <summary>What a reference names. Without <paramref name="withContent"/> an answer may come without its bytes.</summary>
    public ValueTask<Pulled<PulledManifest>> GetAsync(
        Upstream upstream,
        RepositoryName repository,
        Reference reference,
        bool withContent,
        CancellationToken cancellationToken)
    {
        var there = upstream.NameThere(repository);
        return !upstream.Allows(there) ? new(Pulled<PulledManifest>.Failed(Closed(there)))
            : reference.Tag is { } tag ? GetAsync(upstream, repository, tag, withContent, cancellationToken)
            : GetAsync(upstream, repository, reference.Digest!.Value, withContent, cancellationToken);
    }

    public static OciError Closed(string there) => OciError.Denied(
        $"The operator of this registry does not let {there} be pulled through it. Ask for it to be added to the upstream's Allow, "
        + "or taken out of its Deny.");

    private async ValueTask<Pulled<PulledManifest>> GetAsync(
        Upstream upstream, RepositoryName repository, Digest digest, bool withContent, CancellationToken cancellationToken)
    {
        if (await manifests.GetAsync(repository, digest, cancellationToken) is { } stored)
        {
            return await HitAsync(upstream, repository, stored, cancellationToken);
        }

        upstream.Traffic.Missed();
        var (head, failure) = withContent ? default : await HeadAsync(upstream, repository, digest, null, cancellationToken);
        if (head is null && failure is null)
        {
            var fetched = await FetchAsync(upstream, repository, digest, cancellationToken);
            (head, failure) = (fetched.Manifest is { } manifest ? PulledManifest.Of(manifest) : null, fetched.Failure);
        }

        return head is not null
            ? Pulled<PulledManifest>.Of(head)
            : failure!.For<PulledManifest>(OciError.ManifestUnknown(digest));
    }

    private async ValueTask<Pulled<PulledManifest>> GetAsync(
        Upstream upstream, RepositoryName repository, Tag tag, bool withContent, CancellationToken cancellationToken)
    {
        var (stored, known) = await LookAsync(repository, tag, cancellationToken);

        // (1)
        if (stored is not null && known is null or { Tag.IsPushed: true })
        {
            return Pulled<PulledManifest>.Of(PulledManifest.Of(stored!));
        }

        // (2)
        if (known is { Tag: { Digest: { } digest, IsDoubted: false } said } && (clock.Now - said.Checked).Duration() < upstream.Options.TagTtl)
        {
            if (stored?.Digest == digest)
            {
                return await HitAsync(upstream, repository, stored, cancellationToken);
            }

            // docker and containerd ask for a tag by HEAD, and for the content by its digest.
            if (await manifests.GetAsync(repository, digest, cancellationToken) is { } here)
            {
                await SetAsync(repository, tag, known, said, cancellationToken);
                return await HitAsync(upstream, repository, here, cancellationToken);
            }

            if (!withContent && said is { Length: { } length, MediaType: { } mediaType })
            {
                return Pulled<PulledManifest>.Of(new PulledManifest(digest, mediaType, length, null));
            }

            upstream.Traffic.Missed();
            var fetched = await FetchAsync(upstream, repository, digest, cancellationToken);
            if (fetched.Manifest is { } manifest)
            {
                await SetAsync(repository, tag, known, said, cancellationToken);
                return Pulled<PulledManifest>.Of(PulledManifest.Of(manifest));
            }

            if (fetched.Failure!.Outcome != UpstreamOutcome.Unknown)
            {
                return await OldAsync(upstream, repository, stored, said, fetched.Failure, tag);
            }
        }

        return await _resolutions.RunAsync(
            (repository, tag, withContent), () => ResolveAsync(upstream, repository, tag, withContent), cancellationToken);
    }

    /// <summary>What a tag names here, and what is known of it.</summary>
    /// <remarks>
    /// A pushed tag that cannot be read fails the request, as anywhere: there is nothing to repair it from. The note of a tag
    /// is what the upstream said: with it, a damaged tag is resolved again. A damaged note does not tell whether the tag was
    /// pushed; it was, if its manifest has no note of being cached.
    /// </remarks>
    private async ValueTask<(StoredManifest? Stored, VersionedTag? Known)> LookAsync(
        RepositoryName repository, Tag tag, CancellationToken cancellationToken)
    {
        var found = await tags.FindAsync(repository, tag, cancellationToken);
        var known = await resolved.ReadAsync(repository, tag, cancellationToken);
        var digest = found is { } there && known is null or { Tag: { IsPushed: true } or { IsDamaged: true } }
            ? there.Read().Digest
            : found?.Digest;
        var stored = digest is { } named ? await manifests.GetAsync(repository, named, cancellationToken) : null;
        if (found is not null && stored is null)
        {
            await manifests.TryRemoveIfDanglingAsync(repository, tag);
        }

        if (known is { Tag.IsDamaged: true } damaged && stored is not null
            && !await entries.IsCachedAsync(repository, stored.Digest, cancellationToken))
        {
            known = damaged with { Tag = ResolvedTag.Pushed };
        }

        return (stored, known);
    }

    /// <summary>Nobody's request: it goes on when whoever asked leaves, and is bounded by the upstream's time-outs.</summary>
    private async Task<Pulled<PulledManifest>> ResolveAsync(
        Upstream upstream, RepositoryName repository, Tag tag, bool withContent)
    {
        var cancellationToken = CancellationToken.None;
        var (stored, known) = await LookAsync(repository, tag, cancellationToken);
        if (stored is null && known is { Tag: { IsPushed: true, Push: null } } left
            && await tags.FindAsync(repository, tag, cancellationToken) is null)
        {
            // A delete of the tag has failed before it took the note along. A push that is under way notes it again.
            await resolved.SetUnsureAsync(repository, tag, left, cancellationToken);
            known = await resolved.ReadAsync(repository, tag, cancellationToken);
        }

        var isCurrent = stored is not null && known?.Tag.Digest == stored.Digest;

        // (3)
        if (withContent && !isCurrent)
        {
            return await FetchTagAsync(upstream, repository, tag, known, stored);
        }

        var (head, failure) = await HeadAsync(upstream, repository, tag, isCurrent ? stored : null, cancellationToken);
        if (failure is not null)
        {
            return await FailedAsync(upstream, repository, tag, known, stored, failure);
        }

        if (head is null)
        {
            return await FetchTagAsync(upstream, repository, tag, known, stored);
        }

        var said = new ResolvedTag(head.Digest, clock.Now) { MediaType = head.MediaType, Length = head.Length };
        if (await manifests.GetAsync(repository, head.Digest, cancellationToken) is { } here)
        {
            await SetAsync(repository, tag, known, said, cancellationToken);
            return await HitAsync(upstream, repository, here, cancellationToken);
        }

        upstream.Traffic.Missed();
        if (!withContent)
        {
            await resolved.WriteAsync(repository, tag, known, said, cancellationToken);
            return Pulled<PulledManifest>.Of(head);
        }

        var fetched = await FetchAsync(upstream, repository, head.Digest, cancellationToken);
        if (fetched.Manifest is not { } manifest)
        {
            return fetched.Failure!.Outcome == UpstreamOutcome.Unknown
                ? fetched.Failure.For<PulledManifest>(OciError.ManifestUnknown(tag))
                : await OldAsync(upstream, repository, stored, known?.Tag, fetched.Failure, tag);
        }

        await SetAsync(repository, tag, known, said, cancellationToken);
        return Pulled<PulledManifest>.Of(PulledManifest.Of(manifest));
    }

    private async Task<Pulled<PulledManifest>> FetchTagAsync(
        Upstream upstream, RepositoryName repository, Tag tag, VersionedTag? known, StoredManifest? stored)
    {
        upstream.Traffic.Missed();
        var fetched = await FetchAsync(upstream, repository, tag, CancellationToken.None);
        if (fetched.Manifest is not { } manifest)
        {
            return await FailedAsync(upstream, repository, tag, known, stored, fetched.Failure!);
        }

        await SetAsync(repository, tag, known, new ResolvedTag(manifest.Digest, clock.Now), CancellationToken.None);
        return Pulled<PulledManifest>.Of(PulledManifest.Of(manifest));
    }

    private async ValueTask<Pulled<PulledManifest>> FailedAsync(
        Upstream upstream, RepositoryName repository, Tag tag, VersionedTag? known, StoredManifest? stored, UpstreamFailure failure)
    {
        if (failure.Outcome != UpstreamOutcome.Unknown)
        {
            return await OldAsync(upstream, repository, stored, known?.Tag, failure, tag); // (5)
        }

        // (4) the tag's version, then the note: a push writes them the other way round
        if (known?.Tag.Digest is { } named
            && await tags.FindAsync(repository, tag, CancellationToken.None) is { } entry && entry.Digest == named
            && await resolved.ReadAsync(repository, tag, CancellationToken.None) is { } note && note.Version == known.Value.Version
            && await tags.DeleteAsync(repository, tag, entry.Version, CancellationToken.None))
        {
            LogGone(log, tag, repository, upstream.Options.Prefix);
        }

        if (known is { Tag.IsPushed: false } read)
        {
            await resolved.DeleteAsync(repository, tag, read, CancellationToken.None);
        }

        return failure.For<PulledManifest>(OciError.ManifestUnknown(tag));
    }

    private async ValueTask<Pulled<PulledManifest>> OldAsync(
        Upstream upstream, RepositoryName repository, StoredManifest? stored, ResolvedTag? said, UpstreamFailure failure, Tag tag)
    {
        // docker and containerd ask for a tag by HEAD, and for the content by its digest: the tag does not name it here yet.
        if (said?.Digest is { } digest && digest != stored?.Digest)
        {
            stored = await manifests.GetAsync(repository, digest, CancellationToken.None) ?? stored;
        }

        if (stored is null || said is null)
        {
            return failure.For<PulledManifest>(OciError.ManifestUnknown(tag));
        }

        upstream.Traffic.ServedStale();
        upstream.Traffic.Hit(stored.Content.Length);
        return Pulled<PulledManifest>.Of(PulledManifest.Of(stored) with
        {
            IsOld = true,
            Age = said.Checked == default ? null : clock.Now - said.Checked, // nobody has asked for this tag yet
        });
    }

    private async ValueTask<Pulled<PulledManifest>> HitAsync(
        Upstream upstream, RepositoryName repository, StoredManifest stored, CancellationToken cancellationToken)
    {
        upstream.Traffic.Hit(stored.Content.Length);
        await entries.TouchAsync(upstream, repository, stored.Digest, cancellationToken);
        return Pulled<PulledManifest>.Of(PulledManifest.Of(stored));
    }

    /// <summary>
    /// Notes what the upstream says and points the tag there, unless somebody has pushed the tag, or another replica has asked,
    /// since <paramref name="known"/> was read.
    /// </summary>
    private async ValueTask SetAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, ResolvedTag said, CancellationToken cancellationToken)
    {
        try
        {
            await TrySetAsync(repository, tag, known, said, cancellationToken);
        }
        catch (StorageException e)
        {
            LogNotSet(log, e, tag, repository); // on a full disk, say: what the upstream has just said is right all the same
        }
    }

    private async ValueTask TrySetAsync(
        RepositoryName repository, Tag tag, VersionedTag? known, ResolvedTag said, CancellationToken cancellationToken)
    {
        var entry = await tags.FindAsync(repository, tag, cancellationToken);
        if (!await resolved.WriteAsync(repository, tag, known, said, cancellationToken) || entry?.Digest == said.Digest)
        {
            return;
        }

        await tags.WriteAsync(
            repository,
            tag,
            said.Digest!.Value,
            entry is { } present ? WriteCondition.Unchanged(present.Version) : WriteCondition.Absent,
            cancellationToken);
    }

    /// <summary>What the upstream says of a manifest without sending it; neither head nor failure where only a GET can tell.</summary>
    /// <remarks>
    /// Old registries leave the digest out of a HEAD, proxies the length, and some servers have no HEAD at all. A client takes the head
    /// for that of the GET, so it must be complete.
    /// </remarks>
    private async ValueTask<(PulledManifest? Head, UpstreamFailure? Failure)> HeadAsync(
        Upstream upstream, RepositoryName repository, Reference reference, StoredManifest? stored, CancellationToken cancellationToken)
    {
        var resource = $"manifests/{reference}";
        if (unknown.Contains(repository, resource))
        {
            return (null, UpstreamFailure.Unknown);
        }

        var (answer, _) = await upstream.Client.ReadAsync(
            HttpMethod.Head,
            upstream.NameThere(repository),
            resource,
            request =>
            {
                Accept(request);
                if (stored is not null)
                {
                    request.Headers.TryAddWithoutValidation("If-None-Match", $"\"{stored.Digest}\"");
                }
            },
            limit: 0,
            upstream.Client.Begin(),
            cancellationToken);
        using var answered = answer;
        if (answer.IsOfHeadAlone)
        {
            return (null, null);
        }

        if (answer.Response is not { } response)
        {
            await NoteAsync(repository, resource, reference.Digest, answer, cancellationToken);
            return (null, UpstreamFailure.Of(answer));
        }

        if (stored is not null && response.StatusCode == System.Net.HttpStatusCode.NotModified)
        {
            return (PulledManifest.Of(stored), null);
        }

        return DigestOf(response) is { } digest && (reference.Digest ?? digest) == digest
            && response.Content.Headers is { ContentLength: > 0 and var length, ContentType.MediaType: { } type } && Accepted.Contains(type)
            ? (new PulledManifest(digest, type, length, null), null)
            : (null, null);
    }

    private ValueTask<Fetched> FetchAsync(
        Upstream upstream, RepositoryName repository, Reference reference, CancellationToken cancellationToken) =>
        _fetches.RunAsync(
            (repository, reference.ToString()), () => FetchAsync(upstream, repository, reference), cancellationToken);

    private async Task<Fetched> FetchAsync(Upstream upstream, RepositoryName repository, Reference reference)
    {
        var resource = $"manifests/{reference}";
        if (unknown.Contains(repository, resource))
        {
            return new Fetched(null, UpstreamFailure.Unknown);
        }

        // Another flight may have brought it between the look of whoever asked and this one.
        if (reference.Digest is { } asked && await manifests.GetAsync(repository, asked, CancellationToken.None) is { } here)
        {
            return new Fetched(here, null);
        }

        var client = upstream.Client;
        var (answer, content) = await client.ReadAsync(
            HttpMethod.Get,
            upstream.NameThere(repository),
            resource,
            Accept,
            options.Value.Manifests.MaxSize,
            client.Begin(),
            CancellationToken.None);
        using var answered = answer;
        if (answer.Response is not { } response)
        {
            await NoteAsync(repository, resource, reference.Digest, answer, CancellationToken.None);
            return new Fetched(null, UpstreamFailure.Of(answer));
        }

        if (content is null)
        {
            return Wrong($"sends a manifest for {reference} that breaks off, or has more than {options.Value.Manifests.MaxSize} bytes.");
        }

        upstream.Traffic.HasSent(content.Length);
        var digest = reference.Digest ?? DigestOf(response) ?? Digest.Of(content);
        if (Digest.Of(content, digest.Algorithm) != digest)
        {
            LogWrongDigest(log, upstream.Options.Prefix, resource, repository);
            return Wrong($"sends what has another digest for {reference}.");
        }

        var contentType = response.Content.Headers.ContentType?.ToString();
        if (!Manifest.TryParse(content, contentType, out var manifest, out var error))
        {
            // Where no digest vouches for it, it has to be a manifest that every client takes: a page that asks for a login is none.
            if (reference.Digest is null && DigestOf(response) is null)
            {
                return Wrong($"sends no manifest that this registry takes for {reference}: {error.Message}");
            }

            manifest = LenientManifestReader.Read(content, contentType);
        }

        var isKept = await TryKeepPartsAsync();
        var noted = await entries.AddAsync(repository, digest, PulledKind.Manifest, content.Length, CancellationToken.None);
        if (!await manifests.AddAsync(repository, digest, manifest, content, CancellationToken.None) && noted is not null)
        {
            // It was there before its note: a client has pushed it. Another fetch would have noted it first, or since.
            await entries.TakeAsync(repository, digest, noted, CancellationToken.None);
        }

        if (!isKept)
        {
            await TryKeepPartsAsync(); // a push that did not find it yet may have noted it since
        }

        await parts.AddAsync(repository, digest, manifest, CancellationToken.None);
        return new Fetched(new StoredManifest(digest, manifest.MediaType, content), null);

        async ValueTask<bool> TryKeepPartsAsync() => upstream.Options.AllowPush
            && await pushedParts.KeepPartsIfPushedAsync(repository, digest, manifest, CancellationToken.None);

        Fetched Wrong(string what) => new(null, UpstreamFailure.Wrong(upstream, what));
    }

    /// <summary>Remembers a 404, and doubts the tags of what is no more.</summary>
    private async ValueTask NoteAsync(
        RepositoryName repository, string resource, Digest? digest, UpstreamAnswer answer, CancellationToken cancellationToken)
    {
        if (answer.Outcome != UpstreamOutcome.Unknown)
        {
            return;
        }

        unknown.Add(repository, resource);
        if (digest is { } gone)
        {
            await resolved.DoubtAsync(repository, gone, cancellationToken);
        }
    }

    private static void Accept(HttpRequestMessage request)
    {
        foreach (var type in Accepted)
        {
            request.Headers.TryAddWithoutValidation("Accept", type);
        }
    }

    private static Digest? DigestOf(HttpResponseMessage response) =>
        response.Headers.TryGetValues("Docker-Content-Digest", out var values) && Digest.TryParse(values.First(), out var digest)
            ? digest
            : null;

    private sealed record Fetched(StoredManifest? Manifest, UpstreamFailure? Failure);

    [LoggerMessage(LogLevel.Information, "The upstream of {Prefix} has no tag {Tag} in {Repository} any more: it is gone here too.")]
    private static partial void LogGone(ILogger logger, Tag tag, RepositoryName repository, string prefix);

    [LoggerMessage(LogLevel.Warning, "What the upstream says of tag {Tag} in {Repository} cannot be stored. It is asked again with the next pull.")]
    private static partial void LogNotSet(ILogger logger, Exception exception, Tag tag, RepositoryName repository);

    [LoggerMessage(LogLevel.Warning, "The upstream of {Prefix} sent content for {Resource} of {Repository} that has another digest; nothing was kept.")]
    private static partial void LogWrongDigest(ILogger logger, string prefix, string resource, RepositoryName repository);
}

/// <param name="Digest">What it was asked for with, or what its tag names.</param>
/// <param name="MediaType">As the upstream says.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Content">Null where only its head was asked for.</param>
internal sealed record PulledManifest(Digest Digest, string MediaType, long Length, ReadOnlyMemory<byte>? Content)
{
    /// <summary>Whether the upstream does not answer now.</summary>
    public bool IsOld { get; init; }

    /// <summary>How long ago the upstream was last heard of it, when it does not answer now; null when that is not known.</summary>
    public TimeSpan? Age { get; init; }

    public static PulledManifest Of(StoredManifest stored) =>
        new(stored.Digest, stored.MediaType, stored.Content.Length, stored.Content);
}
