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
    IDocumentStore documents,
    IOptions<OciRegistryOptions> options,
    StoreClock clock)
{
    private const int MaxRequests = 20;
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
            || (await ReadAsync(repository, subject, cancellationToken) is { } known
                && (clock.Now - known.Checked).Duration() < upstream.Options.TagTtl))
        {
            return null;
        }

        return await _refreshes.RunAsync(
            (repository, subject), () => RefreshAsync(upstream, repository, subject, there), cancellationToken);
    }

    /// <summary>Takes out what was listed by the upstream and not asked for since; for the sweep.</summary>
    public async ValueTask ExpireAsync(Upstream upstream, RepositoryName repository, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var names = await documents.ListAsync(
            RegistryLayout.ReferredSubjects(repository), null, int.MaxValue, cancellationToken);
        foreach (var name in names)
        {
            if (Digest.TryParse(name, out var subject)
                && await FindAsync(repository, subject, cancellationToken) is { } found
                && now - found.Known.Checked > upstream.Options.ContentTtl)
            {
                await RemoveAsync(repository, subject, found.Known.Referrers, cancellationToken);

                // By version: a note that a request has written since lists what it has added.
                await documents.DeleteAsync(
                    RegistryLayout.ReferredSubject(repository, subject),
                    WriteCondition.Unchanged(found.Version),
                    Durability.Synced,
                    cancellationToken);
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

        var now = listed ?? [];
        var before = (await ReadAsync(repository, subject, CancellationToken.None))?.Referrers ?? [];
        if (now.Count + before.Count == 0)
        {
            unknown.Add(repository, ResourceOf(subject), upstream.Options.TagTtl);
            return null;
        }

        // The note first: what was put in and not noted would never be taken out.
        await WriteAsync(repository, subject, new ReferredSubject(
            default, [.. before.Union(now.Select(referrer => referrer.Digest))]));
        await repositories.AddAsync(repository, CancellationToken.None);
        foreach (var referrer in now)
        {
            await referrers.AddAsync(repository, subject, referrer, CancellationToken.None);
        }

        var listedNow = now.Select(referrer => referrer.Digest).ToHashSet();
        await RemoveAsync(repository, subject, before.Where(digest => !listedNow.Contains(digest)), CancellationToken.None);
        await WriteAsync(repository, subject, new ReferredSubject(clock.Now, [.. listedNow]));
        return null;
    }

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
        catch (JsonException)
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
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>
    /// Removes entries of manifests that were not pushed here. The version of the entry is read before the manifest is looked
    /// for: a push writes the manifest first, so its entry is either found to be pushed or has another version.
    /// </summary>
    private async ValueTask RemoveAsync(
        RepositoryName repository, Digest subject, IEnumerable<Digest> gone, CancellationToken cancellationToken)
    {
        foreach (var digest in gone)
        {
            var version = await referrers.VersionAsync(repository, subject, digest, cancellationToken);
            var isPushed = await manifests.GetAsync(repository, digest, cancellationToken) is not null
                && !await entries.IsCachedAsync(repository, digest, cancellationToken);
            if (!isPushed && version is not null)
            {
                await referrers.RemoveAsync(repository, subject, digest, version, cancellationToken);
            }
        }
    }

    private async ValueTask<ReferredSubject?> ReadAsync(
        RepositoryName repository, Digest subject, CancellationToken cancellationToken) =>
        (await FindAsync(repository, subject, cancellationToken))?.Known;

    private async ValueTask<(ReferredSubject Known, string Version)?> FindAsync(
        RepositoryName repository, Digest subject, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.ReferredSubject(repository, subject), cancellationToken) is not { } document)
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize(document.Content.Span, PulledJson.Default.ReferredSubject) is { } known
                ? (known, document.Version)
                : null;
        }
        catch (JsonException)
        {
            return null; // another release's, or a damaged one: asked for again
        }
    }

    private async ValueTask WriteAsync(RepositoryName repository, Digest subject, ReferredSubject referred) =>
        await documents.WriteAsync(
            RegistryLayout.ReferredSubject(repository, subject),
            JsonSerializer.SerializeToUtf8Bytes(referred, PulledJson.Default.ReferredSubject),
            WriteCondition.None,
            Durability.Synced,
            CancellationToken.None);

    private static string ResourceOf(Digest subject) => $"referrers/{subject}";

    private static string TagOf(Digest subject) =>
        $"{subject.Algorithm.Name()}-{subject.Hex[..Math.Min(subject.Hex.Length, MaxTagLength)]}";
}
