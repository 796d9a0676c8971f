using OciRegistry.Benchmarks.Peers;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Loads;

internal static class Lists
{
    private const int PageSize = 2_000;
    private const int ReferrersOfSubject = 1_000;
    private const string Repository = "bench/lists";

    private static readonly Content Subject = Content.Next(1024);

    /// <summary>Where there are no 100,000 tags, it is asked for all of 2,000.</summary>
    public static Load Tags => new()
    {
        Name = "tags/list, 2,000 of 100,000 tags × 4",
        Connections = 4,
        Aim = Aim.CpuMilliseconds(0.15),
        NeedsPreparedContent = true,
        Prepare = (peer, connection) =>
        {
            if (!peer.HasManyTags)
            {
                PushTags(connection);
            }
        },
        NextRound = (peer, _) =>
        {
            var pages = peer.HasManyTags ? PreparedContent.Tags / PageSize : 1;
            var requests = Enumerable.Range(0, pages).Select(page => Request.To(
                peer,
                "GET",
                $"/v2/{PreparedContent.ManyTags}/tags/list?n={PageSize}{(page == 0 ? "" : $"&last={PreparedStore.TagName((page * PageSize) - 1)}")}"))
                .ToArray();
            return (connection, index) => connection.Exchange(requests[index * 7 % requests.Length]);
        },
    };

    public static Load Referrers => new()
    {
        Name = "referrers, 1,000 of a subject × 4",
        Connections = 4,
        Prepare = (peer, connection) =>
        {
            connection.Exchange(Request.To(peer, "GET", ReferrersPath));
            Subject.PushByPut(connection, Repository);
            for (var i = 0; i < ReferrersOfSubject; i++)
            {
                var manifest = ArtifactManifest.OfReferrer(Subject.Digest, Subject.Length, Subject.Digest, Subject.Length, i);
                Content.PutManifest(connection, Repository, $"{Digest.Of(manifest)}", manifest);
            }
        },
        NextRound = (peer, _) =>
        {
            var request = Request.To(peer, "GET", ReferrersPath);
            return (connection, _) => connection.Exchange(request);
        },
    };

    private static string ReferrersPath => $"/v2/{Repository}/referrers/{Subject.Digest}";

    private static void PushTags(Connection connection)
    {
        Subject.PushByPut(connection, PreparedContent.ManyTags);
        foreach (var tag in PreparedContent.TagNames.Take(PageSize))
        {
            Content.PutManifest(connection, PreparedContent.ManyTags, tag, Subject, Subject);
        }
    }
}
