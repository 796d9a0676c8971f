using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Uploads;

/// <summary>R1.6: nobody cleans up, so we do; and what a reboot means for sessions.</summary>
public sealed class UploadExpiryTests
{
    [Fact]
    public async Task An_idle_session_goes_with_all_its_bytes_and_not_before_its_time()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var location = await StartAsync(registry, RegistryClient.RandomBytes(1_000));
        time.Advance(TimeSpan.FromHours(23));
        await registry.SweepAsync();
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NoContent);

        // Bytes count as activity, asking does not.
        (await registry.Http.PatchAsync(location, [1])).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        time.Advance(TimeSpan.FromHours(23));
        await registry.SweepAsync();
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NoContent);
        time.Advance(TimeSpan.FromHours(2));
        await registry.SweepAsync();
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
        await registry.AssertNoLockIsHeldAsync();
    }

    [Fact]
    public async Task An_idle_session_goes_without_a_lock_service_too()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(Locks.Never, time: time);
        var location = await StartAsync(registry, RegistryClient.RandomBytes(1_000));
        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_session_that_never_ends_goes_after_a_week()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var location = await StartAsync(registry, [0]);
        for (var day = 1; day <= 7; day++)
        {
            time.Advance(TimeSpan.FromHours(23.9));
            using var patched = await registry.Http.PatchAsync(location, [1]);
            patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
            await registry.SweepAsync();
        }

        time.Advance(TimeSpan.FromHours(2));
        await registry.SweepAsync();
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_request_that_runs_keeps_its_session_alive_however_slow_its_client_is()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var repository = RegistryClient.NewRepository();
        var location = await registry.Http.NewUploadAsync(repository);
        using var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        var content = RegistryClient.RandomBytes(2_000);
        await upload.SendAsync(content.AsMemory(0, 1_000));
        await Until.TrueAsync(
            async () => (await registry.SessionAsync(location))!.Writer is not null, "the request is on record");
        for (var hour = 0; hour < 48; hour += 7)
        {
            var before = (await registry.SessionAsync(location))!.Writer!.Renewed;
            time.Advance(TimeSpan.FromHours(7));
            await Until.TrueAsync(
                async () =>
                {
                    time.Advance(TimeSpan.FromSeconds(2)); // the request looks up from its waiting
                    return (await registry.SessionAsync(location))!.Writer!.Renewed > before;
                },
                "the request gives a sign of life");
            await registry.SweepAsync();
        }

        await upload.SendAsync(content.AsMemory(1_000));
        (await upload.StatusAsync()).ShouldBe(202);
        (await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_clock_that_is_set_back_costs_no_session_and_keeps_none_for_ever()
    {
        // Group 24: an hour back, in the middle of a push and of everything else.
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(2_000);
        var idle = await StartAsync(registry, [1], repository);
        var location = await registry.Http.NewUploadAsync(repository);
        await registry.Http.PushImageAsync(repository, "before");
        (await TagsAsync(registry, repository)).ShouldBe(["before"]);
        using var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        await upload.SendAsync(content.AsMemory(0, 1_000));
        await Until.TrueAsync(
            async () => (await registry.SessionAsync(location))!.Writer is not null, "the request is on record");

        time.TurnBack(TimeSpan.FromHours(1));
        await registry.SweepAsync();
        await registry.Http.PushImageAsync(repository, "after");
        (await TagsAsync(registry, repository)).ShouldBe(["after", "before"]);
        await upload.SendAsync(content.AsMemory(1_000));
        (await upload.StatusAsync()).ShouldBe(202);
        using (var closed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(content), content);
        }

        (await StatusAsync(registry, idle)).ShouldBe(HttpStatusCode.NoContent);
        time.Advance(TimeSpan.FromHours(26));
        await registry.SweepAsync();
        (await StatusAsync(registry, idle)).ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
        await registry.AssertNoLockIsHeldAsync();
    }

    [Fact]
    public async Task An_expired_sealed_session_is_discarded_and_its_blob_is_not_linked()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(
            time: time, uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, content, repository);
        var failing = registry.Plan.Fail(StoreCall.StagedPublish, times: int.MaxValue);
        (await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        failing.Release();

        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        using var unknown = await registry.Http.GetBlobAsync(repository, Digest.Of(content));
        unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
        (await LinksAsync(registry, content)).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_deleted_blob_stays_deleted_when_the_session_that_pushed_it_expires()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(
            time: time, uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, content, repository);
        var failing = registry.Plan.Fail(StoreCall.StagedDiscard, times: int.MaxValue); // linked, and then the server dies
        (await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        failing.Release();
        (await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{Digest.Of(content)}"))
            .StatusCode.ShouldBe(HttpStatusCode.Accepted);

        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        using var unknown = await registry.Http.GetBlobAsync(repository, Digest.Of(content));
        unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_client_that_repeats_its_closing_request_after_a_delete_links_the_blob_again()
    {
        await using var registry = await FaultyRegistry.StartAsync(uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, content, repository);
        var failing = registry.Plan.Fail(StoreCall.StagedDiscard, times: int.MaxValue);
        (await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        failing.Release();
        (await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{Digest.Of(content)}"))
            .StatusCode.ShouldBe(HttpStatusCode.Accepted);

        using var closed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(content), content);
    }

    [Fact]
    public async Task Content_that_a_session_published_and_never_linked_is_removed_after_the_session_expires()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(
            time: time, uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var location = await StartAsync(registry, content, repository);
        var failing = registry.Plan.Fail(StoreCall.DocumentWrite, on: "/_blobs/", times: int.MaxValue);
        (await registry.Http.CompleteAsync(location, Digest.Of(content).ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        failing.Release();
        registry.BlobFiles().Count.ShouldBe(1);

        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        (await LinksAsync(registry, content)).ShouldBeEmpty();
        registry.BlobFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_session_that_cannot_be_given_up_does_not_keep_the_others()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var locations = new List<string>();
        for (var i = 0; i < 5; i++)
        {
            locations.Add(await StartAsync(registry, RegistryClient.RandomBytes(10)));
        }

        var stubborn = locations.Select(FaultyRegistry.SessionOf).MinBy(id => id.ToString(), StringComparer.Ordinal);
        var failing = registry.Plan.Fail(StoreCall.StagedDiscard, on: stubborn.ToString(), times: int.MaxValue);
        time.Advance(TimeSpan.FromHours(25));
        try
        {
            await registry.SweepAsync();
        }
        catch (StorageException)
        {
            // The staged bytes of the stubborn one are looked at again at the end.
        }

        registry.UploadFiles().ShouldAllBe(file => file.Contains(stubborn.ToString(), StringComparison.Ordinal));
        failing.Release();
        await registry.SweepAsync();
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task What_a_power_cut_has_left_of_sessions_goes_with_the_sweep()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var withoutDocument = await StartAsync(registry, [1]);
        var withEmptyDocument = await StartAsync(registry, [1]);
        var emptyDocument = await registry.Http.NewUploadAsync(RegistryClient.NewRepository());
        File.Delete(DocumentOf(registry, withoutDocument));
        await File.WriteAllBytesAsync(DocumentOf(registry, withEmptyDocument), []);
        await File.WriteAllBytesAsync(DocumentOf(registry, emptyDocument), []);
        foreach (var location in new[] { withoutDocument, withEmptyDocument, emptyDocument })
        {
            (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
        }

        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_session_of_another_release_is_left_alone()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await StartAsync(registry, [1]);
        await ChangeAsync(registry, location, session => session["schema"] = 2);
        (await StatusAsync(registry, location)).ShouldBe(HttpStatusCode.NotFound);
        await registry.SweepAsync();
        registry.UploadFiles().Count.ShouldBe(2);
    }

    [Fact]
    public async Task Many_abandoned_sessions_leave_nothing()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var repository = RegistryClient.NewRepository();
        var bytes = RegistryClient.RandomBytes(Counts.Of(ci: 1_000, full: 1024 * 1024));
        await Parallel.ForAsync(
            0,
            Counts.Of(ci: 100, full: 10_000),
            new ParallelOptions { MaxDegreeOfParallelism = 4 },
            async (_, _) => await StartAsync(registry, bytes, repository));
        time.Advance(TimeSpan.FromHours(25));
        await registry.SweepAsync();
        registry.UploadFiles().ShouldBeEmpty();
        await registry.AssertNoLockIsHeldAsync();
        registry.Plan.Journal.ShouldNotContain(call => call.Call == StoreCall.BlobList);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(60_000)]
    [InlineData(100_000)]
    [InlineData(170_000)]
    public async Task After_a_reboot_a_session_goes_on_with_the_bytes_that_are_there(int survived)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(200_000);
        var location = await StartAsync(registry, content[..100_000], repository);
        await ChangeAsync(registry, location, session => session["epoch"] = "before");
        var staged = registry.Root.StagedGeneration(new StagedKey(FaultyRegistry.SessionOf(location), 0));
        using (var file = File.OpenWrite(staged))
        {
            file.SetLength(survived);
        }

        var expected = Math.Min(survived, 100_000);
        using (var status = await registry.Http.GetAsync(new Uri(location, UriKind.Relative)))
        {
            status.Headers.Location!.ToString().ShouldEndWith($"offset={expected}");
        }

        using var rest = await registry.Http.PatchAsync(location, content[expected..], $"{expected}-199999");
        await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        using var closed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString());
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(content), content);
        (await registry.Sessions.ReadAsync(FaultyRegistry.SessionOf(location), default)).ShouldBeNull();
    }

    [Fact]
    public async Task After_a_reboot_bytes_that_were_not_synced_are_not_taken_on_trust()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100_000);
        var location = await StartAsync(registry, content, repository);
        await ChangeAsync(registry, location, session => session["epoch"] = "before");
        await ZeroAsync(registry, location);
        using var closed = await registry.Http.CompleteAsync(location, Digest.Of(content).ToString());
        await closed.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID");
        registry.BlobFiles().ShouldBeEmpty();
    }

    [Trait("staging", "files")]
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_a_reboot_a_sealed_session_is_published_only_when_its_bytes_are_right(bool damaged)
    {
        await using var registry = await FaultyRegistry.StartAsync(uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100_000);
        var digest = Digest.Of(content);
        var location = await StartAsync(registry, content, repository);
        var failing = registry.Plan.Fail(StoreCall.StagedPublish, times: int.MaxValue);
        (await registry.Http.CompleteAsync(location, digest.ToString()))
            .StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        failing.Release();
        await ChangeAsync(registry, location, session => session["epoch"] = "before");
        if (damaged)
        {
            await ZeroAsync(registry, location);
        }

        using var closed = await registry.Http.CompleteAsync(location, digest.ToString());
        closed.StatusCode.ShouldBe(damaged ? HttpStatusCode.NotFound : HttpStatusCode.Created);
        registry.AssertBlobsAreWhole();
        registry.BlobFiles().Count.ShouldBe(damaged ? 0 : 1);
        registry.UploadFiles().ShouldBeEmpty();
    }

    private static async Task<string> StartAsync(FaultyRegistry registry, byte[] content, string? repository = null)
    {
        var location = await registry.Http.NewUploadAsync(repository ?? RegistryClient.NewRepository());
        using var patched = await registry.Http.PatchAsync(location, content);
        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        return patched.Headers.Location!.ToString();
    }

    private static ValueTask<IReadOnlyList<string>> LinksAsync(FaultyRegistry registry, byte[] content) =>
        registry.Documents.ListAsync(RegistryLayout.Links(Digest.Of(content)), null, 10, default);

    private static async Task<string[]> TagsAsync(FaultyRegistry registry, string repository)
    {
        using var tags = await registry.Http.GetAsync(new Uri($"/v2/{repository}/tags/list", UriKind.Relative));
        return (await tags.JsonAsync()).Texts("tags");
    }

    private static async Task<HttpStatusCode> StatusAsync(FaultyRegistry registry, string location)
    {
        using var status = await registry.Http.GetAsync(new Uri(location, UriKind.Relative));
        return status.StatusCode;
    }

    private static string DocumentOf(FaultyRegistry registry, string location) =>
        registry.Root.Document(RegistryLayout.Upload(FaultyRegistry.SessionOf(location)));

    /// <summary>Changes the session's document as no registry of this release would.</summary>
    private static async Task ChangeAsync(FaultyRegistry registry, string location, Action<JsonObject> change)
    {
        var key = RegistryLayout.Upload(FaultyRegistry.SessionOf(location));
        var document = await registry.Documents.ReadAsync(key, default);
        var session = JsonNode.Parse(document!.Content.Span)!.AsObject();
        change(session);
        await registry.Documents.WriteAsync(
            key, JsonSerializer.SerializeToUtf8Bytes(session), WriteCondition.None, Durability.Atomic, default);
    }

    private static async Task ZeroAsync(FaultyRegistry registry, string location)
    {
        var staged = registry.Root.StagedGeneration(new StagedKey(FaultyRegistry.SessionOf(location), 0));
        using var file = File.OpenWrite(staged);
        file.Position = 40_000;
        await file.WriteAsync(new byte[4_096]);
    }
}
