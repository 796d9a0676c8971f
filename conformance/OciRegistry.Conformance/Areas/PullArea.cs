namespace OciRegistry.Conformance.Areas;

internal static class PullArea
{
    public static Area Area { get; } = new Area("Pull")
        .Must("end-3: a manifest is pulled by tag with the exact bytes", ManifestByTag)
        .Must("end-3: a manifest is pulled by digest with the exact bytes", ManifestByDigest)
        .Must("end-3: HEAD of a manifest has the digest and the length, and no body", ManifestHead)
        .Should("end-3: a manifest has the Content-Type it was pushed with, without parameters", ManifestType)
        .Must("end-3: an unknown tag is answered 404", UnknownTag)
        .Must("end-3: an unknown manifest digest is answered 404", UnknownManifest)
        .Must("end-3: a manifest of another repository is answered 404", ManifestElsewhere)
        .Must("end-3: a manifest in a repository that does not exist is answered 404", ManifestNowhere)
        .Must("end-3: a malformed manifest digest is answered 400 or 404", MalformedManifestDigest)
        .Must("end-3: Accept may be a list or several headers, with weights", AcceptLists)
        .Should("end-3: a client without Accept, or with any type, gets the manifest as it is", NoConversion)
        .Should("end-3: a manifest has a Content-Length also for a client that takes gzip", ManifestUncompressed)
        .Should("end-3: Range on a manifest is answered with the whole or with the right part", ManifestRange)
        .Must("end-2: a blob is pulled with the exact bytes and its digest", BlobByDigest)
        .Must("end-2: an empty blob is pulled as 200 with Content-Length 0", EmptyBlob)
        .Must("end-2: HEAD of a blob has the digest and the length, and no body", BlobHead)
        .Must("end-2: an unknown blob is answered 404", UnknownBlob)
        .Must("end-2: a blob of another repository is answered 404", BlobElsewhere)
        .Must("end-2: a malformed blob digest is answered 400 or 404", MalformedBlobDigest)
        .Should("end-2: a blob has a Content-Length also for a client that takes gzip", BlobUncompressed)
        .Must("end-2: the colon of a digest may be percent-encoded", EncodedColon);

    private static async Task ManifestByTag(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.TagIsAsync("v1", manifest);
    }

    private static async Task ManifestByDigest(Repository repository)
    {
        var manifest = await repository.PushImageAsync();
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }

    private static async Task ManifestHead(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        foreach (var reference in new[] { "v1", manifest.Digest.ToString() })
        {
            var answer = await repository.HeadManifest(reference).Answers(200);
            answer.HasLength(manifest.Bytes.Length).HasDigest(manifest.Digest).HasNoBody();
        }
    }

    private static async Task ManifestType(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        (await repository.GetManifest("v1").Answers(200)).Has("Content-Type", manifest.MediaType);
        (await repository.HeadManifest("v1").Answers(200)).Has("Content-Type", manifest.MediaType);
    }

    private static async Task UnknownTag(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.LacksManifestAsync("v2");
    }

    private static async Task UnknownManifest(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.LacksManifestAsync(Digest.Unknown().ToString());
    }

    private static async Task ManifestElsewhere(Repository repository)
    {
        var manifest = await repository.PushImageAsync();
        await repository.Second.PushImageAsync();
        await repository.Second.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static Task ManifestNowhere(Repository repository) => repository.LacksManifestAsync("latest");

    private static async Task MalformedManifestDigest(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.GetManifest("sha256:baddigeststring").AnswersOneOf(400, 404);
        await repository.HeadManifest("sha256:baddigeststring").AnswersOneOf(400, 404);
    }

    private static async Task AcceptLists(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        Func<Request, Request>[] clients =
        [
            get => get.With("Accept", MediaTypes.ImageManifest),
            get => get.With("Accept", $"{MediaTypes.DockerManifest}, {MediaTypes.ImageManifest};q=0.5, */*;q=0.1"),
            // The official suite sends two headers, the type that is there in the second.
            get => get.With("Accept", MediaTypes.ImageIndex).With("Accept", MediaTypes.ImageManifest).OverTcp(),
        ];
        foreach (var client in clients)
        {
            var answer = await client(repository.Get("manifests/v1")).Answers(200);
            answer.HasBody(manifest.Bytes);
        }
    }

    private static async Task NoConversion(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        Func<Request, Request>[] clients =
        [
            get => get,
            get => get.With("Accept", "*/*"),
            get => get.With("Accept", "").OverTcp(),
        ];
        foreach (var client in clients)
        {
            var answer = await client(repository.Get("manifests/v1")).Answers(200);
            answer.HasBody(manifest.Bytes).Has("Content-Type", manifest.MediaType);
        }
    }

    private static async Task ManifestUncompressed(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        var answer = await repository.GetManifest("v1").With("Accept-Encoding", "gzip").Answers(200);
        answer.Lacks("Content-Encoding").Lacks("Transfer-Encoding")
            .HasLength(manifest.Bytes.Length).HasBody(manifest.Bytes);
    }

    // containerd asks for `bytes=0-` of manifests too.
    private static async Task ManifestRange(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        var answer = await repository.GetManifest("v1").With("Range", "bytes=0-").AnswersOneOf(200, 206);
        answer.HasBody(manifest.Bytes);
    }

    private static async Task BlobByDigest(Repository repository)
    {
        var blob = Blob.Random(100_000);
        await repository.PushAsync(blob);
        var answer = await repository.Get($"blobs/{blob.Digest}").Answers(200);
        answer.HasBody(blob.Bytes).HasDigest(blob.Digest);
    }

    private static async Task EmptyBlob(Repository repository)
    {
        var blob = Blob.Empty;
        await repository.PushAsync(blob);
        (await repository.Get($"blobs/{blob.Digest}").Answers(200)).HasLength(0).HasNoBody();
        (await repository.Head($"blobs/{blob.Digest}").Answers(200)).HasLength(0);
    }

    private static async Task BlobHead(Repository repository)
    {
        var blob = Blob.Random(4321);
        await repository.PushAsync(blob);
        var answer = await repository.Head($"blobs/{blob.Digest}").Answers(200);
        answer.HasLength(4321).HasDigest(blob.Digest).HasNoBody();
    }

    private static async Task UnknownBlob(Repository repository)
    {
        await repository.PushImageAsync();
        await repository.LacksBlobAsync(Digest.Unknown());
    }

    private static async Task BlobElsewhere(Repository repository)
    {
        var blob = Blob.Random(100);
        await repository.PushAsync(blob);
        await repository.HasBlobAsync(blob);
        await repository.Second.LacksBlobAsync(blob.Digest);
        await repository.Second.PushImageAsync();
        await repository.Second.LacksBlobAsync(blob.Digest);
    }

    private static async Task MalformedBlobDigest(Repository repository)
    {
        await repository.PushImageAsync();
        await repository.Get("blobs/sha256:baddigeststring").AnswersOneOf(400, 404);
        await repository.Head("blobs/sha256:baddigeststring").AnswersOneOf(400, 404);
    }

    private static async Task BlobUncompressed(Repository repository)
    {
        var blob = Blob.Of(new byte[50_000]);
        await repository.PushAsync(blob);
        var answer = await repository.Get($"blobs/{blob.Digest}").With("Accept-Encoding", "gzip").Answers(200);
        answer.Lacks("Content-Encoding").Lacks("Transfer-Encoding").HasLength(50_000).HasBody(blob.Bytes);
    }

    private static async Task EncodedColon(Repository repository)
    {
        var blob = Blob.Random(100);
        await repository.PushAsync(blob);
        await repository.Get($"blobs/sha256%3A{blob.Digest.Encoded}").Answers(200);
    }
}
