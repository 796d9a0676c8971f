namespace OciRegistry.Conformance.Areas;

internal static class TagListArea
{
    public static Area Area { get; } = new Area("TagList")
        .Must("end-8a: the tags of a repository are listed as {name, tags}", Listed)
        .Should("end-8a: the list is application/json", ListedAsJson)
        .Must("end-8a: a repository that does not exist is answered 404", UnknownRepository)
        .Must("end-8a: tags are sorted, without case or in ASCII order", Sorted)
        .Must("end-8a: a manifest pushed by digest is no tag", DigestIsNoTag)
        .Must("end-8a: tags that begin alike are each listed once", PrefixTags)
        .Must("end-8a: 150 tags are listed without n, in one page or by Link", ManyTags)
        .Must("end-8b: n brings at most n tags, and no Link when the list is done", Limit)
        .Must("end-8b: pages of n bring every tag once and in order", PagesByLast)
        .May("end-8b: a page that is not the last has a Link to the next", LinkSent)
        .Must("end-8b: a Link, when sent, leads through all pages", LinkFollowed)
        .Must("end-8b: n=0 brings an empty list and no Link", LimitZero)
        .Must("end-8b: last works without n and begins strictly after it", LastAlone)
        .Must("end-8b: last is a value, and need not be a tag that exists", LastUnknown)
        .Must("end-8b: last at the end brings an empty list", LastAtEnd)
        .Should("end-8b: an n that is no count is answered 400", BadLimit)
        .Should("end-8b: a last that can be no tag is a value like any other, or 400", OddLast)
        .Should("end-8b: a huge n is a large page or 400", HugeLimit);

    private static async Task<string[]> TaggedAsync(Repository repository, params string[] tags)
    {
        await repository.PushImageAsync(tags);
        return tags;
    }

    private static void Are(Answer answer, params string[] tags)
    {
        if (!answer.Strings("tags").SequenceEqual(tags))
        {
            throw answer.Failure($"the tags [{string.Join(", ", tags)}]");
        }
    }

    private static async Task Listed(Repository repository)
    {
        await TaggedAsync(repository, "a", "b");
        var answer = await repository.Get("tags/list").Answers(200);
        if (answer.Json()["name"]?.ToString() != repository.Name
            || !Pages.AreTheSame(answer.Strings("tags"), ["a", "b"]))
        {
            throw answer.Failure($"the name {repository.Name} and the tags a and b");
        }
    }

    private static async Task ListedAsJson(Repository repository)
    {
        await TaggedAsync(repository, "a");
        var answer = await repository.Get("tags/list").Answers(200);
        if (!answer.Header("Content-Type").StartsWith("application/json", StringComparison.Ordinal))
        {
            throw answer.Failure("Content-Type: application/json");
        }
    }

    private static async Task UnknownRepository(Repository repository) =>
        await repository.Get("tags/list").Answers(404);

    private static async Task Sorted(Repository repository)
    {
        var tags = await TaggedAsync(
            repository, "b", "A", "a", "Z", "_x", "1", "10", "2", "a-b", "a.b", "a_b", "aa");
        var answer = await repository.Get("tags/list").Answers(200);
        var listed = answer.Strings("tags");
        if (!Pages.AreTheSame(listed, tags))
        {
            throw answer.Failure("each of the 12 tags once");
        }

        // Two tags that differ by case only have no order among themselves when case does not count.
        var withoutCase = listed.Select(tag => tag.ToLowerInvariant()).ToList();
        if (!listed.SequenceEqual(listed.Order(StringComparer.Ordinal))
            && !withoutCase.SequenceEqual(withoutCase.Order(StringComparer.Ordinal)))
        {
            throw answer.Failure("ASCII order, or the same without case");
        }
    }

    private static async Task DigestIsNoTag(Repository repository)
    {
        await TaggedAsync(repository, "a");
        await repository.PushImageAsync();
        Are(await repository.Get("tags/list").Answers(200), "a");
    }

    private static async Task PrefixTags(Repository repository)
    {
        string[] tags = await TaggedAsync(repository, "a", "a-b", "a.b", "a0", "a_b", "ab");
        Are(await repository.Get("tags/list").Answers(200), tags);
        Are(await repository.Get("tags/list?n=2&last=a").Answers(200), "a-b", "a.b");
    }

    private static async Task ManyTags(Repository repository)
    {
        var manifest = await repository.PushImageAsync();
        var tags = Enumerable.Range(0, 150).Select(i => $"t{i:000}").ToList();
        await Parallel.ForEachAsync(tags, async (tag, _) => await repository.PushAsync(manifest, tag));
        var (listed, last) = await Pages.AllAsync(repository.Get("tags/list"), "tags");
        if (!Pages.AreTheSame(listed, tags))
        {
            throw last.Failure($"150 tags on all pages, each once, not {listed.Count}");
        }
    }

    private static async Task Limit(Repository repository)
    {
        string[] tags = await TaggedAsync(repository, "a", "b", "c");
        Are(await repository.Get("tags/list?n=2").Answers(200), "a", "b");
        foreach (var n in new[] { 3, 4, 1000 })
        {
            var answer = await repository.Get($"tags/list?n={n}").Answers(200);
            Are(answer, tags);
            if (n > 3)
            {
                answer.Lacks("Link");
            }
        }
    }

    // What clients do that know no Link: the last tag they saw is where the next page begins.
    private static async Task PagesByLast(Repository repository)
    {
        string[] tags = await TaggedAsync(repository, "a", "b", "c", "d", "e");
        var seen = new List<string>();
        while (seen.Count < tags.Length)
        {
            var last = seen.Count == 0 ? "" : $"&last={seen[^1]}";
            var answer = await repository.Get($"tags/list?n=2{last}").Answers(200);
            Are(answer, [.. tags.Skip(seen.Count).Take(2)]);
            seen.AddRange(answer.Strings("tags"));
        }
    }

    private static async Task LinkSent(Repository repository)
    {
        await TaggedAsync(repository, "a", "b", "c");
        (await repository.Get("tags/list?n=2").Answers(200)).Header("Link");
    }

    private static async Task LinkFollowed(Repository repository)
    {
        string[] tags = await TaggedAsync(repository, "a", "b", "c", "d", "e");
        var first = await repository.Get("tags/list?n=2").Answers(200);
        if (first.Next(repository.Registry) is null)
        {
            return;
        }

        var (listed, last) = await Pages.AllAsync(repository.Get("tags/list?n=2"), "tags", most: 2);
        if (!listed.SequenceEqual(tags))
        {
            throw last.Failure($"pages with a b c d e, not {string.Join(' ', listed)}");
        }
    }

    private static async Task LimitZero(Repository repository)
    {
        await TaggedAsync(repository, "a", "b");
        var answer = await repository.Get("tags/list?n=0").Answers(200);
        Are(answer);
        answer.Lacks("Link");
    }

    private static async Task LastAlone(Repository repository)
    {
        await TaggedAsync(repository, "a", "b", "c");
        Are(await repository.Get("tags/list?last=a").Answers(200), "b", "c");
    }

    private static async Task LastUnknown(Repository repository)
    {
        await TaggedAsync(repository, "a", "b", "c");
        Are(await repository.Get("tags/list?last=aa").Answers(200), "b", "c");
        Are(await repository.Get("tags/list?n=1&last=aa").Answers(200), "b");
    }

    private static async Task LastAtEnd(Repository repository)
    {
        await TaggedAsync(repository, "a", "b");
        foreach (var last in new[] { "b", "zzz" })
        {
            var answer = await repository.Get($"tags/list?last={last}").Answers(200);
            Are(answer);
            answer.Lacks("Link");
        }
    }

    private static async Task BadLimit(Repository repository)
    {
        await TaggedAsync(repository, "a");
        foreach (var n in new[] { "-1", "abc", "1.5" })
        {
            await repository.Get($"tags/list?n={n}").Answers(400);
        }
    }

    private static async Task OddLast(Repository repository)
    {
        await TaggedAsync(repository, "a", "b");
        var tooLong = new string('t', 1000);
        foreach (var last in new[] { "%00", "%0D%0AX-Injected:%20yes", "%22%3E%3C", "..%2F..%2Fa", tooLong })
        {
            var answer = await repository.Get($"tags/list?n=1&last={last}").AnswersOneOf(200, 400);
            answer.Lacks("X-Injected").Next(repository.Registry);
        }
    }

    private static async Task HugeLimit(Repository repository)
    {
        await TaggedAsync(repository, "a");
        foreach (var n in new[] { "2147483648", "99999999999999999999" })
        {
            if ((await repository.Get($"tags/list?n={n}").AnswersOneOf(200, 400)) is { Status: 200 } answer)
            {
                Are(answer, "a");
            }
        }
    }
}
