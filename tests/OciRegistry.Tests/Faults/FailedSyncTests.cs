using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// R5.2: after a sync that failed, the system counts the bytes as written. Only the first attempt of the request that sealed
/// a session may sync the staged file; every other attempt publishes a copy that has the digest.
/// </summary>
[Trait("staging", "files")]
public sealed class FailedSyncTests
{
    private static readonly byte[] Content = RegistryClient.RandomBytes(100_000);
    private static readonly string ContentDigest = Digest.Of(Content).ToString();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_closing_request_whose_first_sync_fails_publishes_a_copy(bool withBody)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var location = withBody ? await registry.Http.NewUploadAsync(repository) : await StageAsync(registry, repository);
        registry.Plan.Fail(StoreCall.StagedPublish);
        using var closed = await registry.Http.CompleteAsync(location, ContentDigest, withBody ? Content : null);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
        var published = Published(registry);
        published.Count.ShouldBe(2);
        published[0].ShouldEndWith("/0");
        published[1].ShouldNotBe(published[0]);
        registry.UploadFiles().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_closing_request_that_is_not_disturbed_publishes_the_staged_file()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await StageAsync(registry, RegistryClient.NewRepository());
        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
        Published(registry).ShouldHaveSingleItem().ShouldEndWith("/0");
        registry.Plan.Journal.ShouldNotContain(call => call.Call == StoreCall.StagedFork);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_retried_closing_request_publishes_a_copy_only_when_it_has_the_digest(bool isLost)
    {
        await using var registry = await FaultyRegistry.StartAsync(uploads: uploads => uploads.CommitWait = TimeSpan.Zero);
        var repository = RegistryClient.NewRepository();
        var location = await StageAsync(registry, repository);
        registry.Plan.Fail(StoreCall.StagedPublish);
        (await registry.Http.CompleteAsync(location, ContentDigest)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        if (isLost)
        {
            await LoseBytesAsync(registry, location);
        }

        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        if (!isLost)
        {
            await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
            Published(registry)[^1].ShouldNotEndWith("/0");
            return;
        }

        await closed.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        registry.BlobFiles().ShouldBeEmpty();
        registry.UploadFiles().ShouldBeEmpty();
        (await registry.Http.PushBlobAsync(repository, Content)).ToString().ShouldBe(ContentDigest);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_chunk_whose_early_write_back_fails_is_published_only_as_a_checked_copy(bool isLost)
    {
        await using var registry = await FaultyRegistry.StartAsync();
        registry.Plan.LosesWrites = true;
        var location = await StageAsync(registry, RegistryClient.NewRepository());
        registry.Plan.LosesWrites = false;
        if (isLost)
        {
            await LoseBytesAsync(registry, location);
        }

        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        if (isLost)
        {
            await closed.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
            registry.BlobFiles().ShouldBeEmpty();
        }
        else
        {
            await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
            Published(registry).ShouldHaveSingleItem().ShouldNotEndWith("/0");
        }
    }

    [Fact]
    public async Task A_copy_whose_own_write_back_fails_is_not_published()
    {
        await using var registry = await FaultyRegistry.StartAsync(
            uploads: uploads => uploads.CommitWait = TimeSpan.FromMilliseconds(1));
        registry.Plan.LosesWrites = true;
        var location = await StageAsync(registry, RegistryClient.NewRepository());
        using (var refused = await registry.Http.CompleteAsync(location, ContentDigest))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        Published(registry).ShouldBeEmpty();
        registry.Plan.LosesWrites = false;
        using var closed = await registry.Http.CompleteAsync(location, ContentDigest);
        await closed.ShouldHaveCreatedAsync(registry.Http, Digest.Of(Content), Content);
    }

    [Fact]
    public async Task A_retried_chunk_that_begins_with_a_copy_of_acknowledged_bytes_is_published_only_as_a_checked_copy()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        var location = await registry.Http.NewUploadAsync(RegistryClient.NewRepository());
        using var first = await registry.Http.PatchAsync(location, Content[..60_000]);
        var rest = first.Headers.Location!.ToString();
        using (var second = await registry.Http.PatchAsync(rest, Content[60_000..]))
        {
            second.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }

        // What the disk has lost of the original is in the copy that the repetition stages.
        await LoseBytesAsync(registry, location);
        using var repeated = await registry.Http.PatchAsync(rest, Content[60_000..]);
        repeated.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var closed = await registry.Http.CompleteAsync(repeated.Headers.Location!.ToString(), ContentDigest);
        await closed.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
        registry.BlobFiles().ShouldBeEmpty();
    }

    private static List<string> Published(FaultyRegistry registry) =>
        [.. registry.Plan.Journal.Where(call => call.Call == StoreCall.StagedPublish).Select(call => call.On)];

    private static async Task<string> StageAsync(FaultyRegistry registry, string repository)
    {
        using var patched = await registry.Http.PatchAsync(await registry.Http.NewUploadAsync(repository), Content);
        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        return patched.Headers.Location!.ToString();
    }

    private static async Task LoseBytesAsync(FaultyRegistry registry, string location)
    {
        await using var file = File.OpenWrite(registry.Root.StagedGeneration(new StagedKey(FaultyRegistry.SessionOf(location), 0)));
        file.Position = 40_000;
        await file.WriteAsync(new byte[4_096]);
    }
}
