using OciRegistry.Azure;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

public sealed class AzureDocumentStoreTests : DocumentStoreContract, IAsyncLifetime
{
    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IDocumentStore OpenStore() => _storage!.Documents();

    // Each blob is written as one step.
    protected override IEnumerable<string> Leftovers() => [];
}

public sealed class AzureBlobStoreTests : BlobStoreContract, IAsyncLifetime
{
    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IBlobStore OpenBlobs() => _storage!.Blobs();

    protected override IUploadStore OpenUploads() => _storage!.Uploads();

    protected override IDocumentStore OpenDocuments() => _storage!.Documents();
}

public sealed class AzureUploadStoreTests : UploadStoreContract, IAsyncLifetime
{
    [Fact]
    public async Task Many_small_chunks_become_few_blocks()
    {
        // A client that sends 64 KiB at a time: what is too small for a block is kept until there is enough for one.
        _storage!.Options.BlockSize = 1024 * 1024;
        var content = RegistryClient.RandomBytes(5_000_000);
        var key = Generation(0);
        var offset = 0;
        foreach (var chunk in content.Chunk(64 * 1024))
        {
            var next = Generation(key.Generation + 1);
            await using var staged = (await OpenUploads().ForkAsync(key, offset, next, default))!;
            await staged.AppendAsync(chunk, default);
            key = await FlushAsync(staged, next);
            offset += chunk.Length;
        }

        (await _storage.NamesAsync()).ShouldContain(name => name.StartsWith("_pieces/", StringComparison.Ordinal));
        (await SessionsAsync(DateTimeOffset.MaxValue)).Distinct().ShouldBe([key.Session]);
        (await SessionsAsync(DateTimeOffset.UtcNow.AddMinutes(-1))).ShouldBeEmpty();
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        (await PublishAsync(key, content, OpenUploads())).ShouldBe(PublishResult.Published);

        var blocks = StagedParts.Parse(key.Parts);
        blocks.Blocks.ShouldBeInRange(16, 22);
        await OpenUploads().DiscardAsync(key, default);
        (await SessionsAsync(DateTimeOffset.MaxValue)).ShouldBeEmpty();
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task When_blocks_run_short_they_are_larger_and_none_is_small()
    {
        // 50,000 blocks are all that a blob can have: from some number on every one is full, whatever is flushed.
        _storage!.Options.LooseBlocks = 3;
        var large = 32 * 1024 * 1024;
        var content = RegistryClient.RandomBytes((3 * 700_000) + large + 500_000);
        var key = Generation(0);
        for (var offset = 0; offset < content.Length;)
        {
            var next = Generation(key.Generation + 1);
            await using var staged = (await OpenUploads().ForkAsync(key, offset, next, default))!;
            var chunk = offset < 3 * 700_000 ? 700_000 : Math.Min(9_000_000, content.Length - offset);
            await staged.AppendAsync(content.AsMemory(offset, chunk), default);
            key = await FlushAsync(staged, next);
            offset += chunk;
        }

        var parts = StagedParts.Parse(key.Parts);
        parts.Blocks.ShouldBe(4);
        parts.Pieces.Sum(piece => piece.Bytes).ShouldBe(500_000);
        (await PublishAsync(key, content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task Content_that_is_gone_is_replaced_by_whoever_brings_it_again()
    {
        // R2.1, R4.5: the pointer is there, and leads nowhere, or to something of another size.
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        await PublishAsync(await StageAsync(Generation(0), content), content);
        var reader = OpenBlobs();
        (await reader.StatAsync(digest, default)).ShouldBe(1_000);
        var data = _storage!.Container().Blob(BlobPointer.DataOf(Generation(0).Session));
        await data.DeleteAsync();
        (await reader.StatAsync(digest, default)).ShouldBeNull();
        (await reader.OpenReadAsync(digest, 0, 1_000, default)).ShouldBeNull();

        var second = new StagedKey(UploadSessionId.New(), 0);
        (await PublishAsync(await StageAsync(second, content), content)).ShouldBe(PublishResult.Published);
        (await reader.StatAsync(digest, default)).ShouldBe(1_000);
        await _storage.Container().Blob(BlobPointer.DataOf(second.Session)).UploadAsync(new MemoryStream(content[..10]));
        (await reader.StatAsync(digest, default)).ShouldBeNull();
        (await reader.OpenReadAsync(digest, 0, 1_000, default)).ShouldBeNull();

        var third = new StagedKey(UploadSessionId.New(), 0);
        (await PublishAsync(await StageAsync(third, content), content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(digest)).ShouldBe(content);
        (await reader.StatAsync(digest, default)).ShouldBe(1_000);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Content_of_the_right_size_with_wrong_bytes_is_replaced_by_a_push(bool hasTheReleaseBeforeWrittenThePointer)
    {
        // R4.5: existing does not mean good, whatever its size.
        var content = RegistryClient.RandomBytes(300_000);
        var digest = Digest.Of(content);
        var first = new StagedKey(UploadSessionId.New(), 0);
        await PublishAsync(await StageAsync(first, content), content);
        var damaged = content.ToArray();
        damaged[^1] ^= 1;
        await _storage!.Container().Blob(BlobPointer.DataOf(first.Session)).UploadAsync(new MemoryStream(damaged));
        if (hasTheReleaseBeforeWrittenThePointer)
        {
            await ForgetWhatIsNotedAsync(digest, first.Session, content.Length);
        }

        (await PublishAsync(await StageAsync(Generation(0), content), content)).ShouldBe(PublishResult.Published);

        (await BlobAsync(digest)).ShouldBe(content);
    }

    [Fact]
    public async Task A_replica_that_remembers_a_pointer_serves_what_a_push_has_repaired()
    {
        var content = RegistryClient.RandomBytes(300_000);
        var digest = Digest.Of(content);
        var first = new StagedKey(UploadSessionId.New(), 0);
        await PublishAsync(await StageAsync(first, content), content);
        var other = OpenBlobs(); // another replica, which has served it once
        (await other.StatAsync(digest, default)).ShouldBe(content.Length);
        var damaged = content.ToArray();
        damaged[^1] ^= 1;
        await _storage!.Container().Blob(BlobPointer.DataOf(first.Session)).UploadAsync(new MemoryStream(damaged));

        (await PublishAsync(await StageAsync(Generation(0), content), content)).ShouldBe(PublishResult.Published);

        (await BlobAsync(digest)).ShouldBe(content);
        await using var read = (await other.OpenReadAsync(digest, 0, content.Length, default))!;
        var bytes = new byte[content.Length];
        for (var at = 0; at < bytes.Length;)
        {
            at += await read.ReadAsync(bytes.AsMemory(at), at, default);
        }

        Digest.Of(bytes).ShouldBe(digest, "what the other replica serves");
    }

    [Fact]
    public async Task Content_that_another_has_brought_is_read_once_if_its_pointer_does_not_say_what_was_verified()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        var first = new StagedKey(UploadSessionId.New(), 0);
        await PublishAsync(await StageAsync(first, content), content);
        (await ReadsOfAPushAsync()).ShouldBe(0);
        await ForgetWhatIsNotedAsync(digest, first.Session, content.Length);

        (await ReadsOfAPushAsync()).ShouldBe(1);
        (await ReadsOfAPushAsync()).ShouldBe(0);

        (await new BlobPointers(new SmallBlobs(_storage!.Container())).ReadAsync(digest, default))!.Pointer!.Value.Session
            .ShouldBe(first.Session);

        async Task<int> ReadsOfAPushAsync()
        {
            await using var proxy = await AzuriteProxy.StartAsync();
            var straight = _storage!.Options.ConnectionString;
            _storage.Options.ConnectionString = proxy.ConnectionString;
            var uploads = OpenUploads();
            _storage.Options.ConnectionString = straight;
            var key = new StagedKey(UploadSessionId.New(), 0);
            (await PublishAsync(await StageAsync(key, content), content, uploads)).ShouldBe(PublishResult.Published);
            return proxy.TakeRequests().Count(request =>
                request.Operation == "Get Blob" && request.Blob.StartsWith("_data/", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_pointer_that_nobody_of_ours_has_written_is_nothing_and_is_replaced()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var pointer = _storage!.Container().Blob(BlobPointers.NameOf(Digest.Of(content)));
        foreach (var foreign in new[] { "", "nonsense", new string('x', 10_000), $"{UploadSessionId.New()} 1000", "0 0 0" })
        {
            await pointer.UploadAsync(BinaryData.FromString(foreign).ToStream());
            (await OpenBlobs().StatAsync(Digest.Of(content), default)).ShouldBeNull();
        }

        (await PublishAsync(await StageAsync(Generation(0), content), content)).ShouldBe(PublishResult.Published);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
    }

    [Fact]
    public async Task Many_writers_stay_within_the_memory_for_blocks_and_all_arrive()
    {
        _storage!.Options.BlockBuffer = 16 * 1024 * 1024;
        var uploads = OpenUploads();
        await Parallel.ForAsync(0, 20, new ParallelOptions { MaxDegreeOfParallelism = 20 }, async (i, _) =>
        {
            var content = RegistryClient.RandomBytes(3_000_000);
            var key = new StagedKey(UploadSessionId.New(), 0);
            await using var staged = (await uploads.OpenAsync(key, 0, default))!;
            foreach (var chunk in content.Chunk(100_000))
            {
                await staged.AppendAsync(chunk, default);
            }

            key = await FlushAsync(staged, key);
            (await PublishAsync(key, content, uploads)).ShouldBe(PublishResult.Published);
            (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        });
    }

    private async Task ForgetWhatIsNotedAsync(Digest digest, UploadSessionId session, long size) =>
        await _storage!.Container().Blob(BlobPointers.NameOf(digest)).UploadAsync(
            new MemoryStream(new BlobPointer(session, size).ToBytes()));

    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IUploadStore OpenUploads() => _storage!.Uploads();

    protected override IBlobStore OpenBlobs() => _storage!.Blobs();
}
