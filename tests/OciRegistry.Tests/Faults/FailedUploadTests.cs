using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>R1: a failed upload leaves nothing behind, and keeps what it may go on with.</summary>
public sealed class FailedUploadTests
{
    private const int Acknowledged = 100_000;

    public static TheoryData<string, Locks> Transient()
    {
        var data = new TheoryData<string, Locks>();
        foreach (var name in TransientFailures.All.Keys)
        {
            data.Add(name, Locks.Granted);
            data.Add(name, Locks.Never);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Transient))]
    public async Task A_failure_that_may_pass_holds_no_lock_and_keeps_what_was_acknowledged(string failure, Locks locks)
    {
        // R1.1, R1.3, R0.6
        var (plan, status) = TransientFailures.All[failure];
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 2, full: 80); round++)
        {
            var repository = RegistryClient.NewRepository();
            var content = RegistryClient.RandomBytes(400_000);
            var location = await StartAsync(registry, repository, content[..Acknowledged]);

            plan(registry.Plan);
            using (var failed = await registry.Http.PatchAsync(location, content[Acknowledged..]))
            {
                ((int)failed.StatusCode).ShouldBe(status);
                int.Parse(failed.Header("Retry-After")!, null).ShouldBeInRange(1, 30);
                (await failed.ErrorCodesAsync()).ShouldBe(["UNAVAILABLE"]);
            }

            await registry.AssertNoLockIsHeldAsync();
            var offset = await OffsetAsync(registry, location);
            offset.ShouldBeInRange(Acknowledged, content.Length);
            await CompleteFromAsync(registry, repository, location, content, offset);
        }
    }

    [Fact]
    [Trait("staging", "files")]
    public async Task A_session_whose_staged_bytes_are_gone_is_over_when_its_closing_request_has_to_read_them()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(Acknowledged);
        var location = await StartAsync(registry, repository, content);
        foreach (var file in Directory.EnumerateFiles(registry.Root.Staged))
        {
            File.Delete(file);
        }

        var digest = Digest.Of(content, DigestAlgorithm.Sha512); // another algorithm than the bytes were hashed with
        using (var closed = await registry.Http.CompleteAsync(location, digest.ToString()))
        {
            await closed.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        }

        registry.UploadFiles().ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(Transient))]
    public async Task A_client_that_repeats_the_failed_request_is_served(string failure, Locks locks)
    {
        // R1.3, R3.2: whatever of it was recorded, the same request to the same Location is the same request.
        var (plan, _) = TransientFailures.All[failure];
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(400_000);
        var location = await StartAsync(registry, repository, content[..Acknowledged]);

        plan(registry.Plan);
        (await registry.Http.PatchAsync(location, content[Acknowledged..])).Dispose();
        using var repeated = await registry.Http.PatchAsync(location, content[Acknowledged..]);
        repeated.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        repeated.Header("Range").ShouldBe($"0-{content.Length - 1}");
        await CompleteAsync(registry, repository, repeated.Headers.Location!.ToString(), content);
    }

    [Trait("staging", "files")]
    [Theory]
    [InlineData(StoreCall.StagedFork, false)]
    [InlineData(StoreCall.StagedFork, true)]
    [InlineData(StoreCall.StagedAppend, false)]
    public async Task A_takeover_that_fails_costs_no_acknowledged_byte(StoreCall call, bool afterEffect)
    {
        // A writer is stuck in the store with the acknowledged generation open; whoever repeats its request needs another.
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(300_000);
        var location = await StartAsync(registry, repository, content[..Acknowledged]);
        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        var first = registry.Http.PatchAsync(location, content[Acknowledged..]);
        await stuck.Reached;

        registry.Plan.Fail(call, afterEffect: afterEffect);
        using (var failed = await registry.Http.PatchAsync(location, content[Acknowledged..]))
        {
            failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }

        // Its repetition has come to nothing, so what it brings home counts.
        stuck.Release();
        (await first).StatusCode.ShouldBeOneOf(HttpStatusCode.Accepted, HttpStatusCode.Conflict);
        await registry.AssertNoLockIsHeldAsync();
        var offset = await OffsetAsync(registry, location);
        offset.ShouldBeGreaterThanOrEqualTo((await first).StatusCode == HttpStatusCode.Accepted ? content.Length : Acknowledged);
        await CompleteFromAsync(registry, repository, location, content, offset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_goes_away_leaves_what_arrived(bool chunked)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        for (var round = 0; round < Counts.Of(ci: 5, full: 200); round++)
        {
            var repository = RegistryClient.NewRepository();
            var content = RegistryClient.RandomBytes(300_000);
            var location = await StartAsync(registry, repository, content[..Acknowledged]);
            var before = Appends(registry);
            using (var upload = await RawUpload.StartAsync(
                registry.Url, "PATCH", location, chunked ? null : content.Length - Acknowledged))
            {
                var part = content.AsMemory(Acknowledged, 100_000);
                await (chunked ? upload.SendChunkAsync(part) : upload.SendAsync(part));
                await Until.TrueAsync(() => Appends(registry) > before, "bytes arrive");
                upload.Reset();
            }

            await registry.AssertNoLockIsHeldAsync();
            var session = await registry.SessionAsync(location);
            session!.Writer.ShouldBeNull();
            await CompleteFromAsync(registry, repository, location, content, await OffsetAsync(registry, location));
        }
    }

    [Fact]
    public async Task A_client_that_goes_away_while_the_store_fails_leaves_no_lock()
    {
        // R1.2: what cleans up is not cancelled by what failed.
        await using var registry = await FaultyRegistry.StartAsync();
        for (var round = 0; round < Counts.Of(ci: 5, full: 200); round++)
        {
            var repository = RegistryClient.NewRepository();
            var content = RegistryClient.RandomBytes(300_000);
            var location = await StartAsync(registry, repository, content[..Acknowledged]);
            var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
            registry.Plan.Fail(StoreCall.StagedAppend);
            using (var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, 200_000))
            {
                await upload.SendAsync(content.AsMemory(Acknowledged, 50_000));
                await stuck.Reached;
                upload.Reset();
            }

            stuck.Release();
            await registry.AssertNoLockIsHeldAsync();
            (await registry.SessionAsync(location))!.Writer.ShouldBeNull();
            await CompleteFromAsync(registry, repository, location, content, await OffsetAsync(registry, location));
        }
    }

    [Fact]
    public async Task A_body_shorter_than_its_Content_Length_is_kept_as_far_as_it_came()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(50_000);
        var location = await registry.Http.NewUploadAsync(repository);
        using (var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, content.Length))
        {
            await upload.SendAsync(content.AsMemory(0, 20_000));
            await Until.TrueAsync(
                () => registry.UploadFiles().Sum(file => new FileInfo(file).Length) > 20_000, "all bytes are staged");
        }

        await registry.AssertNoLockIsHeldAsync();
        (await OffsetAsync(registry, location)).ShouldBe(20_000);
        await CompleteFromAsync(registry, repository, location, content, 20_000);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task Bytes_with_another_digest_are_final(Locks locks)
    {
        // R1.4
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var repository = RegistryClient.NewRepository();
        var location = await StartAsync(registry, repository, RegistryClient.RandomBytes(1_000));
        using (var refused = await registry.Http.CompleteAsync(location, Digest.Of("else"u8).ToString()))
        {
            refused.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
            (await refused.ErrorCodesAsync()).ShouldBe(["DIGEST_INVALID"]);
        }

        await AssertIsGoneAsync(registry, location);
        registry.BlobFiles().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Too_many_bytes_are_final(bool announced)
    {
        await using var registry = await FaultyRegistry.StartAsync(uploads: uploads => uploads.MaxBlobSize = 1_000_000);
        var location = await StartAsync(registry, RegistryClient.NewRepository(), RegistryClient.RandomBytes(900_000));
        using (var refused = await registry.Http.PatchAsync(
            location, RegistryClient.RandomBytes(100_001), chunked: !announced))
        {
            refused.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        }

        await AssertIsGoneAsync(registry, location);
    }

    [Fact]
    public async Task A_blob_of_exactly_the_limit_is_accepted()
    {
        await using var registry = await FaultyRegistry.StartAsync(uploads: uploads => uploads.MaxBlobSize = 1_000);
        var content = RegistryClient.RandomBytes(1_000);
        var repository = RegistryClient.NewRepository();
        using var patched = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(repository), content, chunked: true);
        await CompleteAsync(registry, repository, patched.Headers.Location!.ToString(), content);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_cancelled_session_is_gone_for_everybody(Locks locks)
    {
        // R1.5
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var location = await StartAsync(registry, RegistryClient.NewRepository(), RegistryClient.RandomBytes(1_000));
        (await registry.Http.DeleteAsync(location)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        using var again = await registry.Http.DeleteAsync(location);
        again.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await again.ErrorCodesAsync()).ShouldBe(["BLOB_UPLOAD_UNKNOWN"]);
        await AssertIsGoneAsync(registry, location);
    }

    [Theory]
    [InlineData(Locks.Granted, false)]
    [InlineData(Locks.Granted, true)]
    [InlineData(Locks.Never, false)]
    [InlineData(Locks.Never, true)]
    public async Task A_request_on_a_session_that_is_cancelled_meanwhile_is_refused_and_leaves_nothing(
        Locks locks, bool beforeItsFirstByte)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var location = await registry.Http.NewUploadAsync(RegistryClient.NewRepository());
        var stuck = registry.Plan.Hold(beforeItsFirstByte ? StoreCall.StagedOpen : StoreCall.StagedAppend);
        var running = registry.Http.PatchAsync(location, RegistryClient.RandomBytes(1_000));
        await stuck.Reached;
        (await registry.Http.DeleteAsync(location)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        stuck.Release();
        ((int)(await running).StatusCode).ShouldBeOneOf(404, 409);
        await AssertIsGoneAsync(registry, location);
    }

    [Fact]
    public async Task A_store_that_is_down_is_no_reason_to_forget_anything()
    {
        // R0.6
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var manifest = await registry.Http.PushImageAsync(repository, "v1");
        var blob = await registry.Http.PushBlobAsync(repository, RegistryClient.RandomBytes(100));
        var location = await StartAsync(registry, repository, RegistryClient.RandomBytes(100));

        foreach (var (with, status) in new (Func<Exception>, HttpStatusCode)[]
        {
            (FaultPlan.Down, HttpStatusCode.ServiceUnavailable), (FaultPlan.Full, HttpStatusCode.InsufficientStorage),
        })
        {
            var down = registry.Plan.FailEverything(with);
            foreach (var (method, path) in new[]
            {
                ("GET", $"/v2/{repository}/blobs/{blob}"), ("GET", $"/v2/{repository}/manifests/v1"),
                ("GET", $"/v2/{repository}/tags/list"), ("GET", "/v2/_catalog"), ("GET", location),
                ("GET", $"/v2/{repository}/referrers/{blob}"), ("POST", $"/v2/{repository}/blobs/uploads/"),
                ("PATCH", location), ("PUT", $"{location}&digest={blob}"), ("DELETE", location),
                ("DELETE", $"/v2/{repository}/blobs/{blob}"), ("DELETE", $"/v2/{repository}/manifests/v1"),
            })
            {
                using var answer = await registry.Http.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));
                answer.StatusCode.ShouldBe(status, $"{method} {path}");
                int.Parse(answer.Header("Retry-After")!, null).ShouldBeInRange(1, 30);
                (await answer.ErrorCodesAsync()).ShouldBe(["UNAVAILABLE"]);
            }

            down.Release();
        }

        await registry.AssertNoLockIsHeldAsync();
        using var pulled = await registry.Http.GetManifestAsync(repository, "v1");
        (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(manifest);
        (await registry.Http.GetBlobAsync(repository, blob)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await OffsetAsync(registry, location)).ShouldBe(100);
    }

    [Theory]
    [InlineData(StoreCall.StagedPublish, false)]
    [InlineData(StoreCall.StagedPublish, true)]
    [InlineData(StoreCall.BlobStat, false)]
    [InlineData(StoreCall.DocumentWrite, false)]
    [InlineData(StoreCall.DocumentWrite, true)]
    [InlineData(StoreCall.DocumentRead, false)]
    [InlineData(StoreCall.DocumentDelete, false)]
    [InlineData(StoreCall.DocumentDelete, true)]
    [InlineData(StoreCall.StagedDiscard, false)]
    [InlineData(StoreCall.StagedDiscard, true)]
    public async Task A_hiccup_of_the_store_after_the_seal_is_not_the_clients_problem(StoreCall call, bool afterEffect)
    {
        // Clients repeat a request that times out, and give up on a status: Jib fails the build.
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, repository, content);
        var firstAfterTheSeal = call switch
        {
            StoreCall.DocumentWrite => 2, // the seal is the first
            StoreCall.DocumentRead => 3, // the session, before and after its lock was taken
            _ => 1,
        };
        registry.Plan.Fail(call, nth: firstAfterTheSeal, afterEffect: afterEffect);
        await CompleteAsync(registry, repository, location, content);
        await registry.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [InlineData(StoreCall.StagedPublish)]
    [InlineData(StoreCall.BlobStat)]
    [InlineData(StoreCall.DocumentWrite)]
    public async Task A_store_that_fails_for_long_answers_503_and_the_repeated_request_goes_on(StoreCall call)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, repository, content);
        var failing = registry.Plan.Fail(call, nth: call == StoreCall.DocumentWrite ? 2 : 1, times: int.MaxValue);
        using (var failed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            failed.Header("Retry-After").ShouldNotBeNull();
        }

        await registry.AssertNoLockIsHeldAsync();
        failing.Release();
        (await registry.Http.DeleteAsync(location)).StatusCode.ShouldBe(HttpStatusCode.Conflict);
        using (var other = await registry.Http.CompleteAsync(location, Digest.Of([]).ToString()))
        {
            await other.ShouldBeErrorAsync(HttpStatusCode.Conflict, "BLOB_UPLOAD_INVALID");
        }

        await CompleteAsync(registry, repository, location, content);
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_blob_in_one_request_whose_client_leaves_is_discarded_at_once()
    {
        // Nobody was told of the session, so nobody can continue it.
        await using var registry = await FaultyRegistry.StartAsync();
        var content = RegistryClient.RandomBytes(1_000_000);
        using var upload = await RawUpload.StartAsync(
            registry.Url, "POST", $"/v2/{RegistryClient.NewRepository()}/blobs/uploads/?digest={Digest.Of(content)}", content.Length);
        await upload.SendAsync(content.AsMemory(0, 900_000));
        await Until.TrueAsync(() => registry.UploadFiles().Any(file => new FileInfo(file).Length > 100_000), "bytes are staged");

        upload.Reset();

        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
        await registry.AssertNoLockIsHeldAsync();
    }

    [Fact]
    public async Task A_store_that_lags_is_waited_for_before_anything_is_said_to_be_there()
    {
        // R3.9: published is what the writing side says; what counts is what a reader finds.
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.CommitWait = TimeSpan.FromMinutes(1));
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, repository, content);
        registry.Plan.HidesContentFromLooks = 3;
        await CompleteAsync(registry, repository, location, content);
        registry.Plan.Journal.Count(call => call.Call == StoreCall.BlobStat).ShouldBe(4);
    }

    [Fact]
    public async Task A_store_that_lags_for_long_answers_503_and_nothing_is_visible_until_it_is_confirmed()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, repository, content);
        registry.Plan.HidesContentFromLooks = int.MaxValue;
        using (var failed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            failed.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }

        registry.Plan.HidesContentFromLooks = 0;
        (await registry.Http.GetBlobAsync(repository, Digest.Of(content))).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await CompleteAsync(registry, repository, location, content);
    }

    [Fact]
    public async Task A_full_store_is_said_at_once_when_closing()
    {
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.CommitWait = TimeSpan.FromMinutes(10));
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, repository, content);
        registry.Plan.Fail(StoreCall.StagedPublish, FaultPlan.Full);
        using (var failed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            failed.StatusCode.ShouldBe(HttpStatusCode.InsufficientStorage);
        }

        await CompleteAsync(registry, repository, await StartAsync(registry, repository, content), content);
    }

    private static async Task<string> StartAsync(FaultyRegistry registry, string repository, byte[] acknowledged)
    {
        using var patched = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(repository), acknowledged);
        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        return patched.Headers.Location!.ToString();
    }

    private static int Appends(FaultyRegistry registry) =>
        registry.Plan.Journal.Count(call => call.Call == StoreCall.StagedAppend);

    private static async Task<long> OffsetAsync(FaultyRegistry registry, string location)
    {
        using var status = await registry.Http.GetAsync(new Uri(location, UriKind.Relative));
        status.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        return long.Parse(status.Header("Range")!.Split('-')[1], null) + 1;
    }

    private static async Task CompleteFromAsync(
        FaultyRegistry registry, string repository, string location, byte[] content, long offset)
    {
        using var rest = await registry.Http.PatchAsync(
            location, content[(int)offset..], $"{offset}-{content.Length - 1}");
        if (offset < content.Length)
        {
            rest.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            rest.Header("Range").ShouldBe($"0-{content.Length - 1}");
        }

        await CompleteAsync(registry, repository, location, content);
    }

    private static async Task CompleteAsync(FaultyRegistry registry, string repository, string location, byte[] content)
    {
        var digest = Digest.Of(content);
        using var created = await registry.Http.CompleteAsync(location, digest.ToString());
        created.StatusCode.ShouldBe(HttpStatusCode.Created, await created.Content.ReadAsStringAsync());
        using var pulled = await registry.Http.GetBlobAsync(repository, digest);
        (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(content);
        registry.AssertBlobsAreWhole();
    }

    private static async Task AssertIsGoneAsync(FaultyRegistry registry, string location)
    {
        await registry.AssertNoLockIsHeldAsync();
        (await registry.Http.GetAsync(new Uri(location, UriKind.Relative))).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await registry.Http.PatchAsync(location, [1])).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await registry.Http.CompleteAsync(location, Digest.Of("x"u8).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
    }
}
