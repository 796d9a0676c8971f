namespace OciRegistry.Conformance.Areas;

/// <summary>
/// RFC 9110 section 13, which the spec points to where it is silent. If-Match on a tag is compare-and-swap: without it
/// two writers who both read, add and push an index lose one of the additions.
/// </summary>
internal static class ConditionalRequestsArea
{
    public static Area Area { get; } = new Area("ConditionalRequests")
        .Should("end-3: a manifest has a strong ETag, the same on GET and HEAD", ManifestEntityTag)
        .Should("end-3: the ETag of a tag changes with its manifest", EntityTagMoves)
        .Should("end-3: If-None-Match with the ETag is answered 304 without a body", ManifestUnchanged)
        .Should("end-3: If-None-Match with another ETag is answered 200", ManifestChanged)
        .Should("end-3: If-Match with another ETag is answered 412", PullPrecondition)
        .Should("end-2: a blob has a strong ETag, the same on GET and HEAD", BlobEntityTag)
        .Should("end-2: If-None-Match with the ETag of a blob is answered 304 without a body", BlobUnchanged)
        .Should("end-7: If-None-Match: * creates a tag once; a second is 412 and changes nothing", CreateOnly)
        .Should("end-7: If-Match with the current ETag replaces the tag", Replace)
        .Should("end-7: If-Match with a former ETag is answered 412 and changes nothing", ReplaceStale)
        .Should("end-7: If-Match: * wants a tag that exists", ReplaceAny)
        .Should("end-7: a weak ETag matches no If-Match", ReplaceWeak)
        .Should("end-7: one of many who replace the same tag wins, the others are answered 412", OneWinner)
        .Should("end-9: If-Match with a former ETag is answered 412 and deletes nothing", DeleteStale)
        .Should("end-9: If-Match with the current ETag deletes", DeleteCurrent)
        .Should("end-9: If-None-Match: * on a tag that exists is answered 412", DeleteNone);

    private static async Task<string> EntityTagAsync(Repository repository, string path)
    {
        var answer = await repository.Get(path).With("Accept", MediaTypes.Any).Answers(200);
        var entityTag = answer.Header("ETag");
        if (entityTag.Length < 3 || entityTag[0] != '"' || entityTag[^1] != '"')
        {
            throw answer.Failure("a strong ETag, in quotes");
        }

        (await repository.Head(path).With("Accept", MediaTypes.Any).Answers(200)).Has("ETag", entityTag);
        return entityTag;
    }

    private static async Task ManifestEntityTag(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await EntityTagAsync(repository, "manifests/v1");
        await EntityTagAsync(repository, $"manifests/{manifest.Digest}");
    }

    private static async Task EntityTagMoves(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var before = await EntityTagAsync(repository, "manifests/v1");
        await repository.PushImageAsync("v1");
        var answer = await repository.GetManifest("v1").With("If-None-Match", before).Answers(200);
        if (answer.Header("ETag") == before)
        {
            throw answer.Failure($"another ETag than {before}");
        }
    }

    private static async Task UnchangedAsync(Repository repository, string path)
    {
        var entityTag = await EntityTagAsync(repository, path);
        // RFC 9110 13.1.2: a list, the wildcard, and weak comparison.
        foreach (var value in new[] { entityTag, "*", $"\"other\", {entityTag}", "W/" + entityTag })
        {
            foreach (var method in new[] { "GET", "HEAD" })
            {
                var answer = await repository.Request(method, path)
                    .With("Accept", MediaTypes.Any).With("If-None-Match", value).OverTcp().Answers(304);
                answer.HasNoBody().Has("ETag", entityTag);
            }
        }
    }

    private static async Task ManifestUnchanged(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await UnchangedAsync(repository, "manifests/v1");
        await UnchangedAsync(repository, $"manifests/{manifest.Digest}");
    }

    private static async Task ManifestChanged(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        var answer = await repository.GetManifest("v1").With("If-None-Match", "\"other\"").Answers(200);
        answer.HasBody(manifest.Bytes);
    }

    private static async Task PullPrecondition(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.GetManifest("v1").With("If-Match", "\"other\"").Answers(412);
    }

    private static async Task BlobEntityTag(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await EntityTagAsync(repository, $"blobs/{blob.Digest}");
    }

    private static async Task BlobUnchanged(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await UnchangedAsync(repository, $"blobs/{blob.Digest}");
    }

    private static async Task CreateOnly(Repository repository)
    {
        var (first, second) = (await repository.NewManifestAsync(), await repository.NewManifestAsync());
        await repository.PutManifest(first, "v1").With("If-None-Match", "*").Answers(201);
        await repository.PutManifest(second, "v1").With("If-None-Match", "*").Answers(412);
        await repository.TagIsAsync("v1", first);
    }

    private static async Task Replace(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var entityTag = await EntityTagAsync(repository, "manifests/v1");
        var next = await repository.NewManifestAsync();
        await repository.PutManifest(next, "v1").With("If-Match", entityTag).Answers(201);
        await repository.TagIsAsync("v1", next);
    }

    private static async Task ReplaceStale(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var former = await EntityTagAsync(repository, "manifests/v1");
        var current = await repository.PushImageAsync("v1");
        var late = await repository.NewManifestAsync();
        await repository.PutManifest(late, "v1").With("If-Match", former).Answers(412);
        await repository.TagIsAsync("v1", current);
    }

    private static async Task ReplaceAny(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await repository.PutManifest(manifest, "v1").With("If-Match", "*").Answers(412);
        await repository.LacksManifestAsync("v1");
        await repository.PushAsync(manifest, "v1");
        await repository.PutManifest(manifest, "v1").With("If-Match", "*").Answers(201);
    }

    // RFC 9110 13.1.1: If-Match compares strongly.
    private static async Task ReplaceWeak(Repository repository)
    {
        var current = await repository.PushImageAsync("v1");
        var entityTag = await EntityTagAsync(repository, "manifests/v1");
        var next = await repository.NewManifestAsync();
        await repository.PutManifest(next, "v1").With("If-Match", "W/" + entityTag).Answers(412);
        await repository.TagIsAsync("v1", current);
    }

    private static async Task OneWinner(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var entityTag = await EntityTagAsync(repository, "manifests/v1");
        var manifests = new List<Manifest>();
        for (var i = 0; i < 8; i++)
        {
            manifests.Add(await repository.NewManifestAsync());
        }

        var answers = await Task.WhenAll(manifests.Select(manifest =>
            repository.PutManifest(manifest, "v1").With("If-Match", entityTag).SendAsync()));
        foreach (var answer in answers)
        {
            answer.IsOneOf(201, 412);
        }

        var winners = manifests.Where((_, i) => answers[i].Status == 201).ToList();
        if (winners.Count != 1)
        {
            throw answers[0].Failure($"exactly one 201 among 8 writers, not {winners.Count}");
        }

        await repository.TagIsAsync("v1", winners[0]);
    }

    private static async Task DeleteStale(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var former = await EntityTagAsync(repository, "manifests/v1");
        var current = await repository.PushImageAsync("v1");
        await repository.Delete("manifests/v1").With("If-Match", former).Answers(412);
        await repository.TagIsAsync("v1", current);
        await repository.Delete($"manifests/{current.Digest}").With("If-Match", former).Answers(412);
        await repository.TagIsAsync("v1", current);
    }

    private static async Task DeleteCurrent(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var entityTag = await EntityTagAsync(repository, "manifests/v1");
        await repository.Delete("manifests/v1").With("If-Match", entityTag).Answers(202);
        await repository.LacksManifestAsync("v1");
    }

    private static async Task DeleteNone(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.Delete("manifests/v1").With("If-None-Match", "*").Answers(412);
        await repository.TagIsAsync("v1", manifest);
    }
}
