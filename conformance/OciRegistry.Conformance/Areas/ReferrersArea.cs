namespace OciRegistry.Conformance.Areas;

internal static class ReferrersArea
{
    private const string Note = "application/vnd.example.note.v1+json";
    private const string Seal = "application/vnd.example.seal.v1+json";

    public static Area Area { get; } = new Area("Referrers")
        .Must("end-12a: an unknown digest is answered 200 with an empty index", UnknownDigest)
        .Must("end-12a: a repository that does not exist is answered 200 with an empty index", UnknownRepository)
        .Must("end-12a: the answer is an image index, by Content-Type, mediaType and schemaVersion", IsImageIndex)
        .Must("end-12a: a malformed digest is answered 400", MalformedDigest)
        .Must("end-12a: a referrer is listed with its mediaType, digest and size", Descriptor)
        .Must("end-12a: artifactType is that of the manifest", OwnArtifactType)
        .Must("end-12a: without one, artifactType is the media type of the image's config", ConfigArtifactType)
        .Must("end-12a: an index without artifactType is listed without one", IndexWithoutArtifactType)
        .Must("end-12a: an index with artifactType is listed with it", IndexWithArtifactType)
        .Must("end-12a: all annotations of the manifest are copied", Annotations)
        .Must("end-12a: referrers pushed before their subject are listed", BeforeSubject)
        .Must("end-12a: a referrer pushed by tag is listed as well", ByTag)
        .Should("end-12a: a referrer pushed twice is listed once", PushedTwice)
        .Must("end-12a: referrers are those of the repository", OtherRepository)
        .Must("end-12a: the referrers of a referrer are not those of its subject", NotTransitive)
        .Must("end-12a: referrers of other subjects are not listed", OtherSubject)
        .Must("end-12a: a deleted referrer is not listed any more", Deleted)
        .May("end-12a: referrers stay listed when their subject is deleted", SubjectDeleted)
        .Must("end-12a: more than fits one answer comes in pages with a Link, each descriptor once", ManyReferrers)
        .Should("end-12b: artifactType filters, and OCI-Filters-Applied says so", Filtered)
        .Should("end-12b: an artifactType that nothing has brings an empty index", FilteredToNothing)
        .Should("end-12b: the media type of a config is an artifactType to filter by", FilteredByConfig)
        .May("end-12b: a plus in artifactType may come unescaped, although a query reads it as a space", RawPlus)
        .Should("end-12b: without a filter there is no OCI-Filters-Applied", Unfiltered);

    private static async Task<Answer> ListAsync(Repository repository, Digest subject, string query = "")
    {
        var answer = await repository.Get($"referrers/{subject}{query}").Answers(200);
        return answer.Has("Content-Type", MediaTypes.ImageIndex);
    }

    private static List<JsonObject> Descriptors(Answer answer) =>
        answer.Json()["manifests"] is JsonArray manifests
            ? [.. manifests.Select(item => item as JsonObject ?? throw answer.Failure("descriptors in manifests"))]
            : throw answer.Failure("a list manifests, empty when there are none");

    private static async Task ListsAsync(Repository repository, Digest subject, params Manifest[] referrers) =>
        Lists(await ListAsync(repository, subject), referrers);

    private static Answer Lists(Answer answer, params Manifest[] referrers)
    {
        var listed = Descriptors(answer).Select(descriptor => descriptor["digest"]?.ToString()).Order().ToList();
        return listed.SequenceEqual(referrers.Select(referrer => referrer.Digest.ToString()).Order())
            ? answer
            : throw answer.Failure($"exactly the descriptors [{string.Join(", ", referrers.Select(r => r.Digest))}]");
    }

    private static async Task UnknownDigest(Repository repository)
    {
        await repository.PushImageAsync();
        await ListsAsync(repository, Digest.Unknown());
    }

    private static Task UnknownRepository(Repository repository) => ListsAsync(repository, Digest.Unknown());

    private static async Task IsImageIndex(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var answer = await ListAsync(repository, subject.Digest);
        var body = answer.Json();
        if (body["schemaVersion"]?.ToJsonString() != "2" || body["mediaType"]?.ToString() != MediaTypes.ImageIndex)
        {
            throw answer.Failure("schemaVersion 2 and the media type of an image index");
        }
    }

    private static async Task MalformedDigest(Repository repository)
    {
        await repository.PushImageAsync("latest");
        foreach (var digest in MalformedDigests.InPath(Digest.Unknown()).Append("latest"))
        {
            await repository.Get($"referrers/{digest}").Answers(400);
        }
    }

    private static async Task Descriptor(Repository repository)
    {
        var subject = await repository.PushImageAsync("v1");
        var referrer = await repository.PushReferrerAsync(subject);
        var answer = Lists(await ListAsync(repository, subject.Digest), referrer);
        var descriptor = Descriptors(answer)[0];
        if (descriptor["mediaType"]?.ToString() != referrer.MediaType
            || descriptor["size"]?.ToJsonString() != $"{referrer.Bytes.Length}")
        {
            throw answer.Failure($"mediaType {referrer.MediaType} and size {referrer.Bytes.Length}");
        }
    }

    private static async Task HasArtifactTypeAsync(
        Repository repository, JsonObject document, Manifest subject, string? expected)
    {
        var referrer = Manifest.Of(document.WithSubject(subject));
        await repository.PushAsync(referrer);
        var answer = Lists(await ListAsync(repository, subject.Digest), referrer);
        if (Descriptors(answer)[0]["artifactType"]?.ToString() != expected)
        {
            throw answer.Failure($"artifactType {expected ?? "left out"}");
        }
    }

    private static async Task OwnArtifactType(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var document = (await repository.NewImageAsync()).With("artifactType", Note);
        await HasArtifactTypeAsync(repository, document, subject, Note);
    }

    private static async Task ConfigArtifactType(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        await HasArtifactTypeAsync(repository, await repository.NewImageAsync(), subject, MediaTypes.ImageConfig);
    }

    private static async Task IndexWithoutArtifactType(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        await HasArtifactTypeAsync(repository, Documents.ImageIndex(subject.Descriptor()), subject, null);
    }

    private static async Task IndexWithArtifactType(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        await HasArtifactTypeAsync(
            repository, Documents.ImageIndex(subject.Descriptor()).With("artifactType", Seal), subject, Seal);
    }

    private static async Task Annotations(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var document = (await repository.NewImageAsync()).WithSubject(subject)
            .Annotated("org.example.first", "one")
            .Annotated("org.example.second", "zwei – \"2\" <b>")
            .Annotated("empty", "");
        var referrer = Manifest.Of(document);
        await repository.PushAsync(referrer);
        var answer = Lists(await ListAsync(repository, subject.Digest), referrer);
        if (!JsonNode.DeepEquals(Descriptors(answer)[0]["annotations"], document["annotations"]))
        {
            throw answer.Failure($"annotations {document["annotations"]!.ToJsonString()}");
        }
    }

    private static async Task BeforeSubject(Repository repository)
    {
        var subject = await repository.NewManifestAsync();
        var referrer = await repository.PushReferrerAsync(subject);
        await ListsAsync(repository, subject.Digest, referrer);
        await repository.PushAsync(subject);
        await ListsAsync(repository, subject.Digest, referrer);
    }

    private static async Task ByTag(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = Manifest.Of((await repository.NewImageAsync()).WithSubject(subject));
        await repository.PushAsync(referrer, "note");
        await ListsAsync(repository, subject.Digest, referrer);
    }

    private static async Task PushedTwice(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = await repository.PushReferrerAsync(subject);
        await repository.PushAsync(referrer, "a", "b");
        await ListsAsync(repository, subject.Digest, referrer);
    }

    private static async Task OtherRepository(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var here = await repository.PushReferrerAsync(subject);
        var there = await repository.Second.PushReferrerAsync(subject);
        await ListsAsync(repository, subject.Digest, here);
        await ListsAsync(repository.Second, subject.Digest, there);
    }

    private static async Task NotTransitive(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = await repository.PushReferrerAsync(subject);
        var second = await repository.PushReferrerAsync(referrer);
        await ListsAsync(repository, subject.Digest, referrer);
        await ListsAsync(repository, referrer.Digest, second);
    }

    private static async Task OtherSubject(Repository repository)
    {
        var (one, two) = (await repository.PushImageAsync(), await repository.PushImageAsync());
        var (toOne, toTwo) = (await repository.PushReferrerAsync(one), await repository.PushReferrerAsync(two));
        await ListsAsync(repository, one.Digest, toOne);
        await ListsAsync(repository, two.Digest, toTwo);
    }

    private static async Task Deleted(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var (gone, stays) = (await repository.PushReferrerAsync(subject), await repository.PushReferrerAsync(subject));
        await ListsAsync(repository, subject.Digest, gone, stays);
        await repository.Delete($"manifests/{gone.Digest}").Answers(202);
        await ListsAsync(repository, subject.Digest, stays);
    }

    private static async Task SubjectDeleted(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = await repository.PushReferrerAsync(subject);
        await repository.Delete($"manifests/{subject.Digest}").Answers(202);
        await ListsAsync(repository, subject.Digest, referrer);
    }

    // 16 descriptors of 400 KB: more than the 4 MB that clients read of one manifest.
    private static async Task ManyReferrers(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var image = await repository.NewImageAsync();
        var pushed = new List<Manifest>();
        for (var i = 0; i < 16; i++)
        {
            var document = ((JsonObject)image.DeepClone()).WithSubject(subject)
                .Annotated("number", $"{i}").Annotated("padding", new string('x', 400_000));
            pushed.Add(Manifest.Of(document));
            await repository.PushAsync(pushed[^1]);
        }

        var listed = new List<string?>();
        for (Request? next = repository.Get($"referrers/{subject.Digest}"); next is not null;)
        {
            var answer = await next.Answers(200);
            listed.AddRange(Descriptors(answer).Select(descriptor => descriptor["digest"]?.ToString()));
            next = answer.Next(repository.Registry);
            if (listed.Count > pushed.Count || listed.Distinct().Count() < listed.Count)
            {
                throw answer.Failure("other descriptors on each page");
            }
        }

        if (listed.Count != pushed.Count)
        {
            throw new CheckFailedException($"16 descriptors on all pages, not {listed.Count}");
        }
    }

    private static async Task Filtered(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var note = await repository.PushReferrerAsync(subject, Note);
        var seal = await repository.PushReferrerAsync(subject, Seal);
        foreach (var (type, referrer) in new[] { (Note, note), (Seal, seal) })
        {
            var answer = await ListAsync(repository, subject.Digest, $"?artifactType={Uri.EscapeDataString(type)}");
            AppliedTo(answer, referrer);
        }
    }

    private static void AppliedTo(Answer answer, params Manifest[] referrers)
    {
        if (!answer.Members("OCI-Filters-Applied").Contains("artifactType"))
        {
            throw answer.Failure("OCI-Filters-Applied: artifactType");
        }

        Lists(answer, referrers);
    }

    private static async Task FilteredToNothing(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        await repository.PushReferrerAsync(subject, Note);
        AppliedTo(await ListAsync(repository, subject.Digest, "?artifactType=application%2Fvnd.example.other"));
    }

    private static async Task FilteredByConfig(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var plain = await repository.PushReferrerAsync(subject, artifactType: null);
        await repository.PushReferrerAsync(subject, Note);
        var type = Uri.EscapeDataString(MediaTypes.ImageConfig);
        AppliedTo(await ListAsync(repository, subject.Digest, $"?artifactType={type}"), plain);
    }

    private static async Task RawPlus(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var note = await repository.PushReferrerAsync(subject, Note);
        AppliedTo(await ListAsync(repository, subject.Digest, $"?artifactType={Note}"), note);
    }

    private static async Task Unfiltered(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var referrer = await repository.PushReferrerAsync(subject);
        Lists(await ListAsync(repository, subject.Digest), referrer).Lacks("OCI-Filters-Applied");
    }
}
