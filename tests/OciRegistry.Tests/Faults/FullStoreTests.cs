using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>R5.6: a push that a full store refuses frees at once what it has staged; chunks that were acknowledged stay.</summary>
[Trait("staging", "files")]
public sealed class FullStoreTests
{
    private static readonly byte[] Content = RegistryClient.RandomBytes(900_000);
    private static readonly string ContentDigest = Digest.Of(Content).ToString();

    [Fact]
    public async Task A_chunk_that_does_not_fit_is_dropped_at_once_and_the_chunk_before_stays()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        using var first = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(RegistryClient.NewRepository()), Content[..100_000]);
        var location = first.Headers.Location!.ToString();
        registry.Plan.Fail(StoreCall.StagedAppend, FaultPlan.Full, nth: 3);
        await ShouldBeFullAsync(registry.Http.PatchAsync(location, Content[100_000..]));
        StagedBytes(registry).ShouldBe(100_000);
        (await registry.Http.OffsetAsync(location)).ShouldBe(100_000);

        using var rest = await registry.Http.PatchAsync(location, Content[100_000..]);
        rest.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var closed = await registry.Http.CompleteAsync(rest.Headers.Location!.ToString(), ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
    }

    [Fact]
    public async Task A_retried_chunk_that_does_not_fit_is_dropped_with_its_copy()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        using var first = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(RegistryClient.NewRepository()), Content[..100_000]);
        var location = first.Headers.Location!.ToString();
        (await registry.Http.PatchAsync(location, Content[100_000..])).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        registry.Plan.Fail(StoreCall.StagedAppend, FaultPlan.Full, nth: 3);
        await ShouldBeFullAsync(registry.Http.PatchAsync(location, Content[100_000..]));
        StagedBytes(registry).ShouldBe(Content.Length);
        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
    }

    [Fact]
    public async Task A_writer_that_cannot_be_taken_off_record_drops_only_what_is_not_on_record()
    {
        var time = new ManualTimeProvider();
        await using var registry = await FaultyRegistry.StartAsync(time: time);
        var location = await registry.Http.NewUploadAsync(RegistryClient.NewRepository());
        using var upload = await RawUpload.StartAsync(registry.Url, "PATCH", location, Content.Length);
        await upload.SendAsync(Content.AsMemory(0, 50_000));
        await Until.TrueAsync(
            async () =>
            {
                time.Advance(TimeSpan.FromSeconds(2));
                return (await registry.SessionAsync(location))!.Writer?.Offset == 50_000;
            },
            "the checkpoint is on record");
        registry.Plan.Fail(StoreCall.StagedAppend, FaultPlan.Full);
        registry.Plan.Fail(StoreCall.DocumentWrite, FaultPlan.Full, on: "_uploads/");
        await upload.SendAsync(Content.AsMemory(50_000));
        (await upload.StatusAsync()).ShouldBe(507);
        StagedBytes(registry).ShouldBe(50_000);

        using var rest = await registry.Http.PatchAsync(location, Content[50_000..], $"50000-{Content.Length - 1}");
        rest.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var closed = await registry.Http.CompleteAsync(rest.Headers.Location!.ToString(), ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
    }

    [Theory]
    [InlineData(StoreCall.StagedAppend)]
    [InlineData(StoreCall.StagedPublish)]
    public async Task A_blob_in_one_request_that_does_not_fit_leaves_nothing(StoreCall call)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        registry.Plan.Fail(call, FaultPlan.Full);
        await ShouldBeFullAsync(
            registry.Http.StartUploadAsync(RegistryClient.NewRepository(), $"?digest={ContentDigest}", Content));
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_sealed_session_that_cannot_be_completed_is_discarded(bool cannotEvenRecordThat)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        using var patched = await registry.Http.PatchAsync(await registry.Http.NewUploadAsync(repository), Content);
        var location = patched.Headers.Location!.ToString();
        registry.Plan.Fail(StoreCall.StagedPublish, FaultPlan.Full);
        var full = registry.Plan.Fail( // after the seal
            StoreCall.DocumentWrite, FaultPlan.Full, on: cannotEvenRecordThat ? "_uploads/" : "nothing", nth: 2, times: 9);
        await ShouldBeFullAsync(registry.Http.CompleteAsync(location, ContentDigest));
        full.Release();
        registry.UploadFiles().ShouldBeEmpty();
        using (var repeated = await registry.Http.CompleteAsync(location, ContentDigest))
        {
            await repeated.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        }

        (await registry.Http.PushBlobAsync(repository, Content)).ToString().ShouldBe(ContentDigest);
    }

    [Fact]
    public async Task A_sealed_session_whose_content_is_in_place_is_kept_for_its_next_closing_request()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        using var patched = await registry.Http.PatchAsync(
            await registry.Http.NewUploadAsync(RegistryClient.NewRepository()), Content);
        var location = patched.Headers.Location!.ToString();
        registry.Plan.Fail(StoreCall.DocumentWrite, FaultPlan.Full, on: "/_blobs/");
        await ShouldBeFullAsync(registry.Http.CompleteAsync(location, ContentDigest));
        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
    }

    private static long StagedBytes(FaultyRegistry registry) =>
        Directory.EnumerateFiles(registry.Root.Staged, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);

    private static async Task ShouldBeFullAsync(Task<HttpResponseMessage> request)
    {
        using var refused = await request;
        await refused.ShouldBeErrorAsync(HttpStatusCode.InsufficientStorage, "UNAVAILABLE");
    }
}
