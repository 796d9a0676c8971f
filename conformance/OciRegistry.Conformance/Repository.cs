namespace OciRegistry.Conformance;

/// <summary>A repository of one check's own, with the steps that lead up to what the check is about.</summary>
internal sealed class Repository(Registry registry, string name, Repository? second = null)
{
    private const string Precondition = "precondition: ";

    public Registry Registry => registry;

    public string Name => name;

    /// <summary>Another repository of the same check, below --repo2.</summary>
    public Repository Second => second ?? throw new InvalidOperationException("A second repository has no second.");

    public Repository Below(string suffix) => new(registry, name + suffix);

    public Request Get(string path) => Request("GET", path);

    public Request Head(string path) => Request("HEAD", path);

    public Request Put(string path) => Request("PUT", path);

    public Request Post(string path) => Request("POST", path).WithBody([]);

    public Request Patch(string path) => Request("PATCH", path);

    public Request Delete(string path) => Request("DELETE", path);

    /// <param name="method">The HTTP method.</param>
    /// <param name="path">What follows <c>/v2/name/</c>.</param>
    public Request Request(string method, string path) => registry.Request(method, $"/v2/{name}/{path}");

    /// <summary>end-3 with every type in Accept, as clients do: some registries hide what is not asked for.</summary>
    public Request GetManifest(string reference) => Get($"manifests/{reference}").With("Accept", MediaTypes.Any);

    public Request HeadManifest(string reference) => Head($"manifests/{reference}").With("Accept", MediaTypes.Any);

    /// <summary>end-7a. Manifests are sent chunked, as the official suite and Jib do.</summary>
    public Request PutManifest(Manifest manifest, string reference) =>
        Put($"manifests/{reference}").WithBody(manifest.Bytes, manifest.MediaType).Streamed();

    public Request PutManifest(Manifest manifest) => PutManifest(manifest, manifest.Digest.ToString());

    public async Task<UploadSession> StartUploadAsync(string query = "") =>
        new(registry, await Post("blobs/uploads/" + query).Answers(202, Precondition + "start an upload session"));

    public async Task PushAsync(params Blob[] blobs)
    {
        foreach (var blob in blobs)
        {
            var session = await StartUploadAsync();
            await session.Complete(blob.Digest, blob.Bytes).Answers(201, Precondition + "push a blob");
        }
    }

    /// <summary>Pushes a manifest by its digest, or by each tag when there are some.</summary>
    public async Task PushAsync(Manifest manifest, params string[] tags)
    {
        foreach (var reference in tags is [] ? [manifest.Digest.ToString()] : tags)
        {
            await PutManifest(manifest, reference).Answers(201, Precondition + "push a manifest");
        }
    }

    /// <summary>The document of an image whose config and layer are already here.</summary>
    public async Task<JsonObject> NewImageAsync(string algorithm = Digest.Sha256)
    {
        var (config, layer) = (Blob.Random(64, algorithm), Blob.Random(256, algorithm));
        await PushAsync(config, layer);
        return Documents.Image(config.Descriptor(MediaTypes.ImageConfig), layer.Descriptor(MediaTypes.Layer));
    }

    /// <summary>A manifest that is ready to be pushed.</summary>
    public async Task<Manifest> NewManifestAsync(string algorithm = Digest.Sha256) =>
        Manifest.Of(await NewImageAsync(), algorithm);

    public async Task<Manifest> PushImageAsync(params string[] tags)
    {
        var manifest = await NewManifestAsync();
        await PushAsync(manifest, tags);
        return manifest;
    }

    /// <summary>Pushes a signature-like artifact about a subject, by digest.</summary>
    public async Task<Manifest> PushReferrerAsync(
        Manifest subject, string? artifactType = "application/vnd.example.note")
    {
        var document = (await NewImageAsync()).WithSubject(subject);
        var referrer = Manifest.Of(artifactType is null ? document : document.With("artifactType", artifactType));
        await PushAsync(referrer);
        return referrer;
    }

    /// <summary>Nothing answers to this reference any more, or yet.</summary>
    public async Task LacksManifestAsync(string reference)
    {
        await HeadManifest(reference).Answers(404);
        await GetManifest(reference).Answers(404);
    }

    public async Task LacksBlobAsync(Digest digest)
    {
        await Head($"blobs/{digest}").Answers(404);
        await Get($"blobs/{digest}").Answers(404);
    }

    public async Task HasBlobAsync(Blob blob)
    {
        var answer = await Get($"blobs/{blob.Digest}").Answers(200);
        answer.HasBody(blob.Bytes);
    }

    /// <summary>The tag answers with this manifest, digest and bytes.</summary>
    public async Task TagIsAsync(string tag, Manifest manifest)
    {
        var answer = await GetManifest(tag).Answers(200);
        answer.HasDigest(manifest.Digest).HasBody(manifest.Bytes);
    }
}
