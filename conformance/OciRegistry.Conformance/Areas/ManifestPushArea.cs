namespace OciRegistry.Conformance.Areas;

internal static class ManifestPushArea
{
    private const int Megabyte = 1 << 20;

    public static Area Area { get; } = new Area("ManifestPush")
        .Must("end-7a: a manifest pushed by tag is answered 201 and a Location that can be pulled", ByTag)
        .Must("end-7a: a manifest pushed by digest is answered 201 and a Location that can be pulled", ByDigest)
        .Must("end-7a: a manifest pushed by tag can be pulled by its digest", TagThenDigest)
        .Must("end-7a: Docker-Content-Digest of the 201, when sent, is the digest of the bytes", DigestWhenSent)
        .Must("end-7a: a manifest is taken with Content-Length as well as streamed", Sized)
        .Should("end-7a: parameters of the Content-Type are ignored", TypeParameters)
        .Must("end-7a: the bytes are kept as they are: white space, key order, escapes, unknown fields", ExactBytes)
        .Must("end-7a: a manifest that is here already is pushed again with 201", PushTwice)
        .Must("end-7a: a tag moves to the manifest pushed last, and the former one stays by digest", TagMoves)
        .Must("end-7a: a push by digest of other bytes is answered 400 and nothing is stored", OtherDigest)
        .Must("end-7a: a malformed digest in the path is answered 400", MalformedDigest)
        .Must("end-7a: a manifest without its blobs is taken, or refused with MANIFEST_BLOB_UNKNOWN", MissingBlobs)
        .Should("end-7a: something that is no manifest is answered 400", NoManifest)
        .Should("end-7a: a manifest of 3.9 MB is taken", Large)
        .Should("end-7a: a manifest beyond the limit is answered 413, whether its length is told or not", TooLarge)
        .Must("image-spec: an image without layers is taken", NoLayers)
        .Must("image-spec: an index is taken after its images", Index)
        .Must("image-spec: an index without manifests is taken", EmptyIndex)
        .Should("image-spec: an index of indexes is taken", NestedIndex)
        .Must("image-spec: an artifact with the empty config {} is taken", Artifact)
        .Must("image-spec: configs and layers of any media type are taken", CustomTypes)
        .Should("image-spec: a descriptor may carry its content in data", Data)
        .Should("image-spec: a nondistributable layer with urls need not be pushed", Nondistributable)
        .Must("end-7: a subject that is not there is no obstacle", MissingSubject)
        .Must("end-7: OCI-Subject names the subject, for a push by tag and by digest", Subject)
        .Must("end-7: OCI-Subject names the subject of an index", IndexSubject)
        .Should("end-7: without a subject there is no OCI-Subject", NoSubject)
        .Must("tags: up to 128 characters of the grammar are taken", GoodTags)
        .Must("tags: anything else is answered 4xx and is no tag", BadTags)
        .Must("tags: a tag of the referrers fallback scheme is a tag like any other", FallbackTag);

    private static async Task ByTag(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await PullsFromLocationAsync(repository, await repository.PutManifest(manifest, "v1").Answers(201), manifest);
    }

    private static async Task ByDigest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await PullsFromLocationAsync(repository, await repository.PutManifest(manifest).Answers(201), manifest);
    }

    private static async Task PullsFromLocationAsync(Repository repository, Answer pushed, Manifest manifest)
    {
        var pulled = await repository.Registry.Request("GET", pushed.Location)
            .With("Accept", manifest.MediaType).Answers(200);
        pulled.HasBody(manifest.Bytes).HasLength(manifest.Bytes.Length).Has("Content-Type", manifest.MediaType);
    }

    private static async Task TagThenDigest(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }

    private static async Task DigestWhenSent(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        foreach (var reference in new[] { "v1", manifest.Digest.ToString() })
        {
            var answer = await repository.PutManifest(manifest, reference).Answers(201);
            answer.HasNoOtherDigest(manifest.Digest);
        }
    }

    private static async Task Sized(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await repository.Put("manifests/v1").WithBody(manifest.Bytes, manifest.MediaType).Answers(201);
        await repository.TagIsAsync("v1", manifest);
    }

    private static async Task TypeParameters(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await repository.Put("manifests/v1")
            .WithBody(manifest.Bytes, manifest.MediaType + "; charset=utf-8").Answers(201);
        (await repository.GetManifest("v1").Answers(200)).Has("Content-Type", manifest.MediaType);
    }

    private static async Task ExactBytes(Repository repository)
    {
        var document = await repository.NewImageAsync();
        document.Annotated("example.unicode", "grüße 😀 \u2028 </script>")
            .With("org.example.unknown", new JsonObject { ["a"] = 1.50m });
        document["layers"]![0]!["org.example.unknown"] = new JsonArray(1, null, "x");
        var text = "\n\t" + document.ToJsonString(new() { WriteIndented = true }) + " \r\n\n";
        var manifest = Manifest.Of(text, MediaTypes.ImageManifest);
        await repository.PushAsync(manifest, "v1");
        await repository.TagIsAsync("v1", manifest);
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }

    private static async Task PushTwice(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.PutManifest(manifest, "v1").Answers(201);
        await repository.PutManifest(manifest).Answers(201);
        await repository.TagIsAsync("v1", manifest);
    }

    private static async Task TagMoves(Repository repository)
    {
        var first = await repository.PushImageAsync("v1");
        var second = await repository.PushImageAsync("v1");
        await repository.TagIsAsync("v1", second);
        await repository.TagIsAsync(first.Digest.ToString(), first);
    }

    private static async Task OtherDigest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        var claimed = Digest.Unknown();
        await repository.PutManifest(manifest, claimed.ToString()).Answers(400);
        await repository.LacksManifestAsync(claimed.ToString());
        await repository.LacksManifestAsync(manifest.Digest.ToString());
    }

    private static async Task MalformedDigest(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        await repository.PutManifest(manifest, "sha256:baddigeststring").Answers(400);
        await repository.PutManifest(manifest, $"sha256:{manifest.Digest.Encoded[1..]}").Answers(400);
    }

    private static async Task MissingBlobs(Repository repository)
    {
        var (config, layer) = (Blob.Random(10), Blob.Random(10));
        var manifest = Manifest.Of(
            Documents.Image(config.Descriptor(MediaTypes.ImageConfig), layer.Descriptor(MediaTypes.Layer)));
        var answer = await repository.PutManifest(manifest, "v1").SendAsync();
        if (answer.Status == 201)
        {
            await repository.TagIsAsync("v1", manifest);
        }
        else
        {
            answer.IsClientError().HasErrorCode("MANIFEST_BLOB_UNKNOWN");
            await repository.LacksManifestAsync("v1");
        }
    }

    private static async Task NoManifest(Repository repository)
    {
        await repository.PushImageAsync("v0");
        foreach (var text in new[] { "", " ", "{", "[]", "null", "\"text\"", "12", "{}x", "<xml/>", "\0" })
        {
            await repository.PutManifest(Manifest.Of(text, MediaTypes.ImageManifest), "v1").Answers(400);
        }

        await repository.LacksManifestAsync("v1");
    }

    private static async Task Large(Repository repository)
    {
        var document = await repository.NewImageAsync();
        var manifest = Manifest.Of(document.Annotated("example.padding", new string('x', 3_900_000)));
        await repository.PushAsync(manifest, "v1");
        await repository.TagIsAsync("v1", manifest);
    }

    // "Registries SHOULD enforce some limit … and respond with 413": which one is theirs, so it is looked for.
    private static async Task TooLarge(Repository repository)
    {
        foreach (var streamed in new[] { false, true })
        {
            Answer? answer = null;
            foreach (var size in new[] { 8 * Megabyte, 64 * Megabyte })
            {
                var document = (await repository.NewImageAsync()).Annotated("example.padding", new string('x', size));
                var manifest = Manifest.Of(document);
                var put = repository.Put("manifests/big").WithBody(manifest.Bytes, manifest.MediaType);
                answer = await (streamed ? put.Streamed() : put).ExpectingContinue().SendAsync();
                if (answer.Status != 201)
                {
                    break;
                }
            }

            answer!.Is(413);
        }
    }

    private static async Task NoLayers(Repository repository)
    {
        var config = Blob.Random(50);
        await repository.PushAsync(config);
        await TakesAsync(repository, Documents.Image(config.Descriptor(MediaTypes.ImageConfig)));
    }

    private static async Task Index(Repository repository)
    {
        var (first, second) = (await repository.PushImageAsync(), await repository.PushImageAsync());
        var platform = new JsonObject { ["architecture"] = "amd64", ["os"] = "linux" };
        var index = Documents.ImageIndex(first.Descriptor().With("platform", platform), second.Descriptor());
        await TakesAsync(repository, index);
    }

    private static Task EmptyIndex(Repository repository) =>
        TakesAsync(repository, Documents.ImageIndex().Annotated("example.of", repository.Name));

    private static async Task NestedIndex(Repository repository)
    {
        var inner = Manifest.Of(Documents.ImageIndex((await repository.PushImageAsync()).Descriptor()));
        await repository.PushAsync(inner);
        await TakesAsync(repository, Documents.ImageIndex(inner.Descriptor()));
    }

    private static async Task Artifact(Repository repository)
    {
        var empty = Blob.Of("{}"u8.ToArray());
        await repository.PushAsync(empty);
        await TakesAsync(repository, Documents
            .Image(empty.Descriptor(MediaTypes.EmptyJson), empty.Descriptor(MediaTypes.EmptyJson))
            .With("artifactType", "application/vnd.example.thing+type"));
    }

    private static async Task CustomTypes(Repository repository)
    {
        var (config, layer) = (Blob.Random(50), Blob.Random(50));
        await repository.PushAsync(config, layer);
        await TakesAsync(repository, Documents.Image(
            config.Descriptor("application/vnd.cncf.helm.config.v1+json"),
            layer.Descriptor("application/vnd.wasm.content.layer.v1+wasm")));
    }

    private static async Task Data(Repository repository)
    {
        var (config, layer) = (Blob.Random(50), Blob.Random(50));
        await repository.PushAsync(config, layer);
        await TakesAsync(repository, Documents.Image(
            config.Descriptor(MediaTypes.ImageConfig).With("data", Convert.ToBase64String(config.Bytes)),
            layer.Descriptor(MediaTypes.Layer)));
    }

    private static async Task Nondistributable(Repository repository)
    {
        var (config, layer) = (Blob.Random(50), Blob.Random(50));
        await repository.PushAsync(config);
        var foreign = layer.Descriptor(MediaTypes.NondistributableLayer)
            .With("urls", new JsonArray("https://layers.example/l"));
        await TakesAsync(repository, Documents.Image(config.Descriptor(MediaTypes.ImageConfig), foreign));
    }

    private static async Task MissingSubject(Repository repository)
    {
        var missing = Manifest.Of(Documents.ImageIndex().Annotated("example.missing", repository.Name));
        await TakesAsync(repository, (await repository.NewImageAsync()).WithSubject(missing));
    }

    private static async Task Subject(Repository repository)
    {
        var subject = await repository.PushImageAsync("v1");
        var referrer = Manifest.Of((await repository.NewImageAsync()).WithSubject(subject));
        (await repository.PutManifest(referrer).Answers(201)).Has("OCI-Subject", subject.Digest.ToString());
        (await repository.PutManifest(referrer, "note").Answers(201)).Has("OCI-Subject", subject.Digest.ToString());
    }

    private static async Task IndexSubject(Repository repository)
    {
        var missing = Manifest.Of(Documents.ImageIndex().Annotated("example.missing", repository.Name));
        var child = await repository.PushImageAsync();
        var index = Manifest.Of(Documents.ImageIndex(child.Descriptor()).WithSubject(missing));
        (await repository.PutManifest(index).Answers(201)).Has("OCI-Subject", missing.Digest.ToString());
    }

    private static async Task NoSubject(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        (await repository.PutManifest(manifest, "v1").Answers(201)).Lacks("OCI-Subject");
    }

    private static async Task GoodTags(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        var longest = new string('t', 128);
        foreach (var tag in new[] { "a", "_", "_a", "0", "V1.2-rc_3", "a..b", "a--b", "a-", "a.", longest })
        {
            await repository.PutManifest(manifest, tag).Answers(201);
            await repository.TagIsAsync(tag, manifest);
        }
    }

    private static async Task BadTags(Repository repository)
    {
        var manifest = await repository.NewManifestAsync();
        var tooLong = new string('t', 129);
        foreach (var tag in new[]
        {
            tooLong, ".a", "-a", "a+b", "a~b", "a%20b", "%C3%BC", "a:b", "a@b", "a%2Fb", "%00",
        })
        {
            await repository.Registry.RawRequest("PUT", $"/v2/{repository.Name}/manifests/{tag}")
                .WithBody(manifest.Bytes, manifest.MediaType).AnswersClientError();
            await repository.Registry.RawRequest("GET", $"/v2/{repository.Name}/manifests/{tag}").AnswersClientError();
        }
    }

    private static async Task FallbackTag(Repository repository)
    {
        var subject = await repository.PushImageAsync();
        var index = Manifest.Of(Documents.ImageIndex(subject.Descriptor()));
        var tag = subject.Digest.ToString().Replace(':', '-');
        await repository.PushAsync(index, tag);
        await repository.TagIsAsync(tag, index);
    }

    private static async Task TakesAsync(Repository repository, JsonObject document)
    {
        var manifest = Manifest.Of(document);
        await repository.PutManifest(manifest, "v1").Answers(201);
        await repository.TagIsAsync("v1", manifest);
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
    }
}
