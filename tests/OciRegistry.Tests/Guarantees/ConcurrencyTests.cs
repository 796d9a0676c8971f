using System.Net;
using System.Text.Json.Nodes;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Guarantees;

/// <summary>R3: concurrent and repeated requests are ordered, and each takes effect once.</summary>
public sealed class ConcurrencyTests
{
    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task Fifty_who_push_the_same_blob_at_once_all_succeed_and_store_one(Locks locks)
    {
        // R3.5
        await using var registry = await FaultyRegistry.StartAsync(locks);
        await using var other = await FaultyRegistry.StartAsync(locks, root: registry.Root.Root);
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 200_000, full: 100 * 1024 * 1024));
        var digest = Digest.Of(content);
        var repositories = Enumerable.Range(0, 5).Select(_ => RegistryClient.NewRepository()).ToArray();
        var answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            var http = (i % 2 == 0 ? registry : other).Http;
            var location = await http.NewUploadAsync(repositories[i % 5]);
            using var patched = await http.PatchAsync(location, content, chunked: true);
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            return await http.CompleteAsync(patched.Headers.Location!.ToString(), digest.ToString());
        }));
        answers.Select(answer => answer.StatusCode).Distinct().ShouldBe([HttpStatusCode.Created]);
        registry.BlobFiles().Count.ShouldBe(1);
        registry.AssertBlobsAreWhole();
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task Different_bodies_at_the_same_offset_by_Content_Range_have_one_winner(Locks locks)
    {
        // R3.7
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 10, full: 1_000); round++)
        {
            var repository = RegistryClient.NewRepository();
            var location = await registry.Http.NewUploadAsync(repository);
            byte[][] bodies = [.. Enumerable.Range(0, 3).Select(_ => RegistryClient.RandomBytes(50_000))];
            var answers = await Task.WhenAll(bodies.Select(body =>
                registry.Http.PatchAsync(location, body, "0-49999")));
            var statuses = answers.Select(answer => (int)answer.StatusCode).ToArray();
            statuses.ShouldAllBe(status => status == 202 || status == 416 || status == 409);
            statuses.Count(status => status == 202).ShouldBe(1);
            if (locks == Locks.Granted)
            {
                statuses.Count(status => status == 416).ShouldBe(2);
            }

            foreach (var refused in answers.Where(answer => (int)answer.StatusCode == 416))
            {
                refused.Header("Range").ShouldBe("0-49999");
                refused.Headers.Location!.ToString().ShouldEndWith("offset=50000");
            }

            var winner = Array.FindIndex(statuses, status => status == 202);
            await AssertBecomesAsync(registry, repository, answers[winner], [bodies[winner]]);
        }
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task Different_bodies_at_the_same_Location_leave_one_of_them_never_a_mix(Locks locks)
    {
        // R3.7
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 10, full: 1_000); round++)
        {
            var repository = RegistryClient.NewRepository();
            var location = await registry.Http.NewUploadAsync(repository);
            byte[][] bodies = [.. Enumerable.Range(0, 3).Select(_ => RegistryClient.RandomBytes(50_000))];
            var answers = await Task.WhenAll(bodies.Select(body => registry.Http.PatchAsync(location, body)));
            answers.ShouldAllBe(answer => (int)answer.StatusCode == 202 || (int)answer.StatusCode == 409);
            await AssertBecomesAsync(
                registry, repository, answers.First(answer => (int)answer.StatusCode == 202), bodies);
        }
    }

    [Theory]
    [InlineData(0, 10, 5)]
    [InlineData(10, 10, 5)]
    [InlineData(10, 10, 11)]
    [InlineData(10, 10, 1_000_000)]
    public async Task A_chunk_at_the_wrong_place_costs_nothing(int first, int second, int wrong)
    {
        // R3.8
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(first + second);
        var location = await registry.Http.NewUploadAsync(repository);
        if (first > 0)
        {
            using var patched = await registry.Http.PatchAsync(location, content[..first]);
            location = patched.Headers.Location!.ToString();
        }

        using (var refused = await registry.Http.PatchAsync(location, [1, 2], $"{wrong}-{wrong + 1}"))
        {
            refused.StatusCode.ShouldBe(HttpStatusCode.RequestedRangeNotSatisfiable);
            refused.Header("Range").ShouldBe($"0-{Math.Max(0, first - 1)}");
            refused.Headers.Location!.ToString().ShouldEndWith($"offset={first}");
            var detail = JsonNode.Parse(await refused.Content.ReadAsStringAsync())!["errors"]![0]!["detail"]!;
            ((int)detail["expected"]!).ShouldBe(first);
            ((int)detail["received"]!).ShouldBe(wrong);
        }

        using var rest = await registry.Http.PatchAsync(location, content[first..], $"{first}-{content.Length - 1}");
        await AssertBecomesAsync(registry, repository, rest, [content]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public async Task Closing_an_upload_reads_and_copies_none_of_its_bytes(int mebibytes)
    {
        // R3.1: hash while streaming, stage while streaming, commit is metadata.
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(mebibytes * 1024 * 1024);
        using var patched = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(repository), content, chunked: true);
        var before = registry.Plan.Journal.Count;
        using var created = await registry.Http.CompleteAsync(
            patched.Headers.Location!.ToString(), Digest.Of(content).ToString());
        created.StatusCode.ShouldBe(HttpStatusCode.Created);
        var calls = registry.Plan.Journal.Skip(before).Select(call => call.Call).ToArray();
        calls.Length.ShouldBeLessThanOrEqualTo(15);
        calls.ShouldNotContain(StoreCall.StagedRead);
        calls.ShouldNotContain(StoreCall.StagedFork);
        calls.ShouldNotContain(StoreCall.StagedAppend);
        calls.ShouldNotContain(StoreCall.BlobRead);
    }

    [Trait("staging", "files")]
    [Fact]
    public async Task Chunks_without_a_lock_service_are_appended_in_place()
    {
        await using var registry = await FaultyRegistry.StartAsync(Locks.Never);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100_000);
        var location = await registry.Http.NewUploadAsync(repository);
        HttpResponseMessage? last = null;
        for (var offset = 0; offset < content.Length; offset += 5_000)
        {
            last?.Dispose();
            last = await registry.Http.PatchAsync(location, content[offset..(offset + 5_000)]);
            location = last.Headers.Location!.ToString();
        }

        registry.Plan.Journal.ShouldNotContain(call => call.Call == StoreCall.StagedFork);
        await AssertBecomesAsync(registry, repository, last!, [content]);
    }

    [Fact]
    public async Task The_reverse_link_stands_whenever_the_link_does()
    {
        // What is linked is never collected, whatever dies in between.
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var digest = await registry.Http.PushBlobAsync(repository, RegistryClient.RandomBytes(100));
        var name = RepositoryName.Parse(repository);
        var reverse = (StoreCall.DocumentWrite, RegistryLayout.Link(digest, name).ToString());
        var link = (StoreCall.DocumentWrite, RegistryLayout.RepositoryBlob(name, digest).ToString());
        var calls = registry.Plan.Journal.ToList();
        calls.IndexOf(reverse).ShouldBeInRange(0, calls.IndexOf(link));
        calls.FindLastIndex(call => call == (StoreCall.DocumentRead, reverse.Item2)).ShouldBeGreaterThan(calls.IndexOf(link));

        await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{digest}");
        calls = [.. registry.Plan.Journal];
        calls.IndexOf((StoreCall.DocumentDelete, link.Item2))
            .ShouldBeInRange(0, calls.IndexOf((StoreCall.DocumentDelete, reverse.Item2)));
    }

    [Fact]
    public async Task A_blob_that_is_deleted_and_pushed_at_once_is_held_by_both_links_or_by_none()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100);
        var digest = Digest.Of(content);
        for (var round = 0; round < Counts.Of(ci: 20, full: 1_000); round++)
        {
            var push = registry.Http.PushBlobAsync(repository, content);
            var delete = registry.Http.DeleteAsync($"/v2/{repository}/blobs/{digest}");
            await Task.WhenAll(push, delete);
            ((int)(await delete).StatusCode).ShouldBeOneOf(202, 404);

            // The reverse link is what keeps the content from being collected.
            var isThere = (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode == HttpStatusCode.OK;
            var reverse = registry.Root.Document(RegistryLayout.Link(digest, RepositoryName.Parse(repository)));
            File.Exists(reverse).ShouldBe(isThere);
            (isThere && !(await File.ReadAllTextAsync(reverse)).EndsWith("linked", StringComparison.Ordinal))
                .ShouldBeFalse();
        }
    }

    /// <summary>The upload is closed as one of the contents, and is that when it is pulled.</summary>
    private static async Task AssertBecomesAsync(
        FaultyRegistry registry, string repository, HttpResponseMessage patched, byte[][] contents)
    {
        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        var location = patched.Headers.Location!.ToString();
        using var hash = ResumableHash.Resume((await registry.SessionAsync(location))!.Hash!);
        var content = contents.Single(candidate => Digest.Of(candidate) == hash.Digest());
        using var created = await registry.Http.CompleteAsync(location, hash.Digest().ToString());
        await created.ShouldHaveCreatedAsync(registry.Http, hash.Digest(), content);
        (await registry.Http.HeadBlobAsync(repository, hash.Digest())).StatusCode.ShouldBe(HttpStatusCode.OK);
    }
}
