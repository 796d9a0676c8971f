using System.Net;
using OciRegistry.Azure;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>
/// A call to the storage that timed out and was made again lands after calls that were made and acknowledged later. It
/// changes nothing of theirs.
/// </summary>
public sealed class AzureLateCallTests(ITestOutputHelper output) : IAsyncLifetime
{
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _config = "{}"u8.ToArray();
    private AzureStorage _storage = null!;
    private AzuriteProxy _proxy = null!;
    private AzureRegistry _registry = null!;

    private HttpClient Http => _registry.Http;

    public async ValueTask InitializeAsync()
    {
        _storage = await AzureStorage.CreateAsync();
        _proxy = await AzuriteProxy.StartAsync();
        _registry = await AzureRegistry.StartAsync(_storage, _proxy.ConnectionString, new ManualTimeProvider());
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        await _proxy.DisposeAsync();
        await _storage.DeleteAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_tag_that_has_moved_on_is_not_moved_back_by_a_write_that_lands_late(bool isNew)
    {
        await Http.PushBlobAsync(_repository, _config);
        if (!isNew)
        {
            await PutAsync("prod", Manifest(0));
        }

        var late = _proxy.Hold(request => request.Operation == "Put Blob" && IsDocument(request, "_tags", "prod"));
        await OutwaitAsync(late, PutAsync("prod", Manifest(1)));
        await PutAsync("prod", Manifest(2));

        (await late.ReleaseAsync()).ShouldBeOneOf(409, 412);

        using var pulled = await Http.GetManifestAsync(_repository, "prod");
        await pulled.ShouldBeContentAsync(Digest.Of(Manifest(2)), Manifest(2));
    }

    [Fact]
    public async Task A_blob_that_was_pushed_again_is_not_deleted_by_a_delete_that_lands_late()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await Http.PushBlobAsync(_repository, content);
        var late = _proxy.Hold(request => request.Operation == "Delete Blob" && IsDocument(request, "_blobs", digest.ToString()));
        await OutwaitAsync(late, DeleteAsync($"blobs/{digest}"));
        await Http.PushBlobAsync(_repository, content);

        (await late.ReleaseAsync()).ShouldBe(412);

        using var pulled = await Http.GetBlobAsync(_repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Fact]
    public async Task A_deleted_tag_does_not_come_back_by_a_create_that_lands_late_and_can_be_pushed_again()
    {
        await Http.PushBlobAsync(_repository, _config);
        var late = _proxy.Hold(request => request.Operation == "Put Blob" && IsDocument(request, "_tags", "v1"));
        await OutwaitAsync(late, PutAsync("v1", Manifest(1)));
        await PutAsync("v1", Manifest(2)); // overwritten: that the create is on its way is remembered
        await DeleteAsync("manifests/v1");

        (await late.ReleaseAsync()).ShouldBeOneOf(409, 412);

        await AssertTagsAsync();
        using (var gone = await Http.GetManifestAsync(_repository, "v1"))
        {
            gone.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        using (var again = await Http.DeleteAsync($"/v2/{_repository}/manifests/v1"))
        {
            again.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        await PutAsync("v1", Manifest(1));
        await AssertTagsAsync("v1");
        await DeleteAsync("manifests/v1");
        await AssertTagsAsync();
    }

    [Fact]
    public async Task No_call_that_lands_late_changes_what_was_acknowledged_after_it()
    {
        // Each call in turn is held while the same things are deleted and pushed again; then it lands.
        var calls = 1;
        for (var held = 0; held < calls; held += Counts.Of(ci: 9, full: 1))
        {
            var (repository, seen) = ($"{_repository}/{held}", 0);
            var layer = RegistryClient.RandomBytes(1_000);
            var which = held;
            var late = _proxy.Hold(request => request.IsWrite && seen == which);
            _proxy.Faults = request =>
            {
                seen += request.IsWrite ? 1 : 0;
                return null;
            };
            var paths = Array.Empty<string>();
            await OutwaitAsync(late, PushAndDeleteAsync());
            _proxy.Faults = null;
            calls = Math.Max(calls, seen - 1); // the one that was held was made again
            if (held % 2 == 0)
            {
                await PushAsync(repository, layer);
            }

            var request = await late.Reached;
            var status = await late.ReleaseAsync();
            output.WriteLine($"{held} of {seen}: {request}, which landed with {status}");
            var expected = held % 2 == 0 ? HttpStatusCode.OK : HttpStatusCode.NotFound;
            foreach (var path in paths)
            {
                using var found = await Http.RequestAsync("GET", $"/v2/{repository}/{path}");
                found.StatusCode.ShouldBe(expected, $"{path}, after {request} landed with {status}");
            }

            async Task PushAndDeleteAsync()
            {
                var manifest = await PushAsync(repository, layer);
                paths = ["manifests/v1", $"manifests/{Digest.Of(manifest)}", $"blobs/{Digest.Of(layer)}"];
                foreach (var path in paths)
                {
                    using var deleted = await Http.DeleteAsync($"/v2/{repository}/{path}");
                    deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
                }
            }
        }

        calls.ShouldBeGreaterThan(20);
    }

    [Fact]
    public async Task Every_write_and_delete_has_a_condition()
    {
        // A block becomes content only by a list that names it, and nobody reads the probe.
        await PushAsync(_repository, RegistryClient.RandomBytes(1_000));
        var layer = RegistryClient.RandomBytes(1_000);
        var manifest = await PushAsync(_repository, layer);
        await DeleteAsync("manifests/v1");
        await DeleteAsync($"manifests/{Digest.Of(manifest)}");
        await _registry.ExpireAsync(_repository, Digest.Of(layer));
        (await _registry.SweepAsync()).ShouldBe(1);

        var writes = _proxy.TakeRequests().Where(request => request.IsWrite).ToList();

        writes.Count.ShouldBeGreaterThan(30);
        writes.Where(request => !request.IsConditional && request is not { Operation: "Put Block" or "Create Container" } and not { Blob: "probe" })
            .ShouldBeEmpty();
    }

    [Fact]
    public async Task Many_writers_of_one_document_all_succeed_and_leave_one_of_their_writes()
    {
        var key = new DocumentKey("folder", "hot");
        IDocumentStore[] replicas = [_storage.Documents(), _storage.Documents(), _storage.Documents()];
        var contents = Enumerable.Range(0, Counts.Of(ci: 24, full: 100)).Select(_ => RegistryClient.RandomBytes(16)).ToArray();

        await Parallel.ForAsync(0, contents.Length, new ParallelOptions { MaxDegreeOfParallelism = 24 }, async (i, _) =>
        {
            var version = await replicas[i % 3].WriteAsync(key, contents[i], WriteCondition.None, Durability.Synced, default);
            version.ShouldNotBeNull();
        });

        var left = (await replicas[0].ReadAsync(key, default))!.Content.ToArray();
        contents.Any(content => content.SequenceEqual(left)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_tombstone_is_no_document_and_goes_once_no_call_can_be_that_late()
    {
        var (store, key) = (_storage.Documents(), new DocumentKey("folder", "name"));
        var blob = _storage.Container().Blob(AzureNames.Document(key));
        await blob.UploadAsync(Stream.Null, new global::Azure.Storage.Blobs.Models.BlobUploadOptions
        {
            HttpHeaders = new() { ContentType = "application/vnd.oci-registry.deleted" },
            Metadata = new Dictionary<string, string> { ["unsettled"] = "1" },
        });

        (await store.ReadAsync(key, default)).ShouldBeNull();
        (await store.ListAsync("folder", null, 10, default)).ShouldBeEmpty();
        (await store.AnyAsync("folder", default)).ShouldBeFalse();
        (await store.ExistsAsync(key, default)).ShouldBeFalse();
        (await store.DeleteAsync(key, WriteCondition.None, Durability.Synced, default)).ShouldBeFalse();
        (await blob.ExistsAsync()).Value.ShouldBeTrue("it is young");

        var version = await store.WriteAsync(key, new byte[] { 1 }, WriteCondition.Absent, Durability.Synced, default);
        version.ShouldNotBeNull();
        (await store.WriteAsync(key, new byte[] { 2 }, WriteCondition.Absent, Durability.Synced, default)).ShouldBeNull();
        (await store.ReadAsync(key, default))!.Version.ShouldBe(version);
        (await store.ListAsync("folder", null, 10, default)).ShouldBe(["name"]);
        (await store.DeleteAsync(key, WriteCondition.Unchanged(version), Durability.Synced, default)).ShouldBeTrue();
        (await store.ReadAsync(key, default)).ShouldBeNull();
        (await blob.ExistsAsync()).Value.ShouldBeTrue("the late create may still come");

        // The storage's clock is what counts; a proxy has it two hours ahead.
        _proxy.Date = DateTimeOffset.UtcNow.AddHours(2);
        var ahead = new AzureDocumentStore(new SmallBlobs(new AzureContainer(
            new AzureBlobsOptions { ConnectionString = _proxy.ConnectionString, Container = _storage.Options.Container },
            credential: null,
            TimeProvider.System)));
        (await ahead.ListAsync("folder", null, 10, default)).ShouldBeEmpty();
        (await blob.ExistsAsync()).Value.ShouldBeFalse();
    }

    /// <summary>Waits for a request of which one call is held: that call times out, and is made again.</summary>
    private async Task OutwaitAsync(HeldCall late, Task request)
    {
        await Until.TrueAsync(() => late.IsReached || request.IsCompleted, "the call is made");
        late.IsReached.ShouldBeTrue();
        _registry.Time!.Advance(TimeSpan.FromSeconds(16));
        await Until.TrueAsync(
            () =>
            {
                _registry.Time.Advance(TimeSpan.FromMilliseconds(5)); // the pause before it is made again
                return request.IsCompleted;
            },
            "the request is answered");
        await request;
    }

    private byte[] Manifest(int number) =>
        [.. RegistryClient.ImageManifest(_config, []), .. Enumerable.Repeat((byte)'\n', number)];

    private static bool IsDocument(StoreRequest request, string folder, string name) =>
        request.Blob.Contains(folder + "@", StringComparison.Ordinal) && request.Blob.EndsWith($"@{name}!", StringComparison.Ordinal);

    private async Task<byte[]> PushAsync(string repository, byte[] layer)
    {
        await Http.PushBlobAsync(repository, _config);
        await Http.PushBlobAsync(repository, layer);
        var manifest = RegistryClient.ImageManifest(_config, [layer]);
        using var put = await Http.PutManifestAsync(repository, "v1", manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return manifest;
    }

    private async Task PutAsync(string tag, byte[] manifest)
    {
        using var put = await Http.PutManifestAsync(_repository, tag, manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task DeleteAsync(string path)
    {
        using var deleted = await Http.DeleteAsync($"/v2/{_repository}/{path}");
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    private async Task AssertTagsAsync(params string[] tags)
    {
        (await _storage.Documents().ListAsync(RegistryLayout.Tags(RepositoryName.Parse(_repository)), null, 10, default)).ShouldBe(tags);
    }
}
