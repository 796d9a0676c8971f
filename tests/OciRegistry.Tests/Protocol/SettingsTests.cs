using System.Net;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Hosting;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>
/// Every route in every mode (CVE-2026-41888: a registry whose read-only mode forgot a route). "Deleting may be disabled":
/// then 405, from all of them.
/// </summary>
public sealed class SettingsTests
{
    private const string ADigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    private const string Upload = "/v2/{name}/blobs/uploads/{session}";

    /// <summary>What each operation does: kept by hand, so that a new route must be thought about here.</summary>
    private static readonly (string Method, string Template, string Path, Effect Effect)[] Operations =
    [
        .. Reads("/v2/", "/v2/"),
        .. Reads("/v2/_catalog", "/v2/_catalog"),
        .. Reads("/v2/{name}/tags/list", "/v2/a/tags/list"),
        .. Reads("/v2/{name}/referrers/{digest}", $"/v2/a/referrers/{ADigest}"),
        .. Reads("/v2/{name}/blobs/{digest}", $"/v2/a/blobs/{ADigest}"),
        ("DELETE", "/v2/{name}/blobs/{digest}", $"/v2/a/blobs/{ADigest}", Effect.Deletes),
        .. Reads("/v2/{name}/manifests/{reference}", "/v2/a/manifests/v1"),
        ("PUT", "/v2/{name}/manifests/{reference}", "/v2/a/manifests/v1", Effect.Changes),
        ("DELETE", "/v2/{name}/manifests/{reference}", "/v2/a/manifests/v1", Effect.Deletes),
        ("POST", "/v2/{name}/blobs/uploads/", "/v2/a/blobs/uploads/", Effect.Changes),
        .. Reads(Upload, "/v2/a/blobs/uploads/0"),
        ("PATCH", Upload, "/v2/a/blobs/uploads/0", Effect.Changes),
        ("PUT", Upload, "/v2/a/blobs/uploads/0", Effect.Changes),
        ("DELETE", Upload, "/v2/a/blobs/uploads/0", Effect.Cancels),
    ];

    private enum Effect
    {
        Reads,
        Changes,
        Deletes,
        Cancels,
    }

    public enum Mode
    {
        Default,
        DeletesOff,
        ReadOnly,
        ReadOnlyAndDeletesOff,
    }

    [Fact]
    public async Task Every_mapped_operation_is_in_the_table()
    {
        await using var registry = await RegistryApp.StartAsync();

        var mapped = registry.Services.GetRequiredService<EndpointDataSource>().Endpoints
            .Where(endpoint => endpoint.Metadata.GetMetadata<RepositoryRoute>() is not null)
            .SelectMany(endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods.Select(
                method => $"{method} {endpoint.Metadata.GetMetadata<RepositoryRoute>()!.Template}"))
            .ToArray();

        mapped.ShouldBe(Operations.Select(o => $"{o.Method} {o.Template}"), ignoreOrder: true);
    }

    [Theory]
    [InlineData(Mode.Default)]
    [InlineData(Mode.DeletesOff)]
    [InlineData(Mode.ReadOnly)]
    [InlineData(Mode.ReadOnlyAndDeletesOff)]
    public async Task Every_operation_does_what_its_mode_allows(Mode mode)
    {
        await using var registry = await RegistryApp.StartAsync(options =>
        {
            options.ReadOnly = mode is Mode.ReadOnly or Mode.ReadOnlyAndDeletesOff;
            options.Deletes.Enabled = mode is Mode.Default or Mode.ReadOnly;
        });

        foreach (var operation in Operations)
        {
            using var response = await registry.Http.RequestAsync(
                operation.Method, operation.Path, operation.Method is "GET" or "HEAD" ? null : Array.Empty<byte>());

            if (IsAllowed(operation.Effect, mode))
            {
                response.StatusCode.ShouldNotBe(HttpStatusCode.MethodNotAllowed, $"{operation}");
                ((int)response.StatusCode).ShouldBeLessThan(500, $"{operation}");
                continue;
            }

            await response.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
            response.Content.Headers.Allow.ShouldBe(
                Operations.Where(o => o.Template == operation.Template && IsAllowed(o.Effect, mode)).Select(o => o.Method),
                ignoreOrder: true,
                $"{operation}");
        }
    }

    [Fact]
    public async Task A_read_only_registry_serves_what_it_has_and_changes_nothing()
    {
        await using var writable = await RegistryApp.StartAsync();
        var layer = RegistryClient.RandomBytes(100);
        var manifest = await writable.Http.PushImageAsync("a", "v1", layer);
        var session = await writable.Http.NewUploadAsync("a");
        var before = FilesIn(writable.Root);

        await using var registry = await RegistryApp.StartAsync(o => o.ReadOnly = true, root: writable.Root);
        var http = registry.Http;
        using var put = await http.PutManifestAsync("a", "v1", RegistryClient.EmptyIndex(), MediaTypes.ImageIndex);
        using var patch = await http.PatchAsync(session, layer);
        using var complete = await http.CompleteAsync(session, Digest.Of(layer).ToString(), layer);
        using var mount = await http.StartUploadAsync("b", $"?mount={Digest.Of(layer)}&from=a");
        using var single = await http.RequestAsync("POST", $"/v2/b/blobs/uploads/?digest={Digest.Of(layer)}", layer);
        using var cancel = await http.RequestAsync("DELETE", session);
        using var tag = await http.RequestAsync("DELETE", "/v2/a/manifests/v1");
        using var digest = await http.RequestAsync("DELETE", $"/v2/a/manifests/{Digest.Of(manifest)}");
        using var blob = await http.RequestAsync("DELETE", $"/v2/a/blobs/{Digest.Of(layer)}");

        foreach (var response in new[] { put, patch, complete, mount, single, cancel, tag, digest, blob })
        {
            await response.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
        }

        FilesIn(writable.Root).ShouldBe(before);
        using var pulled = await http.GetManifestAsync("a", "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        using var pulledLayer = await http.GetBlobAsync("a", Digest.Of(layer));
        await pulledLayer.ShouldBeContentAsync(Digest.Of(layer), layer);
    }

    [Fact]
    public async Task Where_nothing_may_be_deleted_content_stays_and_uploads_can_still_be_cancelled()
    {
        await using var registry = await RegistryApp.StartAsync(o => o.Deletes.Enabled = false);
        var manifest = await registry.Http.PushImageAsync("a", "v1");
        foreach (var path in new[] { "manifests/v1", $"manifests/{Digest.Of(manifest)}", $"blobs/{Digest.Of(manifest)}" })
        {
            using var deleted = await registry.Http.RequestAsync("DELETE", $"/v2/a/{path}");
            await deleted.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
        }

        using var pulled = await registry.Http.GetManifestAsync("a", "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        using var cancelled = await registry.Http.RequestAsync("DELETE", await registry.Http.NewUploadAsync("a"));
        cancelled.StatusCode.ShouldBe(HttpStatusCode.NoContent);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_blob_beyond_the_largest_size_is_answered_with_413_and_the_session_is_gone(bool chunked)
    {
        await using var registry = await RegistryApp.StartAsync(o => o.Uploads.MaxBlobSize = 1_000);
        var http = registry.Http;
        var location = await http.NewUploadAsync("a");
        using var first = await http.PatchAsync(location, RegistryClient.RandomBytes(600), "0-599");

        using var second = await http.PatchAsync(location, RegistryClient.RandomBytes(401), "600-1000", chunked);

        await second.ShouldBeErrorAsync(HttpStatusCode.RequestEntityTooLarge, "SIZE_INVALID");
        using var status = await http.RequestAsync("GET", location);
        await status.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        (await http.PushBlobAsync("a", RegistryClient.RandomBytes(1_000))).Algorithm.ShouldBe(DigestAlgorithm.Sha256);
    }

    [Fact]
    public async Task A_stream_beyond_the_largest_size_is_answered_with_413()
    {
        await using var registry = await RegistryApp.StartAsync(o => o.Uploads.MaxBlobSize = 1_000);

        using var patch = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync("a"), RegistryClient.RandomBytes(1_001), chunked: true);

        await patch.ShouldBeErrorAsync(HttpStatusCode.RequestEntityTooLarge, "SIZE_INVALID");
    }

    private static bool IsAllowed(Effect effect, Mode mode) => effect switch
    {
        Effect.Reads => true,
        Effect.Deletes => mode == Mode.Default,
        _ => mode is Mode.Default or Mode.DeletesOff,
    };

    private static (string, string, string, Effect)[] Reads(string template, string path) =>
        [("GET", template, path, Effect.Reads), ("HEAD", template, path, Effect.Reads)];

    /// <summary>Names and contents, but for locks, which are no content.</summary>
    private static string[] FilesIn(string root) =>
        [.. Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories)
            .Select(file => $"{Path.GetRelativePath(root, file)} {new FileInfo(file).Length}")
            .Order(StringComparer.Ordinal)];
}
