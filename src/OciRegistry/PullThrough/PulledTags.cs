using System.Text.Json;
using OciRegistry.Repositories;

namespace OciRegistry.PullThrough;

/// <summary>The tags of an upstream's repository: those that it has, not those that were pulled.</summary>
internal sealed class PulledTags(TagStore tags)
{
    private const int MaxPageBytes = 4 * 1024 * 1024;
    private const int MaxRequests = 100;
    private const int PageSize = 1_000;

    /// <summary>
    /// Names after <paramref name="after"/> as the upstream orders them, at most <paramref name="limit"/>; those that are here
    /// where it does not answer.
    /// </summary>
    public async ValueTask<(Pulled<IReadOnlyList<string>> Names, bool IsOld)> ListAsync(
        Upstream upstream, RepositoryName repository, string? after, int limit, CancellationToken cancellationToken)
    {
        var there = upstream.NameThere(repository);
        if (!upstream.Allows(there))
        {
            return (Pulled<IReadOnlyList<string>>.Failed(PulledManifests.Closed(there)), false);
        }

        var (names, failure) = await AskAsync(upstream, there, after, limit, cancellationToken);
        if (names is not null)
        {
            return (Pulled<IReadOnlyList<string>>.Of(names), false);
        }

        if (failure!.Outcome != UpstreamOutcome.Unknown
            && await tags.ListAsync(repository, after, limit, cancellationToken) is { Count: > 0 } here)
        {
            upstream.Traffic.ServedStale();
            return (Pulled<IReadOnlyList<string>>.Of(here), true);
        }

        return (failure.For<IReadOnlyList<string>>(OciError.NameUnknown(repository)), false);
    }

    private static async ValueTask<(IReadOnlyList<string>? Names, UpstreamFailure? Failure)> AskAsync(
        Upstream upstream, string there, string? after, int limit, CancellationToken cancellationToken)
    {
        // An upstream may send one page over and over, or one that leads back: no name counts twice, and no page is asked for twice.
        var names = new List<string>();
        var known = new HashSet<string>();
        var asked = new HashSet<string>();
        var began = upstream.Client.Begin();
        var query = $"n={Math.Min(limit, PageSize)}" + (after is null ? "" : $"&last={Uri.EscapeDataString(after)}");
        while (query is not null && names.Count < limit && asked.Count < MaxRequests && asked.Add(query))
        {
            var (answer, content) = await upstream.Client.ReadAsync(
                HttpMethod.Get, there, $"tags/list?{query}", null, MaxPageBytes, began, cancellationToken);
            using var answered = answer;
            if (answer.Response is not { } response)
            {
                return (null, UpstreamFailure.Of(answer));
            }

            if (content is null || !TryRead(content, known, names))
            {
                return (null, UpstreamFailure.Wrong(upstream, "has a list of tags that is none, or too long."));
            }

            query = UpstreamLink.NextQuery(response);
        }

        return (names.Count > limit ? names[..limit] : names, null);
    }

    private static bool TryRead(byte[] content, HashSet<string> known, List<string> names)
    {
        try
        {
            using var json = JsonDocument.Parse(content);
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("tags", out var list))
            {
                return false;
            }

            // What is no tag must not get into our own list.
            names.AddRange(list.ValueKind != JsonValueKind.Array ? [] : list.EnumerateArray()
                .Where(name => name.ValueKind == JsonValueKind.String)
                .Select(name => name.GetString()!)
                .Where(name => Tag.TryParse(name, out _) && known.Add(name)));
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
