namespace OciRegistry.Conformance.Areas;

/// <summary>
/// end-7b is optional; who does it MUST name every tag it took in OCI-Tag. On a registry that ignores the parameter
/// all of these fail for want of OCI-Tag.
/// </summary>
internal static class TagParameterArea
{
    public static Area Area { get; } = new Area("TagParameter")
        .May("end-7b: PUT by digest takes tag parameters", Taken)
        .Must("end-7b: every tag taken is named in OCI-Tag and can be pulled", Named)
        .Should("end-7b: ten tags are taken in one request", TenTags)
        .Must("end-7b: a tag that exists is moved", Moves)
        .Should("end-7b: the same tag twice is one tag", SameTwice)
        .Should("end-7b: too many tags are all taken, or the request is refused as a whole", TooMany)
        .Should("end-7b: a tag outside the grammar refuses the request, and no tag is set", BadTag)
        .Must("end-7b: bytes of another digest are refused with 400, and no tag is set", OtherDigest)
        .Must("end-7b: OCI-Subject is sent beside OCI-Tag", WithSubject);

    private static HashSet<string> TagsOf(Answer answer) => [.. answer.Members("OCI-Tag")];

    private static Request PutTagged(Repository repository, Manifest manifest, params string[] tags) =>
        repository.PutManifest(manifest, $"{manifest.Digest}?{string.Join('&', tags.Select(tag => $"tag={tag}"))}");

    private static async Task TakesAsync(Repository repository, Manifest manifest, params string[] tags)
    {
        var answer = await PutTagged(repository, manifest, tags).Answers(201);
        if (!TagsOf(answer).SetEquals(tags))
        {
            throw answer.Failure($"OCI-Tag with {string.Join(", ", tags.Distinct())}");
        }

        foreach (var tag in tags.Distinct())
        {
            await repository.TagIsAsync(tag, manifest);
        }
    }

    private static async Task Taken(Repository repository) =>
        await TakesAsync(repository, await repository.NewManifestAsync(), "a");

    private static async Task Named(Repository repository) =>
        await TakesAsync(repository, await repository.NewManifestAsync(), "a", "v1.2-rc_3", "_c");

    private static async Task TenTags(Repository repository)
    {
        string[] tags = [.. Enumerable.Range(0, 10).Select(i => $"{new string('t', 127)}{i}")];
        await TakesAsync(repository, await repository.NewManifestAsync(), tags);
    }

    private static async Task Moves(Repository repository)
    {
        await repository.PushImageAsync("v1", "v2");
        await TakesAsync(repository, await repository.NewManifestAsync(), "v1", "v3");
    }

    private static async Task SameTwice(Repository repository) =>
        await TakesAsync(repository, await repository.NewManifestAsync(), "a", "a", "b");

    private static async Task TooMany(Repository repository)
    {
        string[] tags = [.. Enumerable.Range(0, 200).Select(i => $"{new string('t', 100)}{i}")];
        var manifest = await repository.NewManifestAsync();
        var answer = await PutTagged(repository, manifest, tags).AnswersOneOf(201, 400, 414, 431);
        if (answer.Status == 201)
        {
            if (!TagsOf(answer).SetEquals(tags))
            {
                throw answer.Failure("OCI-Tag with all 200 tags");
            }

            await repository.TagIsAsync(tags[^1], manifest);
        }
        else
        {
            await repository.LacksManifestAsync(tags[0]);
        }
    }

    private static async Task BadTag(Repository repository)
    {
        await TakesAsync(repository, await repository.NewManifestAsync(), "supported");
        foreach (var bad in new[] { ".bad", "-bad", "b%20d", "b%2Fd", "b%0D%0Ad", new string('t', 129), "" })
        {
            await PutTagged(repository, await repository.NewManifestAsync(), "good", bad).Answers(400);
            await repository.LacksManifestAsync("good");
        }
    }

    private static async Task OtherDigest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await TakesAsync(repository, await repository.NewManifestAsync(), "supported");
        await repository.PutManifest(manifest, $"{Digest.Unknown()}?tag=a").Answers(400);
        await repository.LacksManifestAsync("a");
    }

    private static async Task WithSubject(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = Manifest.Of((await repository.NewImageAsync()).WithSubject(subject));
        var answer = await PutTagged(repository, referrer, "a", "b").Answers(201);
        answer.Has("OCI-Subject", subject.Digest.ToString());
        await TakesAsync(repository, referrer, "a", "b");
    }
}
