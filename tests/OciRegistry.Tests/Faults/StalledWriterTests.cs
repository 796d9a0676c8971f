using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// Chunks wait for each other, and go on from a writer whose process or connection is dead or paused, with a lock service
/// and without: then the record of the writer is what tells.
/// </summary>
public sealed class StalledWriterTests
{
    private readonly byte[] _content = RegistryClient.RandomBytes(2_000);
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task A_chunk_waits_for_the_one_before_it(Locks locks)
    {
        await using var registry = await StartAsync(locks, orderWait: Until.Patience);
        var location = await registry.Http.NewUploadAsync(_repository);
        using var first = await RawUpload.StartAsync(registry.Url, "PATCH", location, 1_000, "0-999");
        await first.SendAsync(_content.AsMemory(0, 500));
        await OnRecordAsync(registry, location, 500);

        var reads = Reads(registry);
        var second = registry.Http.PatchAsync(location, _content[1_000..], "1000-1999");
        await Until.TrueAsync(() => Reads(registry) > reads || second.IsCompleted, "the second chunk has come");
        await first.SendAsync(_content.AsMemory(500, 500));
        (await first.StatusAsync()).ShouldBe(202);
        using var accepted = await Until.DoneAsync(second);
        await accepted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        await ShouldCloseAsync(registry, location);
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    [InlineData(Locks.Always)]
    public async Task A_writer_that_gives_no_sign_of_life_is_gone_on_from(Locks locks)
    {
        await using var registry = await StartAsync(locks, orderWait: TimeSpan.FromMilliseconds(300));
        var location = await registry.Http.NewUploadAsync(_repository);
        using var stalled = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        await stalled.SendAsync(_content.AsMemory(0, 1_000));
        await OnRecordAsync(registry, location, 1_000);

        // As a client does whose connection died: it asks how far it got, and goes on from there.
        using (var status = await registry.Http.GetAsync(new Uri(location, UriKind.Relative)))
        {
            location = status.Headers.Location!.ToString();
            location.ShouldEndWith("offset=1000");
        }

        using (var rest = await registry.Http.PatchAsync(location, _content[1_000..]))
        {
            await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        await ShouldCloseAsync(registry, location);

        // What it still sends is nobody's.
        await stalled.SendAsync(RegistryClient.RandomBytes(1_000));
        (await stalled.StatusAsync()).ShouldBe(409);
        await ShouldBeThereAsync(registry);
        await Until.TrueAsync(() => registry.UploadFiles().Count == 0, "nothing is staged");
        await registry.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task What_a_stalled_writer_has_brought_home_can_be_closed(Locks locks)
    {
        await using var registry = await StartAsync(locks, orderWait: TimeSpan.FromMilliseconds(300));
        var location = await registry.Http.NewUploadAsync(_repository);
        using var stalled = await RawUpload.StartAsync(registry.Url, "PATCH", location, null);
        await stalled.SendChunkAsync(_content);
        await OnRecordAsync(registry, location, 2_000);

        await ShouldCloseAsync(registry, location);
        await registry.AssertNoLockIsHeldAsync();
    }

    [Theory]
    [InlineData(Locks.Granted)]
    [InlineData(Locks.Never)]
    public async Task Another_digest_than_that_of_what_it_has_brought_so_far_ends_no_stalled_writer(Locks locks)
    {
        await using var registry = await StartAsync(locks, orderWait: TimeSpan.FromMilliseconds(300));
        var location = await registry.Http.NewUploadAsync(_repository);
        using var slow = await RawUpload.StartAsync(registry.Url, "PATCH", location, 2_000);
        await slow.SendAsync(_content.AsMemory(0, 1_000));
        await OnRecordAsync(registry, location, 1_000);

        using (var early = await registry.Http.CompleteAsync(location, Digest.Of(_content).ToString()))
        {
            await early.ShouldBeErrorAsync(HttpStatusCode.Conflict, "BLOB_UPLOAD_INVALID");
        }

        await slow.SendAsync(_content.AsMemory(1_000));
        (await slow.StatusAsync()).ShouldBe(202);
        await ShouldCloseAsync(registry, location);
    }

    private static Task<FaultyRegistry> StartAsync(Locks locks, TimeSpan orderWait) => FaultyRegistry.StartAsync(
        locks,
        uploads =>
        {
            uploads.OrderWait = orderWait;
            uploads.CommitWait = Until.Patience;
            uploads.IdleExpiry = TimeSpan.FromSeconds(1); // a quarter of it is the rhythm of the record
        });

    private static Task OnRecordAsync(FaultyRegistry registry, string location, long offset) => Until.TrueAsync(
        async () => (await registry.SessionAsync(location))!.Writer?.Offset == offset, $"{offset} bytes are on record");

    private static int Reads(FaultyRegistry registry) =>
        registry.Plan.Journal.Count(call => call.Call == StoreCall.DocumentRead);

    private async Task ShouldCloseAsync(FaultyRegistry registry, string location)
    {
        using var closed = await registry.Http.CompleteAsync(location, Digest.Of(_content).ToString());
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        await ShouldBeThereAsync(registry);
    }

    private async Task ShouldBeThereAsync(FaultyRegistry registry)
    {
        using var pulled = await registry.Http.GetBlobAsync(_repository, Digest.Of(_content));
        await pulled.ShouldBeContentAsync(Digest.Of(_content), _content);
    }
}
