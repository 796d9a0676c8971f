namespace OciRegistry.Conformance.Areas;

/// <summary>The Docker media types: not in the spec, but what docker and most images still have.</summary>
internal static class DockerTypesArea
{
    public static Area Area { get; } = new Area("DockerTypes")
        .Should("docker: a schema 2 manifest is kept with its bytes and type", Schema2)
        .Should("docker: a manifest list is kept with its bytes and type", ManifestList)
        .Should("docker: a foreign layer with urls need not be pushed", ForeignLayer)
        .Should("docker: an OCI index may refer to Docker manifests", MixedIndex)
        .Should("docker: a Docker manifest is sent as it is, whatever Accept says", NoConversion)
        .Should("docker: schema 1 is refused with 4xx", Schema1)
        .Should("docker: a Docker manifest is deleted by digest", Deleted);

    private static async Task<Manifest> NewAsync(Repository repository)
    {
        var (config, layer) = (Blob.Random(64), Blob.Random(256));
        await repository.PushAsync(config, layer);
        return Manifest.Of(Documents
            .Image(config.Descriptor(MediaTypes.DockerConfig), layer.Descriptor(MediaTypes.DockerLayer))
            .With("mediaType", MediaTypes.DockerManifest));
    }

    private static async Task KeepsAsync(Repository repository, Manifest manifest)
    {
        await repository.PutManifest(manifest, "v1").Answers(201);
        foreach (var reference in new[] { "v1", manifest.Digest.ToString() })
        {
            await repository.TagIsAsync(reference, manifest);
            (await repository.Get($"manifests/{reference}").With("Accept", manifest.MediaType).Answers(200))
                .HasBody(manifest.Bytes).Has("Content-Type", manifest.MediaType);
        }
    }

    private static async Task Schema2(Repository repository) =>
        await KeepsAsync(repository, await NewAsync(repository));

    private static async Task ManifestList(Repository repository)
    {
        var child = await NewAsync(repository);
        await repository.PushAsync(child);
        var platform = new JsonObject { ["architecture"] = "amd64", ["os"] = "linux" };
        await KeepsAsync(repository, Manifest.Of(Documents
            .ImageIndex(child.Descriptor().With("platform", platform))
            .With("mediaType", MediaTypes.DockerManifestList)));
    }

    private static async Task ForeignLayer(Repository repository)
    {
        var (config, layer) = (Blob.Random(64), Blob.Random(64));
        await repository.PushAsync(config);
        var foreign = layer.Descriptor(MediaTypes.DockerForeignLayer)
            .With("urls", new JsonArray("https://layers.example/l"));
        await KeepsAsync(repository, Manifest.Of(Documents
            .Image(config.Descriptor(MediaTypes.DockerConfig), foreign)
            .With("mediaType", MediaTypes.DockerManifest)));
    }

    private static async Task MixedIndex(Repository repository)
    {
        var child = await NewAsync(repository);
        await repository.PushAsync(child);
        await KeepsAsync(repository, Manifest.Of(Documents.ImageIndex(child.Descriptor())));
    }

    private static async Task NoConversion(Repository repository)
    {
        var manifest = await NewAsync(repository);
        await repository.PushAsync(manifest, "v1");
        foreach (var accept in new[] { "*/*", MediaTypes.ImageManifest, $"{MediaTypes.DockerManifestList}, */*;q=0.1" })
        {
            var answer = await repository.Get("manifests/v1").With("Accept", accept).Answers(200);
            answer.HasBody(manifest.Bytes).Has("Content-Type", manifest.MediaType);
        }
    }

    private static async Task Schema1(Repository repository)
    {
        var document = new JsonObject
        {
            ["schemaVersion"] = 1,
            ["name"] = repository.Name,
            ["tag"] = "v1",
            ["architecture"] = "amd64",
            ["fsLayers"] = new JsonArray(),
            ["history"] = new JsonArray(),
            ["signatures"] = new JsonArray(),
        };
        var manifest = Manifest.Of(document.ToJsonString(), MediaTypes.DockerSchema1);
        await repository.PutManifest(manifest, "v1").AnswersClientError();
        await repository.LacksManifestAsync("v1");
    }

    private static async Task Deleted(Repository repository)
    {
        var manifest = await NewAsync(repository);
        await repository.PushAsync(manifest, "v1");
        await repository.Delete($"manifests/{manifest.Digest}").Answers(202);
        await repository.LacksManifestAsync("v1");
    }
}
