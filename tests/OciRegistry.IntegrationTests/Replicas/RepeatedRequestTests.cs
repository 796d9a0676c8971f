using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R3 and R4.3 with three processes: repeated and concurrent requests, each to any replica, take effect once.</summary>
public sealed class RepeatedRequestTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_chunk_that_is_repeated_elsewhere_while_it_runs_and_after_it_was_acknowledged_counts_once(Shared shared)
    {
        // R3.2: the first stalls, the client gives up and repeats it; both answers may come, in any order.
        await using var replicas = await ReplicaSet.StartAsync(shared);
        for (var round = 0; round < Counts.Of(ci: 4, full: 100); round++)
        {
            var content = RegistryClient.RandomBytes(400_000);
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            using var first = await RawUpload.StartAsync(replicas.Any.Http.BaseAddress!, "PATCH", location, null);
            await first.SendChunkAsync(content.AsMemory(0, 300_000));
            await Until.TrueAsync(async () => await replicas.Any.Http.OffsetAsync(location) > 0, "the first is on record");

            // Its rest comes before, during and after the repetition, or never.
            var finishing = (round % 4) switch
            {
                0 => FinishAsync(),
                1 => Task.CompletedTask,
                _ => Task.Run(FinishAsync),
            };
            await (round % 4 == 0 ? finishing : Task.CompletedTask);
            string end;
            using (var second = await replicas.Any.Http.PatchAsync(location, content, chunked: true))
            {
                await second.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                second.Header("Range").ShouldBe("0-399999");
                end = second.Headers.Location!.ToString();
            }

            using (var third = await replicas.Any.Http.PatchAsync(location, content, chunked: true))
            {
                await third.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                third.Headers.Location!.ToString().ShouldBe(end);
            }

            using (var closed = await replicas.Any.Http.CompleteAsync(end, Digest.Of(content).ToString()))
            {
                await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            }

            await finishing;
            if (round % 4 != 1)
            {
                (await first.StatusAsync()).ShouldBeOneOf(202, 404, 409);
            }

            await replicas.ShouldServeAsync(_repository, content);

            async Task FinishAsync()
            {
                try
                {
                    await first.SendChunkAsync(content.AsMemory(300_000));
                    await first.SendLastChunkAsync();
                }
                catch (System.Net.Sockets.SocketException)
                {
                    // Fenced: the server has ended the connection.
                }
            }
        }

        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
        await replicas.AssertNothingRemainsAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_closing_request_whose_answer_was_lost_is_answered_again_by_any_replica(Shared shared)
    {
        // R3.3, R3.4
        await using var replicas = await ReplicaSet.StartAsync(shared);
        for (var round = 0; round < Counts.Of(ci: 10, full: 1_000); round++)
        {
            var content = RegistryClient.RandomBytes(5_000);
            var digest = Digest.Of(content);
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            using (var patched = await replicas.Any.Http.PatchAsync(location, content))
            {
                location = patched.Headers.Location!.ToString();
            }

            var closing = RegistryClient.WithQuery(location, $"digest={digest}");
            using (var lost = await RawUpload.StartAsync(replicas.Any.Http.BaseAddress!, "PUT", closing, 0))
            {
                if (round % 2 == 0)
                {
                    await Until.TrueAsync(
                        async () => (await replicas.Any.Http.HeadBlobAsync(_repository, digest)).StatusCode == HttpStatusCode.OK,
                        "it is committed");
                }

                lost.Reset();
            }

            var again = await Task.WhenAll(Enumerable.Range(0, 3).Select(
                i => replicas[i].Http.CompleteAsync(location, digest.ToString())));
            foreach (var answer in again)
            {
                using (answer)
                {
                    await answer.ShouldHaveStatusAsync(HttpStatusCode.Created);
                    answer.Headers.Location!.ToString().ShouldBe($"/v2/{_repository}/blobs/{digest}");
                    answer.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
                }
            }

            using var elsewhere = await replicas.Any.Http.CompleteAsync(
                location.Replace(_repository, "another/one", StringComparison.Ordinal), digest.ToString());
            elsewhere.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        await replicas.AssertNoLockIsHeldAsync();
        (await replicas.Storage.RemainsAsync()).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task Fifty_who_push_the_same_blob_to_all_replicas_at_once_all_succeed_and_store_one(Shared shared)
    {
        // R3.5, R4.3
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 1, full: 100) * 1_000_000);
        var digest = Digest.Of(content);
        var repositories = Enumerable.Range(0, 5).Select(_ => RegistryClient.NewRepository()).ToArray();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            var repository = repositories[i % 5];
            var location = await replicas.Any.Http.NewUploadAsync(repository);
            using var patched = await replicas.Any.Http.PatchAsync(location, content, chunked: true);
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            using var closed = await replicas.Any.Http.CompleteAsync(patched.Headers.Location!.ToString(), digest.ToString());
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }));
        (await replicas.Storage.ContentAsync()).Count.ShouldBe(1);
        await replicas.AssertContentIsWholeAsync();
        (await replicas.Storage.RemainsAsync()).ShouldBeEmpty();
        await replicas.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task Images_are_pushed_with_each_request_to_another_replica(Shared shared)
    {
        // R3.6
        await using var replicas = await ReplicaSet.StartAsync(shared);
        await Task.WhenAll(Enumerable.Range(0, Counts.Of(ci: 4, full: 32)).Select(async _ =>
        {
            var repository = RegistryClient.NewRepository();
            var config = RegistryClient.RandomBytes(500);
            byte[][] layers = [.. Enumerable.Range(0, 16).Select(i => RegistryClient.RandomBytes(10_000 * i))];
            await Task.WhenAll(layers.Append(config).Select(
                layer => new RetryingClient(replicas, repository).PushAsync(layer)));
            var manifest = RegistryClient.ImageManifest(config, layers);
            using var put = await replicas.Any.Http.PutManifestAsync(repository, "v1", manifest);
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
            using var pulled = await replicas.Any.Http.GetManifestAsync(repository, "v1");
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        }));
        await replicas.AssertContentIsWholeAsync();
        (await replicas.Storage.RemainsAsync()).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task Different_bodies_at_the_same_offset_leave_one_of_them_never_a_mix(Shared shared)
    {
        // R3.7, R3.8. Lease and waits are long: on a slow machine one who has waited in vain takes over, and then 409 is right.
        await using var replicas = await ReplicaSet.StartAsync(
            shared,
            "OciRegistry:Uploads:OrderWait=00:01:00",
            "OciRegistry:Uploads:FenceWait=00:00:30",
            "OciRegistry:Redis:Lease=00:00:30");
        for (var round = 0; round < Counts.Of(ci: 6, full: 1_000); round++)
        {
            var hasRange = round % 2 == 0;
            var location = await replicas.Any.Http.NewUploadAsync(_repository);
            byte[][] bodies = [.. Enumerable.Range(0, 3).Select(_ => RegistryClient.RandomBytes(50_000))];
            var answers = await Task.WhenAll(bodies.Select((body, i) =>
                replicas[i].Http.PatchAsync(location, body, hasRange ? "0-49999" : null)));
            var statuses = answers.Select(answer => (int)answer.StatusCode).ToArray();
            if (hasRange)
            {
                // Without a lock between them one may find the other's record and take over: by compare-and-swap, once.
                statuses.Count(status => status == 202).ShouldBe(1);
                foreach (var answer in answers.Where(answer => (int)answer.StatusCode is not (202 or 416)))
                {
                    ((int)answer.StatusCode).ShouldBe(409, await answer.Content.ReadAsStringAsync());
                    shared.HasRedis().ShouldBeFalse(await answer.Content.ReadAsStringAsync());
                }

                answers.Where(answer => (int)answer.StatusCode == 416).ShouldAllBe(answer =>
                    answer.Header("Range") == "0-49999" && answer.Headers.Location!.ToString().EndsWith("offset=50000", StringComparison.Ordinal));
            }
            else
            {
                statuses.ShouldAllBe(status => status == 202 || status == 409);
                statuses.ShouldContain(202);
            }

            var sent = bodies.Where((_, i) => statuses[i] == 202).ToArray();
            var created = new List<byte[]>();
            foreach (var body in sent)
            {
                using var closed = await replicas.Any.Http.CompleteAsync(location, Digest.Of(body).ToString());
                if (closed.StatusCode == HttpStatusCode.Created)
                {
                    created.Add(body);
                    break;
                }

                // Not that one: then the session is gone, and its bytes were another's.
                closed.StatusCode.ShouldBeOneOf(HttpStatusCode.BadRequest, HttpStatusCode.NotFound);
            }

            if (sent.Length == 1)
            {
                created.Count.ShouldBe(1);
                await replicas.ShouldServeAsync(_repository, created[0]);
            }
        }

        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNothingRemainsAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [InlineData("offset=-1", 400)]
    [InlineData("offset=1e3", 400)]
    [InlineData("offset=99999999999999999999", 400)]
    [InlineData("offset=9223372036854775807", 416)]
    [InlineData("offset=17", 416)]
    [InlineData("offset=0&offset=0", 400)]
    public async Task A_Location_that_was_tampered_with_is_refused_and_costs_nothing(string tampered, int status)
    {
        await using var replicas = await ReplicaSet.StartAsync(Shared.FolderAndRedis);
        var content = RegistryClient.RandomBytes(2_000);
        var location = await replicas[0].Http.NewUploadAsync(_repository);
        using (var patched = await replicas[1].Http.PatchAsync(location, content[..1_000]))
        {
            location = patched.Headers.Location!.ToString();
        }

        using (var refused = await replicas[2].Http.PatchAsync($"{location.Split('?')[0]}?{tampered}", [1]))
        {
            ((int)refused.StatusCode).ShouldBe(status, await refused.Content.ReadAsStringAsync());
        }

        using (var stolen = await replicas[2].Http.PatchAsync(
            location.Replace(_repository, "some/other", StringComparison.Ordinal), [1]))
        {
            stolen.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        using (var rest = await replicas[0].Http.PatchAsync(location, content[1_000..]))
        {
            await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using var closed = await replicas[1].Http.CompleteAsync(location, Digest.Of(content).ToString());
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }
}
