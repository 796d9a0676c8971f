namespace OciRegistry.Conformance.Areas;

/// <summary>
/// <c>/v2/_catalog</c>: the OCI spec only reserves the name, so its shape is that of the docker registry API, which
/// <c>crane catalog</c> and <c>podman search</c> read. The checks begin at their own repositories by <c>last</c>: a
/// registry with old data is not walked.
/// </summary>
internal static class CatalogArea
{
    public static Area Area { get; } = new Area("Catalog")
        .Should("catalog: GET /v2/_catalog is answered 200 with {repositories}", Listed)
        .Should("catalog: repositories that begin alike are each listed once, in byte order", PrefixNames)
        .Should("catalog: n brings at most n repositories", Limit)
        .Should("catalog: a page that is not the last has a Link to the next", LinkFollowed)
        .Should("catalog: last is a value, and need not be a repository that exists", LastUnknown)
        .Should("catalog: last beyond the end brings an empty list", LastAtEnd)
        .Should("catalog: an n that is no count is answered 400", BadLimit)
        .Should("catalog: a repository that only has an unfinished upload is not listed", UnfinishedUpload);

    private static readonly string[] Suffixes = ["/a", "/a-b", "/a.b", "/a/b", "/a0", "/a__b", "/b"];

    private static Request After(Repository repository, string last, int n) =>
        repository.Registry.Request("GET", $"/v2/_catalog?n={n}&last={Uri.EscapeDataString(last)}");

    // The last character one less, and then more than any name goes on with.
    private static string JustBefore(string name) => $"{name[..^1]}{(char)(name[^1] - 1)}~";

    private static async Task<List<string>> PushedAsync(Repository repository)
    {
        foreach (var suffix in Suffixes)
        {
            await repository.Below(suffix).PushImageAsync("v1");
        }

        return [.. Suffixes.Select(suffix => repository.Name + suffix)];
    }

    private static async Task Listed(Repository repository)
    {
        await repository.PushImageAsync("v1");
        (await repository.Registry.Request("GET", "/v2/_catalog").Answers(200)).Strings("repositories");
        var answer = await After(repository, JustBefore(repository.Name), 1).Answers(200);
        if (!answer.Strings("repositories").SequenceEqual([repository.Name]))
        {
            throw answer.Failure(repository.Name);
        }
    }

    private static async Task PrefixNames(Repository repository)
    {
        var expected = await PushedAsync(repository);
        var answer = await After(repository, repository.Name, expected.Count).Answers(200);
        if (!answer.Strings("repositories").SequenceEqual(expected))
        {
            throw answer.Failure(string.Join(", ", expected));
        }
    }

    private static async Task Limit(Repository repository)
    {
        var pushed = await PushedAsync(repository);
        var answer = await After(repository, repository.Name, 3).Answers(200);
        if (answer.Strings("repositories") is not { Count: 3 } listed || !pushed.ToHashSet().IsSupersetOf(listed))
        {
            throw answer.Failure($"3 of {string.Join(", ", pushed)}");
        }
    }

    private static async Task LinkFollowed(Repository repository)
    {
        var pushed = await PushedAsync(repository);
        var answer = await After(repository, repository.Name, 3).Answers(200);
        var seen = answer.Strings("repositories");
        while (seen.Count < pushed.Count)
        {
            var next = answer.Next(repository.Registry) ?? throw answer.Failure("a Link to the next page");
            answer = await next.Answers(200);
            seen.AddRange(answer.Strings("repositories"));
        }

        // Others follow on the last page, when the registry has repositories that sort behind ours.
        if (!Pages.AreTheSame(seen[..pushed.Count], pushed))
        {
            throw answer.Failure($"pages with each of {string.Join(", ", pushed)} once; not {string.Join(", ", seen)}");
        }
    }

    private static async Task LastUnknown(Repository repository)
    {
        var expected = await PushedAsync(repository);
        var answer = await After(repository, repository.Name + "/a/a", 1).Answers(200);
        if (!answer.Strings("repositories").SequenceEqual([expected[3]]))
        {
            throw answer.Failure(expected[3]);
        }
    }

    private static async Task LastAtEnd(Repository repository)
    {
        await repository.PushImageAsync();
        var answer = await After(repository, "zzzzzzzz/zzzzzzzz", 10).Answers(200);
        answer.Lacks("Link");
        if (answer.Strings("repositories").Count > 0)
        {
            throw answer.Failure("an empty list");
        }
    }

    private static async Task BadLimit(Repository repository)
    {
        foreach (var n in new[] { "-1", "abc" })
        {
            await repository.Registry.Request("GET", $"/v2/_catalog?n={n}").Answers(400);
        }
    }

    private static async Task UnfinishedUpload(Repository repository)
    {
        await repository.StartUploadAsync();
        var answer = await After(repository, JustBefore(repository.Name), 1).Answers(200);
        if (answer.Strings("repositories").Contains(repository.Name))
        {
            throw answer.Failure($"no {repository.Name}");
        }
    }
}
