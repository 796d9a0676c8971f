using System.Text.Json;
using Microsoft.Extensions.Options;
using OciRegistry.Repositories;
using OciRegistry.Storage;

namespace OciRegistry.PullThrough;

/// <summary>
/// Referrers of an upstream's manifests. What the upstream lists is put among those that are here, and taken out when it lists
/// it no more, so that one list has both and answers when the upstream does not.
/// </summary>
internal sealed class PulledReferrers(
    ReferrerIndex referrers,
    ManifestStore manifests,
    PulledEntries entries,
    PulledRepositories repositories,
    RecentlyUnknown unknown,
    ReferredSubjects subjects,
    IOptions<OciRegistryOptions> options,
    StoreClock clock)
{
    private const int MaxRequests = 20;
    private const int MaxTries = 3;
    private const int MaxTagLength = 64;

    private readonly SingleFlight<(RepositoryName, Digest), UpstreamFailure?> _refreshes = new();

    /// <summary>
    /// Asks the upstream when that was long ago. A failure, other than 404, means that the list may be old. That it lists nothing
    /// is remembered by each replica for itself: clients ask for referrers of whatever they pull, and most has none.
    /// </summary>
    public async ValueTask<UpstreamFailure?> RefreshAsync(
        Upstream upstream, RepositoryName repository, Digest subject, CancellationToken cancellationToken)
    {
        var there = upstream.NameThere(repository);
        if (!upstream.Allows(there)
            || unknown.Contains(repository, ResourceOf(subject))
            || IsFresh(upstream, await subjects.FindAsync(repository, subject, cancellationToken)))
        {
            return null;
        }

        return await _refreshes.RunAsync(
            (repository, subject), () => RefreshAsync(upstream, repository, subject, there), cancellationToken);
    }

    /// <summary>Takes out what was listed by the upstream and not asked for since; for the sweep.</summary>
    public async ValueTask ExpireAsync(Upstream upstream, RepositoryName repository, DateTimeOffset now, CancellationToken cancellationToken)
    {
        foreach (var name in await subjects.ListAsync(repository, cancellationToken))
        {
            if (Digest.TryParse(name, out var subject)
                && await subjects.FindAsync(repository, subject, cancellationToken) is { Known: { } known } found
                && now - known.Checked > upstream.Options.ContentTtl)
            {
                await RemoveAsync(repository, subject, known.Referrers, found.Version, cancellationToken);

                // By version: a note that a request has written since lists what it has added.
                await subjects.DeleteAsync(repository, subject, found.Version, cancellationToken);
            }
        }
    }

    private async Task<UpstreamFailure?> RefreshAsync(
        Upstream upstream, RepositoryName repository, Digest subject, string there)
    {
        var (listed, failure) = await AskAsync(upstream, there, ResourceOf(subject));
        if (failure?.Outcome == UpstreamOutcome.Unknown)
        {
            // A registry without the API: clients keep the list under a tag (spec.md#referrers-tag-schema).
            (listed, failure) = await AskAsync(upstream, there, $"manifests/{TagOf(subject)}");
        }

        if (failure is not null && failure.Outcome != UpstreamOutcome.Unknown)
        {
            return failure;
        }

        await StoreAsync(upstream, repository, subject, listed ?? []);
        return null;
    }

    /// <remarks>
    ///   (1) note what was listed and what is listed now   what was put in and not noted would be removed by the next list
    ///   (2) put in what is listed now, and take out what is not any more
    ///   (3) note what is listed now
    /// Each note replaces the one that was read. Where another refresh has ended since, its answer counts: it may be the newer
    /// one. Where another runs, or a sweep has taken the note of (1), the next try puts in again what they may have taken out.
    /// A process that dies after (1) leaves a note that is as old as before, so that the upstream is asked again, and that has all
    /// that may have an entry.
    /// </remarks>
    private async ValueTask StoreAsync(
        Upstream upstream, RepositoryName repository, Digest subject, IReadOnlyList<Descriptor> now)
    {
        var listedNow = now.Select(referrer => referrer.Digest).ToHashSet();
        for (var tries = 0; tries < MaxTries; tries++)
        {
            var found = await subjects.FindAsync(repository, subject, CancellationToken.None);
            if (tries > 0 && IsFresh(upstream, found))
            {
                return;
            }

            var (then, before) = (found?.Known?.Checked ?? default, found?.Known?.Referrers ?? []);
            if (now.Count + before.Count == 0)
            {
                unknown.Add(repository, ResourceOf(subject), upstream.Options.TagTtl);
                return;
            }

            // (1)
            var both = new ReferredSubject(then, [.. before, .. listedNow]);
            if (await subjects.WriteAsync(repository, subject, both, found?.Version, CancellationToken.None) is not { } noted)
            {
                continue;
            }

            // (2)
            await repositories.AddAsync(repository, CancellationToken.None);
            foreach (var referrer in now)
            {
                await referrers.AddAsync(repository, subject, referrer, CancellationToken.None);
            }

            await RemoveAsync(
                repository, subject, before.Where(digest => !listedNow.Contains(digest)), noted, CancellationToken.None);

            // (3)
            var after = new ReferredSubject(clock.Now, listedNow);
            if (await subjects.WriteAsync(repository, subject, after, noted, CancellationToken.None) is not null)
            {
                return;
            }
        }
    }

    private bool IsFresh(Upstream upstream, FoundSubject? found) =>
        found?.Known is { } known && (clock.Now - known.Checked).Duration() < upstream.Options.TagTtl;

    private async ValueTask<(IReadOnlyList<Descriptor>? Listed, UpstreamFailure? Failure)> AskAsync(
        Upstream upstream, string there, string resource)
    {
        var listed = new Dictionary<Digest, Descriptor>();
        var asked = new HashSet<string>(); // a page that leads back to another would be a list without an end
        var began = upstream.Client.Begin();
        for (var next = resource; next is not null && asked.Count < MaxRequests && asked.Add(next);)
        {
            var (answer, content) = await upstream.Client.ReadAsync(
                HttpMethod.Get,
                there,
                next,
                static request => request.Headers.TryAddWithoutValidation("Accept", MediaTypes.ImageIndex),
                options.Value.Manifests.MaxSize,
                began,
                CancellationToken.None);
            using var answered = answer;
            if (answer.Response is not { } response)
            {
                return (null, UpstreamFailure.Of(answer));
            }

            if (content is null || !TryRead(content, listed))
            {
                return (null, UpstreamFailure.Wrong(upstream, "has a list of referrers that is none, or too long."));
            }

            next = UpstreamLink.NextQuery(response) is { } query ? $"{resource}?{query}" : null;
        }

        return ([.. listed.Values], null);
    }

    private static bool TryRead(byte[] content, Dictionary<Digest, Descriptor> listed)
    {
        try
        {
            using var json = JsonDocument.Parse(content);
            if (json.RootElement.ValueKind != JsonValueKind.Object
                || !json.RootElement.TryGetProperty("manifests", out var list)
                || list.ValueKind is not (JsonValueKind.Array or JsonValueKind.Null))
            {
                return false;
            }

            if (list.ValueKind == JsonValueKind.Null)
            {
                return true; // an empty list of a registry in Go
            }

            foreach (var descriptor in list.EnumerateArray().Select(ReadDescriptor).OfType<Descriptor>())
            {
                listed[descriptor.Digest] = descriptor;
            }

            return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) // the latter: half a character
        {
            return false;
        }
    }

    /// <summary>Null for an entry that is none: it must not hide the others, because whoever may push there can add one.</summary>
    private static Descriptor? ReadDescriptor(JsonElement entry)
    {
        try
        {
            return entry.Deserialize(ReferrerJson.Default.Descriptor) is { MediaType: not null, Size: >= 0 } read
                && read.Digest != default
                ? read
                : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>
    /// Removes entries of manifests that were not pushed here, while the note is still the one that says so. The version of an
    /// entry is read before either is looked for: a push writes the manifest first and a refresh the note, so their entry has
    /// another version, or its manifest or note is found.
    /// </summary>
    private async ValueTask RemoveAsync(
        RepositoryName repository, Digest subject, IEnumerable<Digest> gone, string noted, CancellationToken cancellationToken)
    {
        foreach (var digest in gone)
        {
            var version = await referrers.VersionAsync(repository, subject, digest, cancellationToken);
            if ((await subjects.FindAsync(repository, subject, cancellationToken))?.Version != noted)
            {
                return;
            }

            var isPushed = await manifests.GetAsync(repository, digest, cancellationToken) is not null
                && !await entries.IsCachedAsync(repository, digest, cancellationToken);
            if (!isPushed && version is not null)
            {
                await referrers.RemoveAsync(repository, subject, digest, version, cancellationToken);
            }
        }
    }

    private static string ResourceOf(Digest subject) => $"referrers/{subject}";

    private static string TagOf(Digest subject) =>
        $"{subject.Algorithm.Name()}-{subject.Hex[..Math.Min(subject.Hex.Length, MaxTagLength)]}";
}
