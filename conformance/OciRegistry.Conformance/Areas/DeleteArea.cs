namespace OciRegistry.Conformance.Areas;

/// <summary>
/// Each DELETE is followed by a GET at once: a cache that answers from before is a failure. A registry with deletes
/// disabled conforms with 400 or 405, and fails here: enable them for the run.
/// </summary>
internal static class DeleteArea
{
    public static Area Area { get; } = new Area("Delete")
        .Must("end-9: a tag is deleted with 202 and is 404 afterwards", Tag)
        .Should("end-9: deleting a tag leaves the manifest and its other tags", TagOnly)
        .Must("end-9: a manifest is deleted by digest with 202 and is 404 afterwards", ManifestByDigest)
        .Must("end-9: deleting a manifest by digest deletes every tag that points to it", AllItsTags)
        .Must("end-9: tags of other manifests stay", OtherTagsStay)
        .Must("end-9: deleted tags are not listed any more", NotListed)
        .Must("end-9: an unknown tag or digest is answered 404", UnknownManifest)
        .Must("end-9: a repository that does not exist is answered 404", UnknownRepository)
        .Must("end-9: a second DELETE is answered 404", ManifestTwice)
        .Must("end-9: a deleted manifest is pushed again with 201", ManifestAgain)
        .Should("end-9: pushing a deleted manifest again does not bring its old tags back", OldTagsStayGone)
        .Should("end-9: a manifest that an index refers to can be deleted", ChildOfIndex)
        .Must("end-9: a manifest of another repository stays", OtherRepositoryManifest)
        .Should("end-9: a malformed digest is answered 400 or 404", MalformedDigest)
        .Must("end-10: a blob is deleted with 202 and is 404 afterwards", BlobByDigest)
        .Must("end-10: an unknown blob is answered 404, also when it was deleted before", UnknownBlob)
        .Must("end-10: a deleted blob is pushed again with 201", BlobAgain)
        .Must("end-10: the same blob of another repository stays", OtherRepositoryBlob)
        .Should("end-10: a blob that a manifest refers to can be deleted", BlobInUse)
        .Should("end-10: {} can be pushed and deleted many times", ManyTimes);

    private static async Task Tag(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.Delete("manifests/v1").Answers(202);
        await repository.LacksManifestAsync("v1");
    }

    private static async Task TagOnly(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1", "v2");
        await repository.Delete("manifests/v1").Answers(202);
        await repository.LacksManifestAsync("v1");
        await repository.TagIsAsync("v2", manifest);
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }

    private static async Task ManifestByDigest(Repository repository)
    {
        var manifest = await repository.PushImageAsync();
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static async Task AllItsTags(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1", "v2", "v3");
        await repository.TagIsAsync("v1", manifest);
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        foreach (var tag in new[] { "v1", "v2", "v3" })
        {
            await repository.LacksManifestAsync(tag);
        }
    }

    private static async Task OtherTagsStay(Repository repository)
    {
        var first = await repository.PushImageAsync("v1", "moved");
        var second = await repository.PushImageAsync("v2", "moved");
        await repository.Delete($"manifests/{first.Digest}").Answers(202);
        await repository.LacksManifestAsync("v1");
        await repository.TagIsAsync("v2", second);
        await repository.TagIsAsync("moved", second);
    }

    private static async Task NotListed(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1", "v2");
        await repository.PushImageAsync("stays");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        var answer = await repository.Get("tags/list").Answers(200);
        if (!answer.Strings("tags").SequenceEqual(["stays"]))
        {
            throw answer.Failure("the tags [stays]");
        }
    }

    private static async Task UnknownManifest(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.Delete("manifests/v2").Answers(404);
        await repository.Delete($"manifests/{Digest.Unknown()}").Answers(404);
    }

    private static async Task UnknownRepository(Repository repository)
    {
        await repository.Delete($"manifests/{Digest.Unknown()}").Answers(404);
        await repository.Delete($"blobs/{Digest.Unknown()}").Answers(404);
    }

    private static async Task ManifestTwice(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.Delete($"manifests/{manifest.Digest}").Answers(404);
        await repository.Delete("manifests/v1").Answers(404);
    }

    private static async Task ManifestAgain(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.PutManifest(manifest, "v1").Answers(201);
        await repository.TagIsAsync("v1", manifest);
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }

    private static async Task OldTagsStayGone(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1", "v2");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.PutManifest(manifest, "v3").Answers(201);
        await repository.TagIsAsync("v3", manifest);
        await repository.LacksManifestAsync("v1");
        await repository.LacksManifestAsync("v2");
    }

    private static async Task ChildOfIndex(Repository repository)
    {
        var child = await repository.PushImageAsync();
        var index = Manifest.Of(Documents.ImageIndex(child.Descriptor()));
        await repository.PushAsync(index, "v1");
        await repository.Delete($"manifests/{child.Digest}").Answers(202);
        await repository.LacksManifestAsync(child.Digest.ToString());
        await repository.TagIsAsync("v1", index);
    }

    private static async Task OtherRepositoryManifest(Repository repository)
    {
        var document = Documents.ImageIndex().Annotated("example.of", repository.Name);
        var manifest = Manifest.Of(document);
        await repository.PushAsync(manifest, "v1");
        await repository.Second.PushAsync(manifest, "v1");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.LacksManifestAsync("v1");
        await repository.Second.TagIsAsync("v1", manifest);
        await repository.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static async Task MalformedDigest(Repository repository)
    {
        await repository.PushImageAsync("v1");
        foreach (var digest in MalformedDigests.InPath(Digest.Unknown()))
        {
            await repository.Delete($"manifests/{digest}").AnswersOneOf(400, 404);
            await repository.Delete($"blobs/{digest}").AnswersOneOf(400, 404);
        }
    }

    private static async Task BlobByDigest(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await repository.HasBlobAsync(blob);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task UnknownBlob(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await repository.Delete($"blobs/{Digest.Unknown()}").Answers(404);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.Delete($"blobs/{blob.Digest}").Answers(404);
    }

    private static async Task BlobAgain(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.PushAsync(blob);
        await repository.HasBlobAsync(blob);
    }

    private static async Task OtherRepositoryBlob(Repository repository)
    {
        var blob = Blob.Random(1000);
        await repository.PushAsync(blob);
        await repository.Second.PushAsync(blob);
        await repository.Delete($"blobs/{blob.Digest}").Answers(202);
        await repository.Second.HasBlobAsync(blob);
        await repository.LacksBlobAsync(blob.Digest);
    }

    private static async Task BlobInUse(Repository repository)
    {
        var image = await repository.NewImageAsync();
        var manifest = Manifest.Of(image);
        await repository.PushAsync(manifest, "v1");
        await repository.Delete($"blobs/{image["layers"]![0]!["digest"]}").Answers(202);
        await repository.TagIsAsync("v1", manifest);
    }

    private static async Task ManyTimes(Repository repository)
    {
        var empty = Blob.Of("{}"u8.ToArray());
        for (var i = 0; i < 5; i++)
        {
            await repository.PushAsync(empty);
            await repository.HasBlobAsync(empty);
            await repository.Delete($"blobs/{empty.Digest}").Answers(202);
            await repository.LacksBlobAsync(empty.Digest);
        }
    }
}
