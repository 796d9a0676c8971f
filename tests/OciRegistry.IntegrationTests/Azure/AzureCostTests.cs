using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>How many requests to the storage each operation costs: every one is paid for, and takes its time.</summary>
public sealed class AzureCostTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int BlockSize = 1024 * 1024;

    private readonly string _repository = RegistryClient.NewRepository();
    private AzuriteProxy? _proxy;
    private ServerProcess? _server;
    private SharedContainer? _container;

    private HttpClient Http => _server!.Http;

    public async ValueTask InitializeAsync()
    {
        _proxy = await AzuriteProxy.StartAsync();
        _container = await SharedContainer.CreateAsync(_proxy.ConnectionString);
        _server = await ServerProcess.StartWithAsync(
            null,
            [
                .. _container.Settings, $"OciRegistry:Storage:AzureBlobs:BlockSize={BlockSize}",
                "OciRegistry:Uploads:SweepInterval=1.00:00:00",
            ]);
        await Http.PushBlobAsync(_repository, [0]); // the repository is known, and the server warm
        await Until.TrueAsync(() => _proxy.TakeRequests().Count == 0, "the first sweep is over");
    }

    public async ValueTask DisposeAsync()
    {
        await _server!.DisposeAsync();
        await _container!.DisposeAsync();
        await _proxy!.DisposeAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public async Task A_new_blob_of_n_blocks_costs_n_and_an_eighth_and_a_constant(int blocks)
    {
        var content = RegistryClient.RandomBytes(blocks * BlockSize);
        await Http.PushBlobAsync(_repository, content);
        var requests = Take($"push of a new blob of {blocks} blocks");
        requests.Count(request => request.Operation == "Put Block").ShouldBeLessThanOrEqualTo(blocks + 1); // one may end a checkpoint
        requests.Count.ShouldBeLessThanOrEqualTo(blocks + (blocks / 8) + 14);
    }

    [Fact]
    public async Task A_known_blob_costs_three_to_look_for_and_two_to_pull()
    {
        var content = RegistryClient.RandomBytes(3 * BlockSize);
        await Http.PushBlobAsync(_repository, content);
        await using var cold = await ServerProcess.StartWithAsync(
            null, [.. _container!.Settings, "OciRegistry:Uploads:SweepInterval=1.00:00:00"]);
        await Until.TrueAsync(() => _proxy!.TakeRequests().Count == 0, "the first sweep is over");
        using (var head = await cold.Http.HeadBlobAsync(_repository, Digest.Of(content)))
        {
            head.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        Take("HEAD of a blob, as who pushes a known one").Count.ShouldBeLessThanOrEqualTo(3);
        foreach (var range in new[] { null, "bytes=100-2000000" })
        {
            using var pulled = await cold.Http.RequestAsync(
                "GET", $"/v2/{_repository}/blobs/{Digest.Of(content)}", range is null ? [] : [("Range", range)]);
            (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(range is null ? content : content[100..2_000_001]);
            Take($"pull of a blob, {range ?? "whole"}").Count.ShouldBeLessThanOrEqualTo(2);
        }
    }

    [Fact]
    public async Task A_manifest_costs_two_requests_for_each_reference_and_seven_more()
    {
        byte[][] layers = [.. Enumerable.Range(0, 8).Select(i => RegistryClient.RandomBytes(1_000 + i))];
        var config = "{}"u8.ToArray();
        foreach (var blob in layers.Append(config))
        {
            await Http.PushBlobAsync(_repository, blob);
        }

        var manifest = RegistryClient.ImageManifest(config, layers);
        _proxy!.TakeRequests();
        using (var put = await Http.PutManifestAsync(_repository, "v1", manifest))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        Take("PUT of a manifest with 9 references").Count.ShouldBeLessThanOrEqualTo((2 * 9) + 7); // one for the audit log: what the tag was before
        using (var pulled = await Http.GetManifestAsync(_repository, "v1"))
        {
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        }

        Take("GET of a manifest by tag").Count.ShouldBeLessThanOrEqualTo(2);
    }

    [Fact]
    public async Task A_large_manifest_costs_one_more_the_first_time()
    {
        var manifest = RegistryClient.ImageIndex([], artifactType: $"a/{new string('x', 200_000)}");
        using (var put = await Http.PutManifestAsync(_repository, "v1", manifest, MediaTypes.ImageIndex))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        _proxy!.TakeRequests();
        foreach (var cost in new[] { 3, 2 })
        {
            using (var pulled = await Http.GetManifestAsync(_repository, "v1"))
            {
                await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
            }

            Take("GET of a large manifest by tag").Count.ShouldBeLessThanOrEqualTo(cost);
        }
    }

    [Fact]
    public async Task A_tag_that_this_replica_wrote_last_moves_at_the_cost_of_a_new_one_and_any_other_for_two_more()
    {
        var config = "{}"u8.ToArray();
        await Http.PushBlobAsync(_repository, config);
        await using var other = await ServerProcess.StartWithAsync(
            null, [.. _container!.Settings, "OciRegistry:Uploads:SweepInterval=1.00:00:00"]);
        await Until.TrueAsync(() => _proxy!.TakeRequests().Count == 0, "the first sweep is over");
        var costs = new List<int>();
        foreach (var (http, number) in new[] { (Http, 0), (Http, 1), (other.Http, 2) })
        {
            byte[] manifest = [.. RegistryClient.ImageManifest(config, []), .. Enumerable.Repeat((byte)'\n', number)];
            using var put = await http.PutManifestAsync(_repository, "v1", manifest);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
            costs.Add(Take($"PUT of a manifest with a reference, {number}. move of its tag").Count);
        }

        costs[0].ShouldBeLessThanOrEqualTo(2 + 7);
        costs[1].ShouldBeLessThanOrEqualTo(2 + 7);
        costs[2].ShouldBeLessThanOrEqualTo(2 + 7 + 2 + 2); // its pointer and its reverse link are not known yet
    }

    [Fact]
    public async Task A_blob_is_deleted_for_the_same_and_for_two_more_where_another_replica_has_written_its_links()
    {
        await using var other = await ServerProcess.StartWithAsync(
            null, [.. _container!.Settings, "OciRegistry:Uploads:SweepInterval=1.00:00:00"]);
        foreach (var (http, cost) in new[] { (Http, 8), (other.Http, 10) })
        {
            var digest = await Http.PushBlobAsync(_repository, RegistryClient.RandomBytes(1_000));
            await Until.TrueAsync(() => _proxy!.TakeRequests().Count == 0, "the first sweep is over");
            using var deleted = await http.DeleteAsync($"/v2/{_repository}/blobs/{digest}");
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            Take("DELETE of a blob").Count.ShouldBeLessThanOrEqualTo(cost);
        }
    }

    [Fact]
    public async Task A_manifest_is_deleted_for_five_requests_for_each_tag_and_ten_more()
    {
        const int tags = 5;
        var manifest = RegistryClient.EmptyIndex();
        var query = string.Join('&', Enumerable.Range(0, tags).Select(i => $"tag=v{i}"));
        using (var put = await Http.PutManifestAsync(
            _repository, $"{Digest.Of(manifest)}?{query}", manifest, MediaTypes.ImageIndex))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        _proxy!.TakeRequests();
        using var deleted = await Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest.Of(manifest)}");
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        var requests = Take($"DELETE of a manifest with {tags} tags");

        // None for the audit log. What the delete would break costs a look, a list, and each manifest of the repository once.
        requests.Count(request => request.Operation == "Get Blob").ShouldBeLessThanOrEqualTo((3 * tags) + 3);
        requests.Count.ShouldBeLessThanOrEqualTo((5 * tags) + 10);
    }

    [Fact]
    public async Task Nothing_lists_but_lists()
    {
        var manifest = await Http.PushImageAsync(_repository, "v1");
        using (var pulled = await Http.GetManifestAsync(_repository, "v1"))
        {
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        }

        var location = await Http.NewUploadAsync(_repository);
        using (var patched = await Http.PatchAsync(location, [1]))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        (await Http.DeleteAsync(location)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        Take("push and pull of an image, and a cancelled upload")
            .ShouldNotContain(request => request.Operation == "List Blobs");
    }

    /// <summary>The requests since they were last taken, printed by kind.</summary>
    private List<StoreRequest> Take(string what)
    {
        var requests = _proxy!.TakeRequests();
        var kinds = requests.GroupBy(request => request.Operation).Select(kind => $"{kind.Count()} {kind.Key}");
        output.WriteLine($"{what}: {requests.Count} requests: {string.Join(", ", kinds)}");
        return requests;
    }
}
