using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// R3.2 to R3.4, R1.8: a client such as Jib sends a whole blob in one chunked PATCH, gives the request up when no answer
/// comes, and sends the same to the same Location. With locks, and without any: then compare-and-swap is all there is.
/// </summary>
public sealed class ReplayTests
{
    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_request_that_is_stuck_in_the_store_is_replaced_by_its_repetition(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 2, full: 100); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await registry.Http.NewUploadAsync(repository);
            var stuck = registry.Plan.Hold(StoreCall.StagedAppend, nth: 1 + (round % 3));
            using var impatience = new CancellationTokenSource();
            var first = PatchAsync(registry, location, content, impatience.Token);
            await stuck.Reached;
            await impatience.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(first);

            using (var second = await PatchAsync(registry, location, content))
            {
                await ShouldHaveAcceptedAsync(second, content);
                location = second.Headers.Location!.ToString();
            }

            using (var closed = await registry.Http.CompleteAsync(location, digest.ToString()))
            {
                await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
            }

            // The first one wakes: what it does is nobody's.
            stuck.Release();
            await registry.AssertNoLockIsHeldAsync();
            await AssertIsThereAsync(registry, repository, digest, content);
            await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
        }
    }

    [Trait("staging", "files")]
    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_paused_writer_that_wakes_between_is_refused_and_changes_nothing(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 2, full: 100); round++)
        {
            var (repository, content, digest) = NewBlob();
            var other = RegistryClient.RandomBytes(content.Length);
            var location = await registry.Http.NewUploadAsync(repository);
            var paused = registry.Plan.Hold(StoreCall.StagedAppend, on: FaultyRegistry.SessionOf(location) + "/0");
            var first = PatchAsync(registry, location, other);
            await paused.Reached;

            var held = registry.Plan.Hold(StoreCall.StagedAppend, on: FaultyRegistry.SessionOf(location) + "/1", nth: 2);
            var second = PatchAsync(registry, location, content);
            await held.Reached;
            paused.Release();
            (await first).StatusCode.ShouldBe(HttpStatusCode.Conflict);

            held.Release();
            using var accepted = await second;
            await ShouldHaveAcceptedAsync(accepted, content);
            using var closed = await registry.Http.CompleteAsync(
                accepted.Headers.Location!.ToString(), digest.ToString());
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
            registry.AssertBlobsAreWhole();
        }
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_writer_that_was_paused_before_it_opened_the_staged_bytes_cuts_nothing_off(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, digest) = NewBlob();
        var half = content.Length / 2;
        var location = await StartAsync(registry, repository, content[..half]);
        var paused = registry.Plan.Hold(StoreCall.StagedOpen);
        var first = registry.Http.PatchAsync(location, RegistryClient.RandomBytes(10));
        await paused.Reached;
        if (locks == Locks.Granted)
        {
            registry.Locks.ForgetAll();
        }

        string end;
        using (var second = await PatchAsync(registry, location, content[half..]))
        {
            await ShouldHaveAcceptedAsync(second, content);
            end = second.Headers.Location!.ToString();
        }

        paused.Release();
        (await first).StatusCode.ShouldBe(HttpStatusCode.Conflict);
        using var closed = await registry.Http.CompleteAsync(end, digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_repetition_of_a_finished_request_is_answered_like_it(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 5, full: 100); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await registry.Http.NewUploadAsync(repository);
            string? end = null;
            for (var repetition = 0; repetition < 3; repetition++)
            {
                using var patched = await PatchAsync(registry, location, content);
                await ShouldHaveAcceptedAsync(patched, content);
                end = patched.Headers.Location!.ToString();
            }

            using var closed = await registry.Http.CompleteAsync(end!, digest.ToString());
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
            registry.UploadFiles().ShouldBeEmpty();
        }
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_repetition_in_the_middle_of_an_upload_keeps_what_was_before_it(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, digest) = NewBlob();
        var third = content.Length / 3;
        var location = await StartAsync(registry, repository, content[..third]);
        string second;
        using (var patched = await PatchAsync(registry, location, content[third..(2 * third)]))
        {
            second = patched.Headers.Location!.ToString();
        }

        using (var repeated = await PatchAsync(registry, location, content[third..(2 * third)]))
        {
            await ShouldHaveAcceptedAsync(repeated, content[..(2 * third)]);
            repeated.Headers.Location!.ToString().ShouldBe(second);
        }

        using var last = await PatchAsync(registry, second, content[(2 * third)..]);
        using var closed = await registry.Http.CompleteAsync(last.Headers.Location!.ToString(), digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_repetition_that_ends_after_its_client_has_gone_on_changes_nothing(Locks locks)
    {
        // Chunks without a byte: the session stands where it stood, but what a repetition may begin at has moved.
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        string end;
        using (var first = await PatchAsync(registry, location, content))
        {
            end = first.Headers.Location!.ToString();
        }

        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        var late = PatchAsync(registry, location, content);
        await stuck.Reached;
        for (var empty = 0; empty < 2; empty++)
        {
            using var patched = await PatchAsync(registry, end, []);
            await ShouldHaveAcceptedAsync(patched, content);
        }

        stuck.Release();
        ((int)(await late).StatusCode).ShouldBeOneOf(202, 409);
        using (var again = await PatchAsync(registry, location, content))
        {
            ((int)again.StatusCode).ShouldBeOneOf(202, 416);
            again.Header("Range").ShouldBe($"0-{content.Length - 1}");
        }

        using var closed = await registry.Http.CompleteAsync(end, digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_repetition_that_breaks_off_destroys_nothing_that_was_acknowledged(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 3, full: 100); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await registry.Http.NewUploadAsync(repository);
            string end;
            using (var patched = await PatchAsync(registry, location, content))
            {
                end = patched.Headers.Location!.ToString();
            }

            using (var broken = await RawUpload.StartAsync(registry.Url, "PATCH", location, length: null))
            {
                await broken.SendChunkAsync(content.AsMemory(0, 1_000 * (round + 1)));
                await Until.TrueAsync(
                    async () => (await registry.SessionAsync(location))!.Writer is not null, "the repetition writes");
                broken.Reset();
            }

            await Until.TrueAsync(
                async () => (await registry.SessionAsync(location))!.Writer is null, "the repetition has ended");
            (await registry.SessionAsync(location))!.Offset.ShouldBe(content.Length);
            using var closed = await registry.Http.CompleteAsync(end, digest.ToString());
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_repetition_that_comes_too_late_does_not_hold_up_the_closing_request(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        string end;
        using (var patched = await PatchAsync(registry, location, content))
        {
            end = patched.Headers.Location!.ToString();
        }

        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        var late = PatchAsync(registry, location, content);
        await stuck.Reached;
        using (var closed = await registry.Http.CompleteAsync(end, digest.ToString()))
        {
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        stuck.Release();
        ((int)(await late).StatusCode).ShouldBeOneOf(404, 409);
        await AssertIsThereAsync(registry, repository, digest, content);
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
    }

    [Trait("staging", "files")]
    [Fact]
    public async Task A_repetition_that_is_overtaken_before_its_fork_is_no_loss_of_staged_bytes()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var (repository, content, digest) = NewBlob();
        var location = await StartAsync(registry, repository, content[..1_000]);
        string end;
        using (var patched = await PatchAsync(registry, location, content[1_000..]))
        {
            end = patched.Headers.Location!.ToString();
        }

        var stuck = registry.Plan.Hold(StoreCall.StagedFork);
        var late = PatchAsync(registry, location, content[1_000..]);
        await stuck.Reached;
        using (var closed = await registry.Http.CompleteAsync(end, digest.ToString()))
        {
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        stuck.Release();
        ((int)(await late).StatusCode).ShouldBeOneOf(404, 409);
        registry.Log.Lines.ShouldNotContain(line => line.Contains("staged", StringComparison.Ordinal));
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
    }

    [Trait("staging", "files")]
    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_replaced_writer_that_never_ends_does_not_slow_down_those_after_it(Locks locks)
    {
        // Its lock is never released; nobody waits for a request that is no longer on record.
        await using var registry = await FaultyRegistry.StartAsync(
            locks, uploads => uploads.OrderWait = TimeSpan.FromMinutes(5));
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        var first = PatchAsync(registry, location, content[..1_000]);
        await stuck.Reached;
        for (var offset = 0; offset < content.Length; offset += 100_000)
        {
            var end = Math.Min(offset + 100_000, content.Length);
            using var patched = await PatchAsync(registry, location, content[offset..end]);
            await ShouldHaveAcceptedAsync(patched, content[..end]);
            location = patched.Headers.Location!.ToString();
        }

        using var closed = await registry.Http.CompleteAsync(location, digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
        registry.Plan.Journal.Count(call => call.Call == StoreCall.StagedFork).ShouldBe(1);
        stuck.Release();
        (await first).StatusCode.ShouldBe(HttpStatusCode.Conflict);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_whole_blob_in_one_closing_request_can_be_repeated_while_it_runs(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        var stuck = registry.Plan.Hold(StoreCall.StagedAppend);
        var first = registry.Http.CompleteAsync(location, digest.ToString(), content);
        await stuck.Reached;
        using (var second = await registry.Http.CompleteAsync(location, digest.ToString(), content))
        {
            await second.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        // The session is gone and the blob is there: that is what the first one wanted.
        stuck.Release();
        using var answer = await first;
        await answer.ShouldHaveCreatedAsync(registry.Http, digest, content);
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
    }

    [Theory]
    [InlineData(Locks.Granted, StoreCall.StagedPublish, false)]
    [InlineData(Locks.Granted, StoreCall.StagedPublish, true)]
    [InlineData(Locks.Granted, StoreCall.StagedDiscard, true)]
    [InlineData(Locks.Granted, StoreCall.DocumentDelete, true)]
    [InlineData(Locks.Never, StoreCall.StagedPublish, false)]
    [InlineData(Locks.Never, StoreCall.StagedPublish, true)]
    [InlineData(Locks.Never, StoreCall.StagedDiscard, true)]
    [InlineData(Locks.Never, StoreCall.DocumentDelete, true)]
    public async Task A_closing_request_that_is_repeated_while_it_runs_is_answered_twice(
        Locks locks, StoreCall stuckIn, bool afterEffect)
    {
        // R3.3, R3.4: the first answer is lost or late; whichever step it was in, the repetition gets its own.
        await using var registry = await FaultyRegistry.StartAsync(
            locks, uploads => uploads.OrderWait = TimeSpan.FromMilliseconds(50));
        var (repository, content, digest) = NewBlob();
        var location = await StartAsync(registry, repository, content);
        var stuck = registry.Plan.Hold(stuckIn, afterEffect: afterEffect);
        var first = registry.Http.CompleteAsync(location, digest.ToString());
        await stuck.Reached;
        using (var second = await registry.Http.CompleteAsync(location, digest.ToString()))
        {
            await second.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        stuck.Release();
        using var late = await first;
        await late.ShouldHaveCreatedAsync(registry.Http, digest, content);
        registry.AssertBlobsAreWhole();
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_closing_request_can_be_repeated_after_the_answer_was_lost(Locks locks)
    {
        // R3.4
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 10, full: 1_000); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await StartAsync(registry, repository, content);
            var committed = registry.Plan.Hold(StoreCall.DocumentDelete, afterEffect: true);
            using (var raw = await RawUpload.StartAsync(
                registry.Url, "PUT", RegistryClient.WithQuery(location, $"digest={digest}"), 0))
            {
                await committed.Reached;
                raw.Reset();
            }

            committed.Release();
            using var repeated = await registry.Http.CompleteAsync(location, digest.ToString());
            await repeated.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }
    }

    /// <summary>Many clients read no answer before they have sent everything: an answer before that resets their connection.</summary>
    [Fact]
    public async Task A_repeated_closing_request_is_answered_after_its_body_was_read()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        using (var first = await registry.Http.CompleteAsync(location, digest.ToString(), content))
        {
            await first.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        await using var raw = await RawHttp.ConnectAsync(registry.Url);
        await raw.SendAsync(
            $"PUT {RegistryClient.WithQuery(location, $"digest={digest}")} HTTP/1.1\r\nHost: {registry.Url.Authority}\r\n"
            + $"Content-Length: {content.Length}\r\nContent-Type: application/octet-stream\r\nExpect: 100-continue\r\n\r\n");
        await raw.ReadContinueAsync(); // the server wants the body, before it answers
        await raw.SendAsync(content);
        (await raw.ReadAsync()).Status.ShouldBe(201);

        // The connection is as good as before.
        await raw.SendAsync($"GET /v2/ HTTP/1.1\r\nHost: {registry.Url.Authority}\r\n\r\n");
        (await raw.ReadAsync()).Status.ShouldBe(200);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task Closing_requests_at_the_same_time_all_succeed(Locks locks)
    {
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 10, full: 500); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await StartAsync(registry, repository, content);
            var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ =>
                registry.Http.CompleteAsync(location, digest.ToString())));
            foreach (var answer in answers)
            {
                await answer.ShouldHaveCreatedAsync(registry.Http, digest, content);
            }
        }

        registry.AssertBlobsAreWhole();
        registry.Log.Lines.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_request_that_has_all_its_bytes_when_its_repetition_comes_is_answered_with_all_of_them()
    {
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.FenceWait = TimeSpan.FromMinutes(1));
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        var location = await registry.Http.NewUploadAsync(repository);
        var last = registry.Plan.Hold(StoreCall.StagedAppend);
        var first = registry.Http.PatchAsync(location, content);
        await last.Reached;
        var second = registry.Http.PatchAsync(location, content);
        await Until.TrueAsync(() => registry.Locks.ReleasesRequested == 1, "the first request is asked to stop");
        last.Release();
        foreach (var answer in await Task.WhenAll(first, second))
        {
            await ShouldHaveAcceptedAsync(answer, content);
        }

        using var closed = await registry.Http.CompleteAsync((await second).Headers.Location!.ToString(), digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Theory]
    [InlineData(Locks.Granted, true)]
    [InlineData(Locks.Never, true)]
    [InlineData(Locks.Always, true)]
    [InlineData(Locks.Granted, false)]
    [InlineData(Locks.Never, false)]
    [InlineData(Locks.Always, false)]
    public async Task A_request_that_is_delivered_after_its_repetition_does_not_fail_that_one(Locks locks, bool isWhole)
    {
        // The client gave the first up; it was under way all the same, whole or in part, and comes when its repetition runs.
        await using var registry = await FaultyRegistry.StartAsync(locks);
        for (var round = 0; round < Counts.Of(ci: 2, full: 100); round++)
        {
            var (repository, content, digest) = NewBlob();
            var location = await registry.Http.NewUploadAsync(repository);
            using var repetition = await RawUpload.StartAsync(registry.Url, "PATCH", location, content.Length);
            await repetition.SendAsync(content.AsMemory(0, 1_000));
            await Until.TrueAsync(
                async () => (await registry.SessionAsync(location))!.Writer is not null, "the repetition is on record");

            using (var late = await RawUpload.StartAsync(registry.Url, "PATCH", location, content.Length))
            {
                await late.SendAsync(isWhole ? content : content.AsMemory(0, 2_000));
                if (isWhole)
                {
                    (await late.StatusAsync()).ShouldBe(202);
                }
                else
                {
                    await Until.TrueAsync(
                        async () => (await registry.SessionAsync(location))!.Writer is { Generation: > 0 }, "the late one is on record");
                    late.Reset();
                }
            }

            await repetition.SendAsync(content.AsMemory(1_000));
            (await repetition.StatusAsync()).ShouldBe(202);
            using var closed = await registry.Http.CompleteAsync(location, digest.ToString());
            await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
            await registry.AssertNoLockIsHeldAsync();
            await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
        }
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_closing_request_that_reads_the_bytes_again_can_be_repeated_while_it_does(Locks locks)
    {
        // R3.3: it is the first to name sha512, which takes a second for each GiB.
        await using var registry = await FaultyRegistry.StartAsync(locks);
        var (repository, content, _) = NewBlob();
        var digest = Digest.Of(content, DigestAlgorithm.Sha512);
        var location = await StartAsync(registry, repository, content);
        var reading = registry.Plan.Hold(StoreCall.StagedRead);
        var first = registry.Http.CompleteAsync(location, digest.ToString());
        await reading.Reached;
        using var second = await registry.Http.CompleteAsync(location, digest.ToString());
        reading.Release();
        await second.ShouldHaveStatusAsync(HttpStatusCode.Created);
        await (await first).ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_closing_request_is_repeatable_only_where_the_blob_is_linked()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var (repository, content, digest) = NewBlob();
        var location = await StartAsync(registry, repository, content);
        (await registry.Http.CompleteAsync(location, digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await registry.Http.CompleteAsync(location, digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await registry.Http.CompleteAsync(location, Digest.Of("else"u8).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.NotFound);
        var elsewhere = location.Replace(repository, RegistryClient.NewRepository(), StringComparison.Ordinal);
        (await registry.Http.CompleteAsync(elsewhere, digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{digest}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await registry.Http.CompleteAsync(location, digest.ToString())).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_lock_service_that_restarts_ends_no_upload()
    {
        // R0.6: without locks, pulls and pushes go on.
        await using var registry = await FaultyRegistry.StartAsync();
        var (repository, content, digest) = NewBlob();
        var location = await registry.Http.NewUploadAsync(repository);
        var held = registry.Plan.Hold(StoreCall.StagedAppend, nth: 2);
        var running = PatchAsync(registry, location, content);
        await held.Reached;
        registry.Locks.LoseAll();
        held.Release();
        using var patched = await running;
        await ShouldHaveAcceptedAsync(patched, content);
        using var closed = await registry.Http.CompleteAsync(patched.Headers.Location!.ToString(), digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Trait("staging", "files")]
    [Fact]
    public async Task A_closing_request_that_must_fork_what_another_commits_finds_it_published()
    {
        // Two commit one session; the second comes to the staged file while the first has it, and forks when it is gone.
        await using var registry = await FaultyRegistry.StartAsync(Locks.Never);
        var (repository, content, digest) = NewBlob();
        var location = await StartAsync(registry, repository, content);
        var staged = registry.Root.StagedGeneration(new(FaultyRegistry.SessionOf(location), 0));
        var fork = registry.Plan.Hold(StoreCall.StagedFork);
        using var busy = OciRegistry.Storage.FileSystem.Posix.OpenReadWrite(staged, create: false)!;
        OciRegistry.Storage.FileSystem.Posix.TryLock(busy).ShouldBeTrue();
        var second = registry.Http.CompleteAsync(location, digest.ToString());
        await fork.Reached;
        busy.Dispose();
        using (var first = await registry.Http.CompleteAsync(location, digest.ToString()))
        {
            await first.ShouldHaveCreatedAsync(registry.Http, digest, content);
        }

        fork.Release();
        using var late = await second;
        await late.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    [Fact]
    public async Task A_repetition_that_was_late_does_not_fence_the_request_after_its_original()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var (repository, content, digest) = NewBlob();
        var half = content.Length / 2;
        var start = await registry.Http.NewUploadAsync(repository);
        string middle;
        using (var patched = await PatchAsync(registry, start, content[..half]))
        {
            middle = patched.Headers.Location!.ToString();
        }

        var held = registry.Plan.Hold(StoreCall.StagedAppend);
        var next = PatchAsync(registry, middle, content[half..]);
        await held.Reached;
        using (var late = await PatchAsync(registry, start, content[..half]))
        {
            late.StatusCode.ShouldBe(HttpStatusCode.Conflict);
            late.Header("Retry-After").ShouldNotBeNull();
        }

        held.Release();
        using var accepted = await next;
        await ShouldHaveAcceptedAsync(accepted, content);
        using var closed = await registry.Http.CompleteAsync(accepted.Headers.Location!.ToString(), digest.ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, digest, content);
    }

    /// <summary>As Jib sends it: the whole blob, chunked, no length, on a connection of its own.</summary>
    private static Task<HttpResponseMessage> PatchAsync(
        FaultyRegistry registry, string location, byte[] content, CancellationToken cancellationToken = default)
    {
        var request = new HttpRequestMessage(HttpMethod.Patch, location) { Content = new ByteArrayContent(content) };
        request.Headers.TransferEncodingChunked = true;
        request.Headers.ConnectionClose = true;
        return registry.Http.SendAsync(request, cancellationToken);
    }

    private static async Task<string> StartAsync(FaultyRegistry registry, string repository, byte[] content)
    {
        using var patched = await PatchAsync(registry, await registry.Http.NewUploadAsync(repository), content);
        await ShouldHaveAcceptedAsync(patched, content);
        return patched.Headers.Location!.ToString();
    }

    private static async Task ShouldHaveAcceptedAsync(HttpResponseMessage response, byte[] content)
    {
        await response.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        response.Header("Range").ShouldBe($"0-{content.Length - 1}");
    }

    private static async Task AssertIsThereAsync(
        FaultyRegistry registry, string repository, Digest digest, byte[] content)
    {
        using var pulled = await registry.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
        registry.AssertBlobsAreWhole();
    }

    private static (string Repository, byte[] Content, Digest Digest) NewBlob()
    {
        var content = RegistryClient.RandomBytes(600_000);
        return (RegistryClient.NewRepository(), content, Digest.Of(content));
    }
}
