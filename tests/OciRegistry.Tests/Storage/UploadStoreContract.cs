using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>What every upload store must do, together with the blob store that its content appears in.</summary>
public abstract class UploadStoreContract
{
    private readonly UploadSessionId _session = UploadSessionId.New();
    private IUploadStore? _uploads;
    private IBlobStore? _blobs;

    private IUploadStore Uploads => _uploads ??= OpenUploads();

    private IBlobStore Blobs => _blobs ??= OpenBlobs();

    /// <summary>Another store over the storage of this test, as another process would have.</summary>
    protected abstract IUploadStore OpenUploads();

    /// <inheritdoc cref="OpenUploads"/>
    protected abstract IBlobStore OpenBlobs();

    [Fact]
    public async Task Staged_bytes_are_there_when_their_generation_is_opened_again()
    {
        await StageAsync(Generation(0), "hello "u8.ToArray());
        await using (var staged = (await OpenUploads().OpenAsync(Generation(0), 6, default))!)
        {
            staged.Length.ShouldBe(6);
            await staged.AppendAsync("wor"u8.ToArray(), default);
            await staged.AppendAsync(Array.Empty<byte>(), default);
            await staged.AppendAsync("ld"u8.ToArray(), default);
            staged.Length.ShouldBe(11);
            (await ReadAsync(Generation(0))).ShouldBe("hello world"u8.ToArray());
        }

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(11);
    }

    [Fact]
    public async Task Staged_bytes_are_read_by_many_while_one_writes()
    {
        await using var writing = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await writing.AppendAsync("hello "u8.ToArray(), default);
        await using var one = (await OpenUploads().OpenReadAsync(Generation(0), default))!;
        (await ReadAsync(Generation(0))).ShouldBe("hello "u8.ToArray());
        await writing.AppendAsync("world"u8.ToArray(), default);
        var buffer = new byte[6];
        (await one.ReadAsync(buffer, 0, default)).ShouldBe(6);
        buffer.ShouldBe("hello "u8.ToArray());
        (await Uploads.OpenReadAsync(Generation(7), default)).ShouldBeNull();
    }

    [Fact]
    public async Task The_first_append_cuts_off_what_is_beyond_and_opening_does_not()
    {
        await StageAsync(Generation(0), "hello world"u8.ToArray());
        await using (var staged = (await Uploads.OpenAsync(Generation(0), 5, default))!)
        {
            // Whoever has it open may find out only now that it is no longer his turn.
            staged.Length.ShouldBe(5);
        }

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(11);
        await using (var staged = (await Uploads.OpenAsync(Generation(0), 5, default))!)
        {
            await staged.AppendAsync("!"u8.ToArray(), default);
            (await ReadAsync(Generation(0))).ShouldBe("hello!"u8.ToArray());
        }

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(6);
    }

    [Fact]
    public async Task Bytes_that_are_not_there_cannot_be_gone_on_from()
    {
        (await Uploads.OpenAsync(Generation(0), 1, default)).ShouldBeNull();
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(0);

        await StageAsync(Generation(0), "hello"u8.ToArray());
        (await Uploads.OpenAsync(Generation(0), 6, default)).ShouldBeNull();
        (await Uploads.ForkAsync(Generation(0), 6, Generation(1), default)).ShouldBeNull();
        (await Uploads.ForkAsync(Generation(7), 1, Generation(1), default)).ShouldBeNull();
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(5);
    }

    [Fact]
    public async Task A_generation_has_one_writer()
    {
        var first = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await first.AppendAsync("first"u8.ToArray(), default);
        (await Uploads.OpenAsync(Generation(0), 0, default)).ShouldBeNull();
        (await OpenUploads().OpenAsync(Generation(0), 0, default)).ShouldBeNull();
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(5);

        await first.DisposeAsync();
        await using var second = await OpenUploads().OpenAsync(Generation(0), 5, default);
        second.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_fork_begins_with_the_bytes_of_its_source_and_goes_its_own_way()
    {
        var prefix = RegistryClient.RandomBytes(3_000_000);
        await using var paused = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await paused.AppendAsync(prefix, default);

        await using var fork = (await OpenUploads().ForkAsync(Generation(0), 2_500_000, Generation(3), default))!;
        fork.Length.ShouldBe(2_500_000);
        await fork.AppendAsync("fork"u8.ToArray(), default);
        await paused.AppendAsync("source"u8.ToArray(), default);

        (await ReadAsync(Generation(3))).ShouldBe([.. prefix[..2_500_000], .. "fork"u8]);
        (await ReadAsync(Generation(0))).ShouldBe([.. prefix, .. "source"u8]);
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
        await StageAsync(Generation(0), [.. content, .. "never acknowledged"u8]);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();

        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Published);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBe(size);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(0);
    }

    [Fact]
    public async Task Publishing_again_is_a_success_whoever_does_it()
    {
        var content = RegistryClient.RandomBytes(1_000);
        await StageAsync(Generation(0), content);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(Generation(0), content, OpenUploads())).ShouldBe(PublishResult.Published);
        await Uploads.DiscardAsync(_session, default);
        (await PublishAsync(Generation(0), content, OpenUploads())).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task The_same_content_may_be_published_from_another_session()
    {
        var content = RegistryClient.RandomBytes(1_000);
        await StageAsync(Generation(0), content);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Published);
        var other = new StagedKey(UploadSessionId.New(), 0);
        await StageAsync(other, content);
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
        await Uploads.DiscardAsync(_session, default);
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
    }

    [Fact]
    public async Task What_a_writer_has_open_is_not_published_but_a_fork_of_it_is()
    {
        var content = RegistryClient.RandomBytes(1_000);
        await using var paused = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await paused.AppendAsync(content, default);
        (await PublishAsync(Generation(0), content, OpenUploads())).ShouldBe(PublishResult.Busy);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();

        var fork = (await Uploads.ForkAsync(Generation(0), content.Length, Generation(1), default))!;
        await fork.DisposeAsync();
        (await PublishAsync(Generation(1), content)).ShouldBe(PublishResult.Published);

        // The paused one wakes: what it writes is nobody's.
        await paused.AppendAsync("late"u8.ToArray(), default);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Busy);
    }

    [Fact]
    public async Task Bytes_that_are_gone_or_too_few_are_lost_unless_their_content_is_there()
    {
        var content = RegistryClient.RandomBytes(1_000);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Lost);
        await StageAsync(Generation(0), content[..999]);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Lost);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();

        var other = new StagedKey(UploadSessionId.New(), 0);
        await StageAsync(other, content);
        (await PublishAsync(other, content)).ShouldBe(PublishResult.Published);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Published);
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
            foreach (var key in keys)
            {
                await StageAsync(key, content);
            }

            IUploadStore[] stores = [Uploads, OpenUploads()];
            var results = await Task.WhenAll(keys.Select((key, i) =>
                Task.Run(() => PublishAsync(key, content, stores[i % 2]))));
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
            var key = new StagedKey(UploadSessionId.New(), 0);
            await StageAsync(key, content);
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
        await StageAsync(Generation(0), content);
        await StageAsync(Generation(1), content);
        await StageAsync(Generation(2_000_000_000), content);
        (await PublishAsync(Generation(1), content)).ShouldBe(PublishResult.Published);
        await Uploads.DiscardAsync(_session, default);
        await Uploads.DiscardAsync(_session, default);
        await OpenUploads().DiscardAsync(_session, default);

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(0);
        (await Uploads.LengthAsync(Generation(2_000_000_000), default)).ShouldBe(0);
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task A_writer_whose_session_is_discarded_harms_nobody()
    {
        var staged = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await staged.AppendAsync("before"u8.ToArray(), default);
        await Uploads.DiscardAsync(_session, default);
        await staged.AppendAsync("after"u8.ToArray(), default);
        await staged.DisposeAsync();
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Sessions_are_listed_by_when_they_were_last_written_to()
    {
        var before = DateTimeOffset.UtcNow.AddMinutes(-1);
        var other = UploadSessionId.New();
        await StageAsync(Generation(0), "x"u8.ToArray());
        await StageAsync(Generation(1), "x"u8.ToArray());
        await StageAsync(new StagedKey(other, 0), "x"u8.ToArray());
        (await SessionsAsync(before)).ShouldBeEmpty();
        (await SessionsAsync(DateTimeOffset.UtcNow.AddMinutes(1))).ShouldBe([_session, other], ignoreOrder: true);
    }

    [Fact]
    public async Task A_cancelled_call_changes_nothing()
    {
        var cancelled = new CancellationToken(canceled: true);
        var content = RegistryClient.RandomBytes(100);
        await StageAsync(Generation(0), content);
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.OpenAsync(Generation(0), 0, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.LengthAsync(Generation(0), cancelled));
        await Should.ThrowAsync<OperationCanceledException>(
            async () => await Uploads.ForkAsync(Generation(0), 1, Generation(1), cancelled));
        await Should.ThrowAsync<OperationCanceledException>(
            async () => await Uploads.PublishAsync(Generation(0), Digest.Of(content), 100, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Uploads.DiscardAsync(_session, cancelled));
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(100);
        (await Uploads.LengthAsync(Generation(1), default)).ShouldBe(0);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();
    }

    [Fact]
    public void All_stores_of_one_machine_live_in_the_same_epoch() => OpenUploads().Epoch.ShouldBe(Uploads.Epoch);

    private StagedKey Generation(int generation) => new(_session, generation);

    private async Task StageAsync(StagedKey key, byte[] content)
    {
        await using var staged = (await Uploads.OpenAsync(key, 0, default))!;
        await staged.AppendAsync(content, default);
    }

    private Task<PublishResult> PublishAsync(StagedKey key, byte[] content, IUploadStore? uploads = null) =>
        (uploads ?? Uploads).PublishAsync(key, Digest.Of(content), content.Length, default).AsTask();

    private async Task<byte[]> BlobAsync(Digest digest) => await ReadAsync(await OpenBlobs().OpenReadAsync(digest, default));

    /// <summary>What another process finds staged.</summary>
    private async Task<byte[]> ReadAsync(StagedKey key) => await ReadAsync(await OpenUploads().OpenReadAsync(key, default));

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

    private async Task<List<UploadSessionId>> SessionsAsync(DateTimeOffset before)
    {
        var sessions = new List<UploadSessionId>();
        await foreach (var session in OpenUploads().ListAsync(before, default))
        {
            sessions.Add(session);
        }

        return sessions;
    }
}
