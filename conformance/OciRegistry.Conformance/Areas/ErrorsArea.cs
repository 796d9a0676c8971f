namespace OciRegistry.Conformance.Areas;

/// <summary>
/// The status of an error is binding. A 4xx body may have any format, so a code of the spec's list is a SHOULD; that a
/// JSON body has the envelope is checked on every answer (<see cref="EveryAnswerArea"/>).
/// </summary>
internal static class ErrorsArea
{
    public static Area Area { get; } = new Area("Errors")
        .Should("code-1: BLOB_UNKNOWN for a blob that is not there", BlobUnknown)
        .Should("code-3: BLOB_UPLOAD_UNKNOWN for a session that is not there", UploadUnknown)
        .Should("code-4: DIGEST_INVALID for bytes of another digest", DigestMismatch)
        .Should("code-4: DIGEST_INVALID for a digest that is none", DigestMalformed)
        .Should("code-6: MANIFEST_INVALID for a manifest that is none", ManifestInvalid)
        .Should("code-7: MANIFEST_UNKNOWN for a tag or digest that is not there", ManifestUnknown)
        .Should("code-8: NAME_INVALID for a name outside the grammar", NameInvalid)
        .Should("code-9: NAME_UNKNOWN for the tags of a repository that is not there", NameUnknown)
        .Should("errors: the envelope is application/json", EnvelopeType)
        .Must("names: a name outside the grammar is answered 4xx, and nothing is stored under it", BadNames)
        .Must("names: no way leads out of the registry by dots, slashes or encodings in the target", Traversal)
        .Must("names: whatever the grammar allows is a repository", GoodNames)
        .Must("names: segments that look like the API are part of a name", NamesLikeRoutes)
        .Must("digests: a malformed digest of a blob is answered 400 or 404", BadDigests)
        .Should("routes: an unknown path is answered 404", UnknownPath)
        .Should("routes: a method that a path does not have is answered 405 with Allow", WrongMethod)
        .Should("routes: an unknown method is answered 405 or 501", UnknownMethod);

    private static async Task BlobUnknown(Repository repository)
    {
        await repository.PushImageAsync();
        (await repository.Get($"blobs/{Digest.Unknown()}").Answers(404)).HasErrorCode("BLOB_UNKNOWN");
        (await repository.Delete($"blobs/{Digest.Unknown()}").Answers(404)).HasErrorCode("BLOB_UNKNOWN");
    }

    private static async Task UploadUnknown(Repository repository)
    {
        await repository.PushImageAsync();
        var path = $"blobs/uploads/{Guid.NewGuid()}";
        (await repository.Get(path).Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
        (await repository.Patch(path).WithBody([1]).Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
        (await repository.Put($"{path}?digest={Digest.Unknown()}").WithBody([1]).Answers(404))
            .HasErrorCode("BLOB_UPLOAD_UNKNOWN");
        (await repository.Delete(path).Answers(404)).HasErrorCode("BLOB_UPLOAD_UNKNOWN");
    }

    private static async Task DigestMismatch(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        (await session.Complete(Digest.Unknown(), [1, 2, 3]).Answers(400)).HasErrorCode("DIGEST_INVALID");
        var manifest = await repository.NewManifestAsync();
        (await repository.PutManifest(manifest, Digest.Unknown().ToString()).Answers(400))
            .HasErrorCode("DIGEST_INVALID");
    }

    private static async Task DigestMalformed(Repository repository)
    {
        var session = await repository.StartUploadAsync();
        (await repository.Registry.Request("PUT", session.LocationWith("digest=sha256:bad")).WithBody([1]).Answers(400))
            .HasErrorCode("DIGEST_INVALID");
        var manifest = await repository.NewManifestAsync();
        (await repository.PutManifest(manifest, "sha256:bad").Answers(400)).HasErrorCode("DIGEST_INVALID");
        (await repository.Get("referrers/sha256:bad").Answers(400)).HasErrorCode("DIGEST_INVALID");
        (await repository.Get("blobs/sha256:bad").AnswersOneOf(400, 404))
            .HasErrorCode("DIGEST_INVALID", "BLOB_UNKNOWN");
    }

    private static async Task ManifestInvalid(Repository repository)
    {
        foreach (var text in new[] { "", "{", "[]" })
        {
            (await repository.PutManifest(Manifest.Of(text, MediaTypes.ImageManifest), "v1").Answers(400))
                .HasErrorCode("MANIFEST_INVALID");
        }
    }

    private static async Task ManifestUnknown(Repository repository)
    {
        await repository.PushImageAsync("v1");
        foreach (var reference in new[] { "v2", Digest.Unknown().ToString() })
        {
            (await repository.GetManifest(reference).Answers(404)).HasErrorCode("MANIFEST_UNKNOWN");
            (await repository.Delete($"manifests/{reference}").Answers(404)).HasErrorCode("MANIFEST_UNKNOWN");
        }
    }

    private static async Task NameInvalid(Repository repository)
    {
        foreach (var name in new[] { "UPPER", "a/-b", "a_/b", "a..b", "a___b" })
        {
            (await repository.Registry.Request("GET", $"/v2/{name}/tags/list").Answers(400))
                .HasErrorCode("NAME_INVALID");
            (await repository.Registry.Request("POST", $"/v2/{name}/blobs/uploads/").WithBody([]).Answers(400))
                .HasErrorCode("NAME_INVALID");
        }
    }

    private static async Task NameUnknown(Repository repository) =>
        (await repository.Get("tags/list").Answers(404)).HasErrorCode("NAME_UNKNOWN");

    private static async Task EnvelopeType(Repository repository)
    {
        var answer = await repository.GetManifest("latest").Answers(404);
        if (answer.ErrorCodes() is []
            || !answer.Header("Content-Type").StartsWith("application/json", StringComparison.Ordinal))
        {
            throw answer.Failure("an error envelope of application/json");
        }
    }

    private static async Task BadNames(Repository repository)
    {
        var good = repository.Name;
        foreach (var name in new[]
        {
            $"{good}A", $"{good}//b", $"{good}/", $"/{good}", $"{good}/-b", $"{good}/b-", $"{good}/.b", $"{good}/b.",
            $"{good}/_b", $"{good}/b_", $"{good}/b..c", $"{good}/b___c", $"{good}/b._c", $"{good}/b+c", $"{good}/b:c",
            $"{good}/b@c", $"{good}/b~c", $"{good}/b%20c", $"{good}/b%5Cc", $"{good}/%C3%BC", $"{good}%00",
            $"{good}%0D%0A", "_catalog", "_oci",
        })
        {
            await RefusedAsync(repository.Registry.RawRequest("POST", $"/v2/{name}/blobs/uploads/").WithBody([]));
            await RefusedAsync(repository.Registry.RawRequest("GET", $"/v2/{name}/tags/list"));
        }
    }

    // A redirect to the cleaned path is a way of saying no, too.
    private static async Task RefusedAsync(Request request)
    {
        var answer = await request.SendAsync();
        if (answer.Status is not (301 or 302 or 307 or 308))
        {
            answer.IsClientError();
        }
    }

    private static async Task Traversal(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var own = $"/v2/{repository.Name}";
        foreach (var target in new[]
        {
            "/v2/../../../../etc/passwd", "/v2/..%2f..%2f..%2fetc%2fpasswd/tags/list", "/v2/%2e%2e/%2e%2e/etc/passwd",
            "/v2/%252e%252e%252f/tags/list", "/v2/..\\..\\windows/tags/list", $"{own}/../../../../etc/blobs/uploads/",
            $"{own}/blobs/..%2f..%2f..%2fetc%2fpasswd", $"{own}/blobs/sha256:..%2f..%2fetc%2fpasswd",
            $"{own}/manifests/..%2f..%2f..%2fetc%2fpasswd", $"{own}/manifests/..", $"{own}%2ftags%2flist%2f..",
            $"{own}/blobs/uploads/..%2f..%2f..%2fetc", $"{own}/referrers/..%2f..%2fetc",
        })
        {
            await RefusedAsync(repository.Registry.RawRequest("GET", target));
        }
    }

    private static async Task GoodNames(Repository repository)
    {
        foreach (var suffix in new[]
        {
            "/0", "/a-b", "/a--b", "/a---b", "/a__b", "/a_b", "/a.b", "/1.2-3_4__5", "/a/b/c/d/e/f",
        })
        {
            await TakesAsync(repository.Below(suffix));
        }
    }

    private static async Task NamesLikeRoutes(Repository repository)
    {
        foreach (var suffix in new[]
        {
            "/manifests", "/manifests/latest", "/tags", "/tags/list", "/blobs", "/blobs/uploads", "/blobs/uploads/a",
            "/referrers", "/v2",
        })
        {
            await TakesAsync(repository.Below(suffix));
        }
    }

    private static async Task TakesAsync(Repository repository)
    {
        var manifest = await repository.PushImageAsync("v1");
        await repository.TagIsAsync("v1", manifest);
        await repository.TagIsAsync(manifest.Digest.ToString(), manifest);
        var answer = await repository.Get("tags/list").Answers(200);
        if (!answer.Strings("tags").SequenceEqual(["v1"]))
        {
            throw answer.Failure("the tags [v1]");
        }
    }

    private static async Task BadDigests(Repository repository)
    {
        await repository.PushImageAsync("v1");
        foreach (var digest in MalformedDigests.InPath(Digest.Unknown()))
        {
            await repository.Get($"blobs/{digest}").AnswersOneOf(400, 404);
            await repository.Head($"blobs/{digest}").AnswersOneOf(400, 404);
            await repository.Delete($"blobs/{digest}").AnswersOneOf(400, 404);
        }
    }

    private static async Task UnknownPath(Repository repository)
    {
        await repository.PushImageAsync("v1");
        var own = $"/v2/{repository.Name}";
        foreach (var path in new[] { "/v1/search?q=a", "/v3/", own, $"{own}/x/y/z", $"{own}/tags" })
        {
            await repository.Registry.Request("GET", path).Answers(404);
        }
    }

    private static async Task WrongMethod(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await NotAllowedAsync(repository.Post("manifests/v1"), "GET", "HEAD", "PUT", "DELETE");
        await NotAllowedAsync(repository.Patch("manifests/v1").WithBody([]), "GET", "HEAD", "PUT", "DELETE");
        await NotAllowedAsync(repository.Put("tags/list").WithBody([]), "GET");
        await NotAllowedAsync(repository.Delete("tags/list"), "GET");
        await NotAllowedAsync(repository.Put($"blobs/{Digest.Unknown()}").WithBody([]), "GET", "HEAD", "DELETE");
        await NotAllowedAsync(repository.Delete($"referrers/{Digest.Unknown()}"), "GET");
        await NotAllowedAsync(repository.Delete("blobs/uploads/"), "POST");
        await NotAllowedAsync(repository.Registry.Request("DELETE", "/v2/"), "GET");
    }

    // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    private static async Task NotAllowedAsync(Request request, params string[] allowed)
    {
        var answer = await request.Answers(405);
        var named = answer.Members("Allow").ToHashSet();
        if (!named.IsSupersetOf(allowed) || named.Contains(request.Method))
        {
            throw answer.Failure($"Allow with {string.Join(", ", allowed)}, and without {request.Method}");
        }
    }

    private static async Task UnknownMethod(Repository repository)
    {
        await repository.PushImageAsync("v1");
        await repository.Request("PROPFIND", "manifests/v1").AnswersOneOf(405, 501);
    }
}
