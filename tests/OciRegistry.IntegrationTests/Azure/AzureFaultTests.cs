using System.Net;
using OciRegistry.IntegrationTests.Replicas;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>
/// Three replicas over a storage that is busy, slow and late, whose answers get lost, and that they die beside: clients
/// that retry nothing notice none of it.
/// </summary>
public sealed class AzureFaultTests(ITestOutputHelper output)
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task New_content_that_is_found_late_is_never_unknown_once_201_was_answered(bool withRedis)
    {
        // R3.9, R0.2
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis);
        var random = new Random(Seed.Next(output));
        var latest = TimeSpan.FromSeconds(Counts.Of(ci: 1, full: 5));
        proxy.HidesNewContentFor = () => latest * random.NextDouble();
        await Parallel.ForAsync(0, Counts.Of(ci: 24, full: 200), async (i, _) =>
        {
            var content = RegistryClient.RandomBytes(10_000);
            var digest = Digest.Of(content);
            for (var replica = 0; replica < replicas.Count; replica++)
            {
                using var unknown = await replicas[replica].Http.HeadBlobAsync(_repository, digest);
                unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            }

            await replicas[i % 3].Http.PushBlobAsync(_repository, content);
            await replicas.ShouldServeAsync(_repository, content);
            for (var replica = 0; replica < replicas.Count; replica++)
            {
                using var found = await replicas[replica].Http.HeadBlobAsync(_repository, digest);
                found.StatusCode.ShouldBe(HttpStatusCode.OK);
            }
        });
    }

    [Theory]
    [InlineData(503, "ServerBusy")]
    [InlineData(500, "InternalError")]
    [InlineData(0, "the answer is lost")]
    [InlineData(-1, "the connection is lost")]
    public async Task Any_one_call_that_fails_is_made_again_and_counts_once(int status, string code)
    {
        // R3.4 at each call. A lost answer is the one that counts: the call has had its effect.
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis: false, "OciRegistry:Uploads:SweepInterval=1.00:00:00");
        var stride = Counts.Of(ci: 4, full: 1);
        var calls = stride;
        for (var failing = new Random(Seed.Next(output)).Next(stride); failing < calls; failing += stride)
        {
            var (seen, hit) = (0, "");
            proxy.Faults = request =>
            {
                if (seen++ != failing)
                {
                    return null;
                }

                hit = request.ToString();
                return status switch
                {
                    > 0 => new StoreFault { Status = status, Code = code },
                    0 => new StoreFault { LosesAnswer = true },
                    _ => new StoreFault { BreaksAfter = 0 },
                };
            };
            await PushAndDeleteAsync(replicas[0].Http, $"{_repository}/{failing}", hit);
            proxy.Faults = null;
            calls = Math.Max(calls, seen);
            output.WriteLine($"{failing} of {seen}: {hit}");
        }

        calls.ShouldBeGreaterThan(30);
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Fact]
    public async Task A_storage_that_fails_and_dawdles_all_the_time_fails_no_push_and_no_pull()
    {
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis: true);
        var random = new Random(Seed.Next(output));
        proxy.Faults = _ => random.Next(12) switch
        {
            0 => new StoreFault { Status = 503 },
            1 => new StoreFault { Status = 500, Code = "OperationTimedOut" },
            2 => new StoreFault { LosesAnswer = true },
            3 => new StoreFault { BreaksAfter = random.Next(200_000) },
            4 => new StoreFault { Delay = TimeSpan.FromMilliseconds(random.Next(300)) },
            _ => null,
        };
        await Parallel.ForAsync(0, Counts.Of(ci: 8, full: 100), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (i, _) =>
        {
            var manifest = await replicas[i % 3].Http.PushImageAsync($"{_repository}/{i}", "v1");
            using var pulled = await replicas[(i + 1) % 3].Http.GetManifestAsync($"{_repository}/{i}", "v1");
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
            var content = RegistryClient.RandomBytes(1_500_000);
            await replicas[i % 3].Http.PushBlobAsync($"{_repository}/{i}", content);
            await replicas.ShouldServeAsync($"{_repository}/{i}", content);
        });
        proxy.Faults = null;
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Fact]
    public async Task A_create_that_needs_several_calls_succeeds_although_each_second_call_fails()
    {
        // The first answer is lost. Then: refused, it is ours, written again. Who begins anew after each failure gets no further.
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis: false, "OciRegistry:Storage:AzureBlobs:RetryFor=00:00:20");
        await replicas[0].Http.PushBlobAsync(_repository, "{}"u8.ToArray());
        var manifest = RegistryClient.ImageManifest("{}"u8.ToArray(), []);
        var calls = new List<StoreRequest>();
        proxy.Faults = request =>
        {
            if (!request.Blob.EndsWith("@v1!", StringComparison.Ordinal) || (calls.Count == 0 && request.Operation != "Put Blob"))
            {
                return null;
            }

            calls.Add(request);
            return calls.Count == 1 ? new StoreFault { LosesAnswer = true }
                : calls.Count % 2 == 1 ? new StoreFault { Status = 503 }
                : null;
        };

        using (var put = await replicas[0].Http.PutManifestAsync(_repository, "v1", manifest))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        output.WriteLine(string.Join('\n', calls));
        proxy.Faults = null;
        using var pulled = await replicas[1].Http.GetManifestAsync(_repository, "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
    }

    [Fact]
    public async Task A_storage_that_stays_away_is_answered_with_503_and_the_push_goes_on_when_it_is_back()
    {
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString),
            withRedis: true,
            "OciRegistry:Storage:AzureBlobs:RetryFor=00:00:00.5",
            "OciRegistry:Uploads:CommitWait=00:00:01");
        var content = RegistryClient.RandomBytes(300_000);
        await replicas[0].Http.PushBlobAsync(_repository, content[..1_000]);
        var location = await replicas[0].Http.NewUploadAsync(_repository);

        proxy.Faults = request => request.Operation == "Put Block" ? new StoreFault { Status = 503 } : null;
        using (var refused = await replicas[1].Http.PatchAsync(location, content))
        {
            await ShouldBeUnavailableAsync(refused);
        }

        proxy.Faults = null;
        (await replicas[2].Http.OffsetAsync(location)).ShouldBe(0);
        using (var patched = await replicas[2].Http.PatchAsync(location, content))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        proxy.Faults = request => request.IsContent ? new StoreFault { Status = 503 } : null;
        using (var refused = await replicas[0].Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            await ShouldBeUnavailableAsync(refused);
        }

        using (var refused = await replicas[1].Http.GetBlobAsync(_repository, Digest.Of(content.AsSpan(..1_000))))
        {
            await ShouldBeUnavailableAsync(refused); // not unknown: it is there, as far as anybody knows
        }

        proxy.Faults = null;
        using (var closed = await replicas[1].Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        await replicas.ShouldServeAsync(_repository, content);
        await replicas.AssertNothingRemainsAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }

    [Fact]
    public async Task A_download_whose_connection_to_the_storage_breaks_goes_on_where_it_was()
    {
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis: false);
        var content = RegistryClient.RandomBytes(3_000_000);
        await replicas[0].Http.PushBlobAsync(_repository, content);
        var random = new Random(Seed.Next(output));
        var broken = 0;
        proxy.Faults = request => request.Operation == "Get Blob" && request.Blob.StartsWith("_data/", StringComparison.Ordinal)
            && broken++ % 9 != 8 // the client library itself goes on five times
                ? new StoreFault { BreaksAfter = random.Next(300_000) }
                : null;
        for (var i = 0; i < Counts.Of(ci: 6, full: 100); i++)
        {
            using var pulled = await replicas[i % 3].Http.GetBlobAsync(_repository, Digest.Of(content));
            await pulled.ShouldBeContentAsync(Digest.Of(content), content);
        }

        broken.ShouldBeGreaterThan(6);
    }

    [Theory]
    [InlineData("PATCH", false)]
    [InlineData("closing PUT", true)]
    [InlineData("PUT with a body", false)]
    [InlineData("PUT of a manifest", true)]
    public async Task A_request_whose_server_is_killed_at_any_call_succeeds_when_it_is_repeated(string request, bool withRedis)
    {
        // R1.1, R1.3, R4.4: the call has had its effect, and the process that made it is gone.
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var replicas = await ReplicaSet.StartAsync(
            await SharedContainer.CreateAsync(proxy.ConnectionString), withRedis, "OciRegistry:Uploads:SweepInterval=1.00:00:00");
        var calls = 0;
        for (var killed = -1; killed < calls; killed += killed < 0 ? 1 : Counts.Of(ci: 3, full: 1)) // the first only counts
        {
            var repository = RegistryClient.NewRepository();
            var content = RegistryClient.RandomBytes(200_000);
            var send = await KilledStepTests.Requests[request](replicas[1].Http, repository, content);
            var seen = 0;
            StoreRequest? last = null;
            proxy.Faults = call =>
            {
                if (seen++ != killed)
                {
                    return null;
                }

                last = call;
                return new StoreFault { After = replicas[0].KillAsync, LosesAnswer = true };
            };
            var died = false; // the others make calls too
            try
            {
                await send(replicas[0].Http);
            }
            catch (HttpRequestException)
            {
                died = true;
            }

            proxy.Faults = null;
            calls = Math.Max(calls, seen);
            output.WriteLine($"{request}, killed at its {killed}. call of {seen}: {last}");
            if (died)
            {
                await replicas.AssertContentIsWholeAsync();
                await send(replicas[2].Http);
            }

            if (last is not null)
            {
                await replicas.StartAsync(0);
            }

            using var pulled = await replicas[1].Http.GetBlobAsync(repository, Digest.Of(content));
            await pulled.ShouldBeContentAsync(Digest.Of(content), content);
            await replicas.AssertNothingRemainsAsync();
        }

        calls.ShouldBeGreaterThan(4);
        await replicas.AssertNoLockIsHeldAsync();
    }

    private static async Task ShouldBeUnavailableAsync(HttpResponseMessage answer)
    {
        await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        int.Parse(answer.Header("Retry-After")!).ShouldBeInRange(1, 30);
    }

    /// <summary>All that changes anything, each with the answer that it has on a storage without faults.</summary>
    private static async Task PushAndDeleteAsync(HttpClient http, string repository, string fault)
    {
        var config = "{}"u8.ToArray();
        var layer = RegistryClient.RandomBytes(100_000);
        await http.PushBlobAsync(repository, config);
        var location = await http.NewUploadAsync(repository);
        using (var patched = await http.PatchAsync(location, layer))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        using (var closed = await http.CompleteAsync(location, Digest.Of(layer).ToString()))
        {
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        var manifest = RegistryClient.ImageManifest(config, [layer]);
        using (var put = await http.PutManifestAsync(repository, "v1", manifest))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        using (var pulled = await http.GetBlobAsync(repository, Digest.Of(layer)))
        {
            await pulled.ShouldBeContentAsync(Digest.Of(layer), layer);
        }

        var cancelled = await http.NewUploadAsync(repository);
        using (var patched = await http.PatchAsync(cancelled, layer))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        string[] deletes =
            [cancelled, $"/v2/{repository}/manifests/v1", $"/v2/{repository}/manifests/{Digest.Of(manifest)}", $"/v2/{repository}/blobs/{Digest.Of(layer)}"];
        foreach (var path in deletes)
        {
            using var deleted = await http.DeleteAsync(path);
            deleted.IsSuccessStatusCode.ShouldBeTrue($"{path} was answered {deleted.StatusCode} ({fault})");
        }

        using var gone = await http.GetManifestAsync(repository, "v1");
        gone.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }
}
