using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>What every upload store must do, together with the blob store that its content appears in.</summary>
public abstract class UploadStoreContract
{
    private readonly UploadSessionId _session = UploadSessionId.New();
    private IUploadStore? _uploads;
    private IBlobStore? _blobs;

    protected IUploadStore Uploads => _uploads ??= OpenUploads();

    protected IBlobStore Blobs => _blobs ??= OpenBlobs();

    /// <summary>Another store over the storage of this test, as another process would have.</summary>
    protected abstract IUploadStore OpenUploads();

    /// <inheritdoc cref="OpenUploads"/>
    protected abstract IBlobStore OpenBlobs();

    [Fact]
    public async Task Staged_bytes_are_there_for_the_next_writer()
    {
        var (staged, key) = await GoOnAsync(await StageAsync(Generation(0), "hello "u8.ToArray()), 6);
        await using (staged)
        {
            staged.Length.ShouldBe(6);
            await staged.AppendAsync("wor"u8.ToArray(), default);
            await staged.AppendAsync(Array.Empty<byte>(), default);
            await staged.AppendAsync("ld"u8.ToArray(), default);
            staged.Length.ShouldBe(11);
            key = await FlushAsync(staged, key);
        }

        (await OpenUploads().LengthAsync(key, default)).ShouldBe(11);
        (await ReadAsync(key)).ShouldBe("hello world"u8.ToArray());
    }

    [Fact]
    public async Task What_was_staged_beyond_the_record_is_gone_for_the_next_writer()
    {
        StagedKey recorded;
        await using (var broken = (await Uploads.OpenAsync(Generation(0), 0, default))!)
        {
            await broken.AppendAsync("hello"u8.ToArray(), default);
            recorded = await FlushAsync(broken, Generation(0));
            await broken.AppendAsync(" world"u8.ToArray(), default);
            await broken.FlushAsync(default);
        }

        var (staged, key) = await GoOnAsync(recorded, 5);
        await using (staged)
        {
            await staged.AppendAsync("!"u8.ToArray(), default);
            key = await FlushAsync(staged, key);
        }

        (await PublishAsync(key, "hello!"u8.ToArray())).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of("hello!"u8))).ShouldBe("hello!"u8.ToArray());
    }

    [Fact]
    public async Task Bytes_that_are_not_there_cannot_be_gone_on_from()
    {
        (await Uploads.OpenAsync(Generation(0), 1, default)).ShouldBeNull();
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(0);

        var key = await StageAsync(Generation(0), "hello"u8.ToArray());
        (await Uploads.OpenAsync(key, 6, default)).ShouldBeNull();
        (await Uploads.ForkAsync(key, 6, Generation(1), default)).ShouldBeNull();
        (await Uploads.ForkAsync(Generation(7), 1, Generation(1), default)).ShouldBeNull();
        (await Uploads.LengthAsync(key, default)).ShouldBe(5);
    }

    [Fact]
    public async Task A_fork_begins_with_the_bytes_of_its_source_and_goes_its_own_way()
    {
        var prefix = RegistryClient.RandomBytes(3_000_000);
        await using var paused = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await paused.AppendAsync(prefix.AsMemory(..2_500_000), default);
        var recorded = await FlushAsync(paused, Generation(0));
        await paused.AppendAsync(prefix.AsMemory(2_500_000..), default);

        var fork = (await OpenUploads().ForkAsync(recorded, 2_500_000, Generation(3), default))!;
        fork.Length.ShouldBe(2_500_000);
        await fork.AppendAsync("fork"u8.ToArray(), default);
        await paused.AppendAsync("source"u8.ToArray(), default);
        await paused.FlushAsync(default);
        var key = await FlushAsync(fork, Generation(3));
        await fork.DisposeAsync();

        byte[] content = [.. prefix[..2_500_000], .. "fork"u8];
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task A_writer_that_was_overtaken_changes_nothing_whatever_it_does()
    {
        var content = RegistryClient.RandomBytes(1_000);
        await using var paused = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await paused.AppendAsync(content, default);
        var recorded = await FlushAsync(paused, Generation(0));

        var fork = (await OpenUploads().ForkAsync(recorded, content.Length, Generation(1), default))!;
        var key = await FlushAsync(fork, Generation(1));
        await fork.DisposeAsync();
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);

        // It wakes up, stages, and even publishes what it has staged: another list of blocks, of an older generation.
        await paused.AppendAsync("late"u8.ToArray(), default);
        var late = await FlushAsync(paused, Generation(0));
        await paused.DisposeAsync();
        byte[] other = [.. content, .. "late"u8];
        (await PublishAsync(late, other)).ShouldBeOneOf(PublishResult.Lost, PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        (await PublishAsync(key, content, OpenUploads())).ShouldBe(PublishResult.Published);
    }

    [Fact]
    public async Task A_fork_of_nothing_needs_no_source()
    {
        await using var fork = (await Uploads.ForkAsync(Generation(0), 0, Generation(1), default))!;
        fork.Length.ShouldBe(0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3_000_000)]
    public async Task Published_content_is_whole_and_has_no_byte_beyond_its_size(int size)
    {
        var content = RegistryClient.RandomBytes(size);
        StagedKey key;
        await using (var staged = (await Uploads.OpenAsync(Generation(0), 0, default))!)
        {
            await staged.AppendAsync(content, default);
            key = await FlushAsync(staged, Generation(0));
            await staged.AppendAsync("never acknowledged"u8.ToArray(), default);
            await staged.FlushAsync(default);
        }

        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBe(size);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task Publishing_again_is_a_success_whoever_does_it()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var key = await StageAsync(Generation(0), content);
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(key, content, OpenUploads())).ShouldBe(PublishResult.Published);
        await Uploads.DiscardAsync(key, default);
        (await PublishAsync(key, content, OpenUploads())).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task The_same_content_may_be_published_from_another_session()
    {
        var content = RegistryClient.RandomBytes(1_000);
        (await PublishAsync(await StageAsync(Generation(0), content), content)).ShouldBe(PublishResult.Published);
        var other = await StageAsync(new StagedKey(UploadSessionId.New(), 0), content);
        (await PublishAsync(other, content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task An_empty_blob_needs_nothing_staged()
    {
        (await PublishAsync(Generation(0), [])).ShouldBe(PublishResult.Published);
        (await PublishAsync(Generation(0), [])).ShouldBe(PublishResult.Published);
        (await Blobs.StatAsync(Digest.Of([]), default)).ShouldBe(0);
        (await BlobAsync(Digest.Of([]))).ShouldBeEmpty();
        await Uploads.DiscardAsync(Generation(0), default);
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Bytes_that_are_gone_or_too_few_are_lost_unless_their_content_is_there()
    {
        var content = RegistryClient.RandomBytes(1_000);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Lost);
        var few = await StageAsync(Generation(0), content[..999]);
        (await PublishAsync(few, content)).ShouldBe(PublishResult.Lost);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();

        var other = await StageAsync(new StagedKey(UploadSessionId.New(), 0), content);
        (await PublishAsync(other, content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(few, content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task Eight_who_publish_the_same_content_at_once_all_succeed()
    {
        // R4.3: "already exists" is success.
        for (var round = 0; round < Counts.Of(ci: 15, full: 10_000); round++)
        {
            var content = RegistryClient.RandomBytes(200);
            var keys = Enumerable.Range(0, 8).Select(_ => new StagedKey(UploadSessionId.New(), 0)).ToArray();
            for (var i = 0; i < keys.Length; i++)
            {
                keys[i] = await StageAsync(keys[i], content);
            }

            IUploadStore[] stores = [Uploads, OpenUploads()];
            var results = await Task.WhenAll(keys.Select((key, i) => Task.Run(async () =>
            {
                // A program that another test starts holds the lock of the writer for the moment between its fork and its exec.
                var result = PublishResult.Busy;
                await Until.TrueAsync(
                    async () => (result = await PublishAsync(key, content, stores[i % 2])) != PublishResult.Busy, "nobody else has it open");
                return result;
            })));
            results.ShouldAllBe(result => result == PublishResult.Published);
            (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        }
    }

    [Fact]
    public async Task Four_who_publish_one_session_at_once_find_it_published_or_in_use()
    {
        for (var round = 0; round < Counts.Of(ci: 15, full: 2_000); round++)
        {
            var content = RegistryClient.RandomBytes(200);
            var key = await StageAsync(new StagedKey(UploadSessionId.New(), 0), content);
            var results = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ =>
                Task.Run(() => PublishAsync(key, content))));
            results.ShouldContain(PublishResult.Published);
            results.ShouldNotContain(PublishResult.Lost);
            (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        }
    }

    [Fact]
    public async Task Discarding_deletes_every_generation_and_leaves_content_alone()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var first = await StageAsync(Generation(0), content);
        var published = await StageAsync(Generation(1), content);
        var last = await StageAsync(Generation(2_000_000_000), content);
        (await PublishAsync(published, content)).ShouldBe(PublishResult.Published);
        await Uploads.DiscardAsync(first, default);
        await Uploads.DiscardAsync(published, default);
        await OpenUploads().DiscardAsync(published, default);

        (await Uploads.LengthAsync(first, default)).ShouldBe(0);
        (await Uploads.LengthAsync(last, default)).ShouldBe(0);
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task A_writer_whose_session_is_discarded_harms_nobody()
    {
        var staged = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await staged.AppendAsync("before"u8.ToArray(), default);
        var key = await FlushAsync(staged, Generation(0));
        await OpenUploads().DiscardAsync(key, default);
        (await OpenUploads().LengthAsync(key, default)).ShouldBe(0);
        await staged.AppendAsync("after"u8.ToArray(), default);
        await staged.FlushAsync(default);
        await staged.DisposeAsync();
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_cancelled_call_changes_nothing()
    {
        var cancelled = new CancellationToken(canceled: true);
        var content = RegistryClient.RandomBytes(100);
        var key = await StageAsync(Generation(0), content);
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.OpenAsync(Generation(0), 0, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.LengthAsync(key, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(
            async () => await Uploads.ForkAsync(key, 1, Generation(1), cancelled));
        await Should.ThrowAsync<OperationCanceledException>(
            async () => await Uploads.PublishAsync(key, Digest.Of(content), 100, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.DiscardAsync(key, cancelled));
        (await Uploads.LengthAsync(key, default)).ShouldBe(100);
        (await Uploads.LengthAsync(Generation(1), default)).ShouldBe(0);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();
    }

    [Fact]
    public void All_stores_of_one_machine_live_in_the_same_epoch() => OpenUploads().Epoch.ShouldBe(Uploads.Epoch);

    protected StagedKey Generation(int generation) => new(_session, generation);

    /// <summary>What a session remembers of a generation once its bytes are staged.</summary>
    protected static async Task<StagedKey> FlushAsync(IStagedBlob staged, StagedKey key)
    {
        await staged.FlushAsync(default);
        return key with { Parts = staged.Parts };
    }

    protected async Task<StagedKey> StageAsync(StagedKey key, byte[] content)
    {
        await using var staged = (await Uploads.OpenAsync(key, 0, default))!;
        await staged.AppendAsync(content, default);
        return await FlushAsync(staged, key);
    }

    /// <summary>As the next request of a session goes on, on another replica.</summary>
    private async Task<(IStagedBlob Staged, StagedKey Key)> GoOnAsync(StagedKey from, long offset)
    {
        var key = Uploads.AppendsInPlace ? from : new StagedKey(from.Session, from.Generation + 1);
        var staged = Uploads.AppendsInPlace
            ? await OpenUploads().OpenAsync(from, offset, default)
            : await OpenUploads().ForkAsync(from, offset, key, default);
        return (staged.ShouldNotBeNull(), key);
    }

    protected Task<PublishResult> PublishAsync(StagedKey key, byte[] content, IUploadStore? uploads = null) =>
        (uploads ?? Uploads).PublishAsync(key, Digest.Of(content), content.Length, default).AsTask();

    protected async Task<byte[]> BlobAsync(Digest digest) => await ReadAsync(await OpenBlobs().OpenReadAsync(digest, 0, long.MaxValue, default));

    /// <summary>What another process finds staged.</summary>
    protected async Task<byte[]> ReadAsync(StagedKey key) => await ReadAsync(await OpenUploads().OpenReadAsync(key, default));

    private static async Task<byte[]> ReadAsync(IBlobContent? opened)
    {
        await using var content = opened.ShouldNotBeNull();
        var bytes = new byte[content.Length];
        for (var read = 0; read < bytes.Length;)
        {
            var count = await content.ReadAsync(bytes.AsMemory(read), read, default);
            count.ShouldBeGreaterThan(0);
            read += count;
        }

        return bytes;
    }

    protected async Task<List<UploadSessionId>> SessionsAsync(DateTimeOffset before)
    {
        var sessions = new List<UploadSessionId>();
        await foreach (var staged in OpenUploads().ListAsync(before, default))
        {
            sessions.Add(staged.Session);
        }

        return sessions;
    }
}
